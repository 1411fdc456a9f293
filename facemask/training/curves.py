"""What a training tells while it runs: a line an epoch, and learning curves by DVCLive."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import lightning as L
import pandas as pd
from lightning.pytorch.callbacks import Callback

from facemask.runtime import files

if TYPE_CHECKING:
    from dvclive.live import Live

MONITOR = "val/macro_f1"


class Lines(Callback):
    """One line an epoch: scores, rate, time left."""

    def __init__(self, photos: int) -> None:
        self.photos = photos
        self.start, self.before = 0.0, 0

    def on_train_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Start the clock, after the epochs that were done before."""
        self.start, self.before = time.monotonic(), trainer.current_epoch

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Tell the epoch."""
        if trainer.sanity_checking or not trainer.is_global_zero or trainer.max_epochs is None:
            return
        done, scores = trainer.current_epoch + 1, trainer.callback_metrics
        taken, here = time.monotonic() - self.start, done - self.before
        left = taken / here * (trainer.max_epochs - done)
        task.print(
            f"epoch {done:>3}/{trainer.max_epochs}  loss {scores['train/loss']:.3f} / {scores['val/loss']:.3f}  "
            f"macro-F1 {scores[MONITOR]:.3f}  {self.photos * here / taken:.0f} photos/s  {left:.0f} s left",
            flush=True,
        )


class Curves(Callback):
    """Learning curves, one point an epoch: by DVCLive while it trains, and as two tables when it has.

    ``loss.csv`` holds the columns epoch, curve (training or validation) and loss, one chart of both; ``scores.csv``
    epoch, macro_f1, accuracy and lr. DVCLive's own Lightning logger inspects the call stack at every call, which takes
    longer than a small epoch.

    Parameters
    ----------
    folder
        Where the tables go; they appear when the training has ended.
    live
        DVCLive's folder; nothing goes there on a machine without DVC.

    Attributes
    ----------
    epochs
        Scores of the epochs so far, those of a training that is resumed among them.
    """

    def __init__(self, folder: Path, live: Path) -> None:
        self._folder, self._where = folder, live
        self._live: Live | None = None
        self._first = False
        self.epochs: list[dict[str, float]] = []

    def on_fit_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Open the folder, in the first process only; epochs of a training that is resumed come first."""
        self._first = trainer.is_global_zero
        if self._first:
            self._live = _opened(self._where)
            for epoch in self.epochs:
                self._log(epoch)

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Add the epoch."""
        if not self._first or trainer.sanity_checking:
            return
        self.epochs.append({name: float(value) for name, value in sorted(trainer.callback_metrics.items())})
        self._log(self.epochs[-1])

    def _log(self, epoch: dict[str, float]) -> None:
        if self._live is None:
            return
        for name, value in epoch.items():
            self._live.log_metric(name, value)
        self._live.next_step()  # type: ignore[no-untyped-call]

    def state_dict(self) -> dict[str, Any]:
        """The epochs so far, for a checkpoint."""
        return {"epochs": self.epochs}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what :meth:`state_dict` gave."""
        self.epochs = state_dict["epochs"]

    def on_fit_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Write the tables."""
        if not self._first:
            return
        if self._live is not None:
            self._live.end()  # type: ignore[no-untyped-call]
        write(self._folder, self.epochs)


def _opened(folder: Path) -> Live | None:
    try:
        from dvclive.live import Live
    except ImportError:
        return None
    return Live(str(folder), save_dvc_exp=False, dvcyaml=None, report=None)


def write(folder: Path, epochs: Sequence[Mapping[str, float]]) -> None:
    """Write the tables of :class:`Curves`.

    Parameters
    ----------
    epochs
        Of each: train/loss, val/loss, val/macro_f1, val/accuracy and train/lr.
    """
    curves = {"train/loss": "training", "val/loss": "validation"}
    losses = [
        (epoch, curve, one[name]) for epoch, one in enumerate(epochs, 1) for name, curve in curves.items()
    ]
    columns = {name: name.split("/")[1] for name in (MONITOR, "val/accuracy", "train/lr")}
    scores = pd.DataFrame(epochs)[list(columns)].rename(columns=columns)
    scores.insert(0, "epoch", range(1, len(scores) + 1))
    with files.replacing(folder) as made:
        made.mkdir(parents=True)
        for name, table in (
            ("loss", pd.DataFrame(losses, columns=["epoch", "curve", "loss"])),
            ("scores", scores),
        ):
            table.to_csv(made / f"{name}.csv", index=False, float_format="%.6g", lineterminator="\n")
