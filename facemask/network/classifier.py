"""Backbones and head: photos in, an (N, 18) table out."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from facemask.network import backbones, heads
from facemask.records import bands, classes
from facemask.settings import recipes


class Classifier(nn.Module):
    """A network for one recipe.

    Parameters
    ----------
    recipe
        Its ``image``, ``backbone``, ``head`` and ``channels_last`` are used.
    cuts
        Where the bands begin to which the head folds fine ages back.
    pretrained
        False if a checkpoint will be loaded.
    refitted
        True for the form that :meth:`refit` leaves.

    Attributes
    ----------
    backbones
        One for each branch of the head, with weights of its own.
    head
        What makes logits of their features.
    """

    mean: Tensor
    std: Tensor
    head: heads.Head

    def __init__(
        self,
        recipe: recipes.Recipe,
        *,
        cuts: bands.Cuts = bands.OFFICIAL,
        pretrained: bool = True,
        refitted: bool = False,
    ) -> None:
        super().__init__()
        self.cuts = cuts
        size = recipe.image.size
        first = backbones.build(recipe.backbone, size, pretrained=pretrained)
        width = backbones.features(first, size)
        self.head = heads.build(recipe.head, width, cuts)
        self.backbones = nn.ModuleDict({self.head.branches[0]: first})
        for branch in self.head.branches[1:]:
            self.backbones[branch] = backbones.build(recipe.backbone, size, pretrained=pretrained)
        if refitted:
            self.head = heads.Joint(width, None, self.head.branches)
        # Permuted photos lie in memory as channels_last already, and networks keep the layout of what they are given.
        self._layout = torch.preserve_format if recipe.channels_last else torch.contiguous_format
        self.register_buffer("mean", _channels(recipe.image.mean), persistent=False)
        self.register_buffer("std", _channels(recipe.image.std), persistent=False)

    def features(self, photos: Tensor) -> dict[str, Tensor]:
        """Features (N, D) by branch of (N, H, W, 3) photos, uint8 or float 0..255.

        They become numbers of the network's own kind on the device, not before.
        """
        # A copy, so that the caller's floats stay.
        scaled = (
            photos.permute(0, 3, 1, 2).to(self.mean.dtype, copy=True, memory_format=self._layout).div_(255)
        )
        normal = (scaled - self.mean) / self.std
        return {branch: backbone(normal) for branch, backbone in self.backbones.items()}

    def forward(self, photos: Tensor) -> heads.Named:
        """Named logits of (N, H, W, 3) photos, uint8 or float 0..255."""
        logits: heads.Named = self.head(self.features(photos))
        return logits

    def log_table(self, photos: Tensor) -> Tensor:
        """Log-probabilities (N, 18) of (N, H, W, 3) photos, uint8 or float 0..255."""
        return self.head.log_table(self(photos))

    def refit(self, weight: Tensor, bias: Tensor) -> None:
        """Replace the head by a linear one without dropout.

        Parameters
        ----------
        weight, bias
            (18, D of all branches, in the order of ``backbones``) and (18,).

        Raises
        ------
        ValueError
            If the shapes are others.
        """
        branches = self.head.branches
        width = weight.shape[1] // len(branches)
        if weight.shape != (classes.COUNT, width * len(branches)) or bias.shape != (classes.COUNT,):
            raise ValueError(
                f"weight {tuple(weight.shape)} and bias {tuple(bias.shape)} do not fit {branches}"
            )
        head = heads.Joint(width, None, branches).to(self.mean.device)
        head.linear.load_state_dict({"weight": weight, "bias": bias})
        self.head = head.train(self.training)


def _channels(values: Sequence[float]) -> Tensor:
    return torch.tensor(values, dtype=torch.float32)[:, None, None]
