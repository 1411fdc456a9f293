"""The weights of the best epoch, kept in memory."""

from __future__ import annotations

import math
from typing import Any

import lightning as L
from lightning.pytorch.callbacks import Callback
from torch import Tensor

from facemask.training import averaging
from facemask.training.curves import MONITOR
from facemask.training.task import Task


class Best(Callback):
    """Keep the weights of the epoch with the highest validation macro-F1; of equal ones the first.

    Attributes
    ----------
    weights
        The network's ``state_dict``, on the CPU; averaged where the recipe averages.
    epoch
        Counted from 0.
    score
        Macro-F1.
    """

    def __init__(self) -> None:
        self.weights: dict[str, Tensor] = {}
        self.epoch, self.score = -1, -math.inf

    def on_validation_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Look whether this epoch is better."""
        score = float(trainer.callback_metrics[MONITOR])
        if trainer.is_global_zero and score > self.score:
            scored = averaging.averaged(trainer) or task
            assert isinstance(scored, Task)
            state = scored.model.state_dict()
            self.weights = {name: value.detach().cpu().clone() for name, value in state.items()}
            self.epoch, self.score = trainer.current_epoch, score

    def state_dict(self) -> dict[str, Any]:
        """Everything, for a checkpoint."""
        return {"weights": self.weights, "epoch": self.epoch, "score": self.score}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Take what :meth:`state_dict` gave."""
        self.weights, self.epoch = state_dict["weights"], state_dict["epoch"]
        self.score = state_dict["score"]
