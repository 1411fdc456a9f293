"""Freezing: which groups of the backbone's layers are trained in which epoch."""

from __future__ import annotations

from typing import assert_never

from torch import nn

from facemask.network import layers
from facemask.settings import recipes


def build(cfg: recipes.Nothing | recipes.HeadOnly | recipes.Gradual, backbones: nn.ModuleDict) -> Freezing:
    """Make what freezes ``backbones``."""
    match cfg:
        case recipes.Nothing():
            return Freezing(nn.ModuleDict(), None)
        case recipes.HeadOnly():
            return Freezing(backbones, None)
        case recipes.Gradual():
            return Freezing(backbones, cfg.every)
        case _:
            assert_never(cfg)


class Freezing:
    """Train the head from the start, and the backbones' layer groups from the top down as epochs pass.

    Frozen weights stay in the optimiser, without a gradient, so that no step and no weight decay moves them. Make the
    optimiser before the first epoch starts: it would leave frozen weights out for good. Their batch normalisation uses,
    and keeps, its running statistics.

    Parameters
    ----------
    backbones
        Name -> network. What a network itself keeps fixed stays so.
    every
        Epochs between one group and the next: in epoch e the top ``e // every`` groups are trained. None for none ever.

    References
    ----------
    Howard and Ruder, "Universal Language Model Fine-tuning for Text Classification", ACL 2018,
    https://arxiv.org/abs/1801.06146 (gradual unfreezing)
    """

    def __init__(self, backbones: nn.ModuleDict, every: int | None) -> None:
        self._backbones, self._every = backbones, every
        self._trained = frozenset(id(weight) for weight in backbones.parameters() if weight.requires_grad)
        self._resting: list[nn.Module] = []

    def start_epoch(self, epoch: int) -> None:
        """Freeze and thaw for an epoch, counted from 0."""
        opened = epoch // self._every if self._every else 0
        for module in self._resting:
            module.train()
        self._resting = [
            module for branch in self._backbones.values() for module in self._freeze(branch, opened)
        ]

    def start_batch(self) -> None:
        """Put frozen normalisation in evaluation mode, whoever called ``train()`` in between."""
        for module in self._resting:
            module.eval()

    def _freeze(self, branch: nn.Module, opened: int) -> list[nn.Module]:
        """Open the top groups, freeze the others; give their normalisation layers."""
        frozen: set[int] = set()
        for index, group in enumerate(reversed(layers.groups(branch))):
            for value in group:
                if isinstance(value, nn.Parameter):
                    value.requires_grad_(index < opened and id(value) in self._trained)
                elif index >= opened:
                    frozen.add(id(value))
        # Known by their statistics: normalisation need not have weights.
        statistics = ((module, getattr(module, "running_mean", None)) for module in branch.modules())
        return [module for module, mean in statistics if mean is not None and id(mean) in frozen]
