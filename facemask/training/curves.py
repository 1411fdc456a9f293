"""What a training tells while it runs: a line an epoch, and learning curves by DVCLive."""

from __future__ import annotations

import time
from pathlib import Path

import lightning as L
from dvclive.live import Live
from lightning.pytorch.callbacks import Callback

MONITOR = "val/macro_f1"


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
