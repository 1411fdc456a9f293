"""Freezing: which groups of the backbone's layers are trained in which epoch."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, assert_never

import lightning as L
from lightning.pytorch.callbacks import Callback
from torch import nn

from facemask import recipes
from facemask.learning import layers

if TYPE_CHECKING:
    from facemask.learning.classifier import Classifier


def callback(cfg: recipes.Nothing | recipes.HeadOnly | recipes.Gradual) -> Callback | None:
    """Make the callback, or None if nothing is frozen."""
    match cfg:
        case recipes.Nothing():
            return None
        case recipes.HeadOnly():
            return Freezing(None)
        case recipes.Gradual():
            return Freezing(cfg.every)
        case _:
            assert_never(cfg)


class Freezing(Callback):
    """Train the head from the start, and the backbones' layer groups from the top down as epochs pass.

    Frozen weights stay in the optimiser, without a gradient, so that no step and no weight decay moves them. Their
    batch normalisation uses, and keeps, its running statistics.

    Parameters
    ----------
    every
        Epochs between one group and the next: in epoch e the top ``e // every`` groups are trained. None for none ever.

    References
    ----------
    Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018,
    https://arxiv.org/abs/1801.06146 (gradual unfreezing)
    """

    def __init__(self, every: int | None) -> None:
        self.every = every
        self.trained: frozenset[int] = frozenset()
        self.resting: list[nn.Module] = []

    def on_fit_start(self, trainer: L.Trainer, task: Any) -> None:
        """Note what the network itself leaves fixed."""
        model: Classifier = task.model
        self.trained = frozenset(
            id(weight) for weight in model.backbones.parameters() if weight.requires_grad
        )

    def on_train_epoch_start(self, trainer: L.Trainer, task: Any) -> None:
        """Freeze and thaw; after the optimiser is made, which would leave frozen weights out for good."""
        opened = trainer.current_epoch // self.every if self.every else 0
        model: Classifier = task.model
        for module in self.resting:
            module.train()
        self.resting = [
            module for branch in model.backbones.values() for module in self._freeze(branch, opened)
        ]

    def on_train_batch_start(self, trainer: L.Trainer, task: Any, batch: Any, index: int) -> None:
        """Put frozen normalisation in evaluation mode, whoever called ``train()`` in between."""
        for module in self.resting:
            module.eval()

    def _freeze(self, branch: nn.Module, opened: int) -> list[nn.Module]:
        """Open the top groups, freeze the others; give their normalisation layers."""
        frozen: set[int] = set()
        for index, group in enumerate(reversed(layers.groups(branch))):
            for value in group:
                if isinstance(value, nn.Parameter):
                    value.requires_grad_(index < opened and id(value) in self.trained)
                elif index >= opened:
                    frozen.add(id(value))
        # Known by their statistics: normalisation need not have weights.
        statistics = ((module, getattr(module, "running_mean", None)) for module in branch.modules())
        return [module for module, mean in statistics if mean is not None and id(mean) in frozen]
