"""Train one fold and return its best network."""

from __future__ import annotations

import logging
import sys
import tempfile
import time
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning as L
import numpy as np
import numpy.typing as npt
import torch
from dvclive.live import Live
from lightning.pytorch.callbacks import Callback, EarlyStopping, EMAWeightAveraging, ModelCheckpoint
from torch.utils.data import DataLoader

from facemask import hardware, params
from facemask.errors import UserError
from facemask.images.augment import Augmentation
from facemask.learning.batches import Batch, Batches, Order, loader
from facemask.learning.classifier import Classifier
from facemask.learning.pixels import Pixels
from facemask.learning.task import Task

MONITOR = "val/macro_f1"
PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}


@dataclass(frozen=True)
class Side:
    """One side of a fold.

    Attributes
    ----------
    pixels
        (N, height, width, 3) uint8.
    targets
        (N,) classes that the trainer is told, on the training bands.
    labels
        (N,) official classes.
    repeats
        (N,) how often each photo is seen in one epoch.
    """

    pixels: Pixels
    targets: npt.NDArray[np.int64]
    labels: npt.NDArray[np.int64]
    repeats: npt.NDArray[np.int64]


@dataclass(frozen=True)
class Fitted:
    """A trained network, in evaluation mode on the CPU, with the epoch (from 0) and score it was chosen for."""

    model: Classifier
    epoch: int
    macro_f1: float


class Lines(Callback):
    """One line an epoch: scores, rate, time left."""

    def __init__(self, photos: int) -> None:
        self.photos = photos
        self.start = 0.0

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Start the clock."""
        self.start = time.monotonic()

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Tell the epoch."""
        if trainer.sanity_checking or not trainer.is_global_zero or trainer.max_epochs is None:
            return
        done, scores = trainer.current_epoch + 1, trainer.callback_metrics
        taken = time.monotonic() - self.start
        left = taken / done * (trainer.max_epochs - done)
        task.print(
            f"epoch {done:>3}/{trainer.max_epochs}  loss {scores['train/loss']:.3f} / {scores['val/loss']:.3f}  "
            f"macro-F1 {scores[MONITOR]:.3f}  {self.photos * done / taken:.0f} photos/s  {left:.0f} s left",
            flush=True,
        )


class Curves(Callback):
    """Metrics and learning curves by DVCLive, one point an epoch.

    DVCLive's own Lightning logger inspects the call stack at every call, which takes longer than a small epoch.
    """

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.live: Live | None = None

    def on_fit_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Open the folder, in the first process only."""
        if trainer.is_global_zero:
            self.live = Live(str(self.folder), save_dvc_exp=False, dvcyaml=None, report=None)

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Add the epoch."""
        if self.live is None or trainer.sanity_checking:
            return
        for name, value in sorted(trainer.callback_metrics.items()):
            self.live.log_metric(name, float(value))
        self.live.next_step()  # type: ignore[no-untyped-call]

    def on_fit_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Close the folder."""
        if self.live is not None:
            self.live.end()  # type: ignore[no-untyped-call]


def fit(recipe: params.Recipe, train: Side, val: Side, *, seed: int, live: Path) -> Fitted | None:
    """Train on ``train``, choose the epoch with the best macro-F1 on ``val``.

    Parameters
    ----------
    live
        Folder for DVCLive's metrics and plots.

    Returns
    -------
    Fitted or None
        None in all but the first of several training processes.

    Raises
    ------
    UserError
        If a side is empty, or a part of the recipe cannot be made.
    """
    for name, side in (("training", train), ("validation", val)):
        if not side.repeats.sum():
            raise UserError(
                f"no photo is left on the {name} side: check build_manifest and data/fix_labels/quarantine.csv"
            )
    # Its notes on devices and products are no news of this training.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    L.seed_everything(seed, workers=False, verbose=False)
    torch.set_float32_matmul_precision("high")
    model = Classifier(recipe)
    gpu = torch.cuda.is_available()
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    with tempfile.TemporaryDirectory(prefix="facemask-") as folder:
        devices, machines = hardware.processes()
        # Whole checkpoints, since Lightning leaves averaged weights out of those that hold weights only.
        best = ModelCheckpoint(folder, monitor=MONITOR, mode="max", save_top_k=1, save_weights_only=False)
        trainer = L.Trainer(
            accelerator="auto",
            devices=devices,
            num_nodes=machines,
            sync_batchnorm=gpu,
            max_epochs=recipe.epochs,
            precision=PRECISIONS[recipe.precision if gpu else "32"],
            logger=False,
            callbacks=[best, Curves(live), *_callbacks(recipe, int(train.repeats.sum()))],
            num_sanity_val_steps=0,
            enable_progress_bar=sys.stderr.isatty(),
            enable_model_summary=False,
            use_distributed_sampler=False,
            benchmark=gpu,
        )
        share = {"rank": trainer.global_rank, "world": trainer.world_size}
        batches = loader(
            Batches(train.pixels, train.targets, train.labels, Augmentation(recipe.augment)),
            Order(train.repeats, batch_size=recipe.batch_size, seed=seed, shuffle=True, **share),
        )
        checks = loader(
            Batches(val.pixels, val.labels, val.labels, None),
            Order(val.repeats, batch_size=recipe.batch_size, seed=seed, shuffle=False, **share),
        )
        task = Task(recipe, model, steps=recipe.epochs * len(batches))
        _run(trainer, task, batches, checks)
        if not trainer.is_global_zero:
            return None
        chosen: dict[str, Any] = torch.load(best.best_model_path, map_location="cpu", weights_only=True)
        state = {
            k.removeprefix("model."): v for k, v in chosen["state_dict"].items() if k.startswith("model.")
        }
        model.cpu().load_state_dict(state)
        assert best.best_model_score is not None
        return Fitted(model.eval(), int(chosen["epoch"]), float(best.best_model_score))


def _callbacks(recipe: params.Recipe, photos: int) -> list[Callback]:
    found: list[Callback] = [Lines(photos)]
    if recipe.ema:
        found.append(EMAWeightAveraging(decay=recipe.ema))
    if recipe.patience is not None:
        found.append(EarlyStopping(MONITOR, mode="max", patience=recipe.patience))
    return found


def _run(trainer: L.Trainer, task: Task, train: DataLoader[Batch], val: DataLoader[Batch]) -> None:
    with warnings.catch_warnings():
        # Lightning warns of choices made here on purpose: loader workers, logging interval, the checkpoint folder.
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        trainer.fit(task, train, val)
