"""Where a training can be watched besides DVCLive: TensorBoard, Weights & Biases or MLflow.

Each is imported only where ``train.logger`` chooses it. A logger draws no random number of the training's and changes
no weight: it is no dependency of any stage.
"""

from __future__ import annotations

import os
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final, assert_never

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.utilities.seed import isolate_rng

from facemask.network.classifier import Classifier
from facemask.photos import contact
from facemask.records import classes
from facemask.runtime.arrays import Pixels
from facemask.runtime.errors import UserError
from facemask.settings import recipes
from facemask.training.batches import Side
from facemask.training.curves import Curves

PICTURE: Final = "validation"
# Validation photos on a grid, the same ones in every epoch.
PHOTOS: Final = 24
_COLUMNS: Final = 8
_HEIGHT: Final = 128


class Run:
    """A run of a logger, open until it is closed.

    Parameters
    ----------
    cfg
        Which logger, and where it keeps what it is told.
    title
        Name of the run, such as ``fold0``; the experiment's name goes before it and the time behind it.
    settings
        Params that are shown with the run.

    Raises
    ------
    UserError
        If the logger is not installed.
    """

    def __init__(self, cfg: recipes.ChosenLogger, title: str, settings: Mapping[str, Any]) -> None:
        self._cfg = cfg
        # Experiments run in folders that go afterwards; the main checkout stays.
        folder = Path(os.environ.get("DVC_ROOT") or ".").resolve() / cfg.folder
        folder.mkdir(parents=True, exist_ok=True)
        name = f"{os.environ.get('DVC_EXP_NAME') or 'workspace'}-{title}-{time.strftime('%Y%m%d-%H%M%S')}"
        try:
            self._logger = _open(cfg, name, folder)
        except ModuleNotFoundError as error:
            raise UserError(
                f"train.logger: {cfg.kind} is not installed ({error}); install requirements.txt, or use kind: none"
            ) from None
        self._logger.log_hyperparams(dict(settings))

    def epoch(self, number: int, scores: Mapping[str, float]) -> None:
        """Log the scores of an epoch, counted from 1."""
        self._logger.log_metrics(dict(scores), step=number)

    def picture(self, number: int, page: Pixels) -> None:
        """Log a grid (H, W, 3) of an epoch."""
        match self._cfg:
            case recipes.TensorBoard():
                self._logger.experiment.add_image(PICTURE, page, number, dataformats="HWC")
            case recipes.Wandb():
                self._logger.log_image(PICTURE, [page], step=number)
            case recipes.Mlflow():
                self._logger.experiment.log_image(self._logger.run_id, page, key=PICTURE, step=number)
            case _:
                assert_never(self._cfg)

    def close(self, status: str = "success") -> None:
        """Write what is left to be written."""
        self._logger.finalize(status)
        if isinstance(self._cfg, recipes.Wandb):
            # Otherwise the next run of this process would join this one.
            self._logger.experiment.finish()


def _open(cfg: recipes.ChosenLogger, name: str, folder: Path) -> Any:
    match cfg:
        case recipes.TensorBoard():
            from lightning.pytorch.loggers import TensorBoardLogger

            return TensorBoardLogger(str(folder), name="", version=name, default_hp_metric=False)
        case recipes.Wandb():
            import wandb
            from lightning.pytorch.loggers import WandbLogger

            # Neither the code nor what is printed is of its business.
            quiet = wandb.Settings(silent=True, console="off", disable_git=True, save_code=False)
            where: dict[str, Any] = {"project": cfg.project, "save_dir": str(folder), "settings": quiet}
            return WandbLogger(name=name, offline=cfg.mode == "offline", **where)
        case recipes.Mlflow():
            from lightning.pytorch.loggers import MLFlowLogger

            local = cfg.uri is None
            return MLFlowLogger(
                cfg.experiment,
                run_name=name,
                tracking_uri=f"sqlite:///{folder / 'mlflow.db'}" if local else cfg.uri,
                artifact_location=(folder / "artifacts").as_uri() if local else None,
            )
        case _:
            assert_never(cfg)


class Watched(Callback):
    """Log each epoch's scores, and its answers to some validation photos.

    Parameters
    ----------
    cfg, title, settings
        See :class:`Run`.
    curves
        Epochs of a training that is resumed are logged first.
    val
        The photos that are shown are chosen from it.
    """

    def __init__(
        self, cfg: recipes.ChosenLogger, title: str, settings: Mapping[str, Any], curves: Curves, val: Side
    ) -> None:
        self._asked = (cfg, title, settings)
        self._curves, self._val = curves, val
        self._run: Run | None = None

    def on_fit_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Open the run, in the first process only."""
        if trainer.is_global_zero:
            with isolate_rng():
                self._run = Run(*self._asked)
                for number, scores in enumerate(self._curves.epochs, 1):
                    self._run.epoch(number, scores)

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Log the epoch."""
        if self._run is None or trainer.sanity_checking:
            return
        assert isinstance(task.model, Classifier)
        number = trainer.current_epoch + 1
        with isolate_rng():
            self._run.epoch(number, {name: float(one) for name, one in trainer.callback_metrics.items()})
            self._run.picture(number, grid(task.model, self._val, f"epoch {number}"))

    def on_fit_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Close the run."""
        self._close("success")

    def on_exception(self, trainer: L.Trainer, task: L.LightningModule, exception: BaseException) -> None:
        """Close the run of a training that failed."""
        self._close("failed")

    def _close(self, status: str) -> None:
        if self._run is not None:
            run, self._run = self._run, None
            run.close(status)


def once(
    cfg: recipes.Logger, title: str, settings: Mapping[str, Any], scores: Mapping[str, float], model: Classifier,
    val: Side,
) -> None:  # fmt: skip
    """Log a training that had no epochs."""
    if not isinstance(cfg, recipes.Nothing):
        with isolate_rng():
            run = Run(cfg, title, settings)
            run.epoch(1, scores)
            run.picture(1, grid(model, val, title))
            run.close()


def grid(model: Classifier, val: Side, title: str) -> Pixels:
    """Answers of a network in evaluation mode to some validation photos: the true class below, the answer if wrong."""
    chosen = np.array(contact.evenly_spaced(range(len(val.labels)), PHOTOS))
    photos = torch.from_numpy(np.ascontiguousarray(val.pixels[chosen]))
    device = next(model.parameters()).device
    with torch.no_grad():
        table = model.log_table(photos.to(device)).exp().float().cpu().numpy()
    tiles = []
    for row, place in zip(table, chosen, strict=True):
        true, called = int(val.labels[place]), int(row.argmax())
        right = true == called
        lines = (
            classes.NAMES[true],
            f"{row[called]:.2f}" if right else f"{classes.NAMES[called]} {row[called]:.2f}",
        )
        tiles.append(contact.Tile(val.pixels[place], lines, contact.GREEN if right else contact.RED))
    high, wide = val.pixels.shape[1:3]
    # A class's name has room below a photo of this width.
    size = (_HEIGHT, max(110, round(_HEIGHT * wide / high)))
    return contact.sheet(title, tiles, columns=_COLUMNS, size=size)
