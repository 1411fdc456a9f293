"""Backbone and head: photos in, an (N, 18) table out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from facemask import params
from facemask.learning import backbones, heads


class Classifier(nn.Module):
    """A network for one recipe.

    Parameters
    ----------
    recipe
        Its ``image``, ``backbone`` and ``head`` are used.
    pretrained
        False if a checkpoint will be loaded.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, recipe: params.Recipe, *, pretrained: bool = True) -> None:
        super().__init__()
        size = recipe.image.size
        self.backbone = backbones.build(recipe.backbone, size, pretrained=pretrained)
        self.head = heads.build(recipe.head, backbones.features(self.backbone, size))
        self.register_buffer("mean", _channels(recipe.image.mean), persistent=False)
        self.register_buffer("std", _channels(recipe.image.std), persistent=False)

    def forward(self, photos: Tensor) -> heads.Named:
        """Named logits of (N, H, W, 3) uint8 photos; they become numbers on the device, not before."""
        # The permuted bytes lie in memory as channels_last already.
        scaled = photos.permute(0, 3, 1, 2).to(self.mean.dtype).div_(255)
        logits: heads.Named = self.head(self.backbone((scaled - self.mean) / self.std))
        return logits

    def log_table(self, photos: Tensor) -> Tensor:
        """Log-probabilities (N, 18) of (N, H, W, 3) uint8 photos."""
        return self.head.log_table(self(photos))


def _channels(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None, None]
