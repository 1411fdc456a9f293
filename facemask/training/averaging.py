"""Averages of the weights over training, which are validated and kept in place of the last ones."""

from __future__ import annotations

import math
from typing import Any, assert_never

import lightning as L
from lightning.pytorch.callbacks import Callback, WeightAveraging
from torch.optim.swa_utils import get_ema_multi_avg_fn, get_swa_avg_fn

from facemask.settings import recipes


def callback(cfg: recipes.Nothing | recipes.Ema | recipes.Swa, epochs: int) -> Callback | None:
    """Make the callback for a training of ``epochs``, or None if nothing is averaged."""
    match cfg:
        case recipes.Nothing():
            return None
        case recipes.Ema():
            return Ema(cfg.decay)
        case recipes.Swa():
            return Swa(first_epoch(cfg.start, epochs))
        case _:
            assert_never(cfg)


def first_epoch(start: float, epochs: int) -> int:
    """First epoch (from 0) whose end is averaged: ``ceil(start * epochs)``, and never later than the last."""
    # .28 * 25 is a little more than 7.
    return min(math.ceil(start * epochs - 1e-9), epochs - 1)


def averaged(trainer: L.Trainer) -> L.LightningModule | None:
    """Return the task with averaged weights, once there are any."""
    found = (one for one in trainer.callbacks if isinstance(one, Average) and one.exists())  # type: ignore[attr-defined]
    return next((one.module for one in found), None)


class Average(WeightAveraging):
    """Lightning's averaging, for averages that begin late and for devices other than the first processor.

    The average takes the network's place in validation, in the checkpoint and after training; until there is one,
    the plain weights stay. Buffers are averaged too, batch-norm statistics among them: an approximation to the further
    pass over the training photos that would measure them anew.
    """

    def exists(self) -> bool:
        """Whether anything has been averaged yet."""
        return self._average_model is not None and bool(self._average_model.n_averaged > 0)

    @property
    def module(self) -> L.LightningModule:
        """The task with averaged weights."""
        assert self._average_model is not None
        assert isinstance(self._average_model.module, L.LightningModule)
        return self._average_model.module

    def on_fit_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Move the average to where the network is by now; Lightning made it before."""
        self.module.to(task.device)

    def on_validation_epoch_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Put the average in."""
        if self.exists():
            super().on_validation_epoch_start(trainer, task)

    def on_validation_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Put the trained weights back."""
        if self.exists():
            super().on_validation_epoch_end(trainer, task)

    def on_save_checkpoint(
        self, trainer: L.Trainer, task: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Let the checkpoint's ``state_dict`` be the average."""
        if self.exists():
            super().on_save_checkpoint(trainer, task, checkpoint)

    def on_train_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Leave the average in the network."""
        if self.exists():
            super().on_train_end(trainer, task)


class Ema(Average):
    """Exponential moving average, ``decay * average + (1 - decay) * weights`` after every optimiser step.

    It begins with the weights after the first step.

    References
    ----------
    Polyak and Juditsky, "Acceleration of Stochastic Approximation by Averaging", SIAM Journal on Control and
    Optimization 1992, https://doi.org/10.1137/0330046
    """

    def __init__(self, decay: float) -> None:
        # As EMAWeightAveraging, but by interpolation: what never changes then stays the same to the bit.
        super().__init__(multi_avg_fn=get_ema_multi_avg_fn(decay))  # type: ignore[no-untyped-call]


class Swa(Average):
    """Stochastic weight averaging: the equal mean of the weights at the end of each epoch from ``first`` on.

    References
    ----------
    Izmailov et al., "Averaging Weights Leads to Wider Optima and Better Generalization", UAI 2018,
    https://arxiv.org/abs/1803.05407
    """

    def __init__(self, first: int) -> None:
        # torch's choice on a GPU fails on whole numbers, such as batch normalisation's count of batches.
        super().__init__(avg_fn=get_swa_avg_fn())  # type: ignore[no-untyped-call]
        self.first = first

    def should_update(self, step_idx: int | None = None, epoch_idx: int | None = None) -> bool:
        """Tell whether an epoch's weights are averaged; those after other steps never are."""
        return epoch_idx is not None and epoch_idx >= self.first

    def on_train_batch_end(
        self, trainer: L.Trainer, task: L.LightningModule, outputs: Any, batch: Any, batch_idx: int
    ) -> None:
        """Average after the epoch's last batch."""
        # Lightning's end of the epoch lies between its validation and its checkpoint, which would hold other weights.
        if trainer.is_last_batch:
            super().on_train_epoch_end(trainer, task)

    def on_train_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Do nothing: the epoch's weights are averaged already."""
