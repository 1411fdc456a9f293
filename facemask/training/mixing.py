"""Batches whose photos and soft targets are mixed in pairs.

References
----------
Zhang et al.: mixup: Beyond Empirical Risk Minimization, 2018. https://arxiv.org/abs/1710.09412
Yun et al.: CutMix: Regularization Strategy to Train Strong Classifiers with Localizable Features, 2019.
https://arxiv.org/abs/1905.04899
"""

from __future__ import annotations

from typing import Protocol

import numpy as np
import torch
from torch import Tensor

from facemask.settings import recipes

Named = dict[str, Tensor]


class Mixing(Protocol):
    """Mixes one batch; what is drawn depends on the seed, the step and the batch's shape alone."""

    def __call__(self, photos: Tensor, targets: Named, step: int) -> tuple[Tensor, Named]:
        """Return photos and targets, mixed or as they came.

        Parameters
        ----------
        photos
            (N, H, W, 3) uint8, on any device.
        targets
            (N, C) float each.
        step
            Counts batches from the start of the training, so that a restart repeats the draws.

        Returns
        -------
        photos
            (N, H, W, 3): uint8 as they came or cut, float32 in 0..255 where pixels are averaged.
        targets
            All mixed by the share of the pixels. A row that was all zero counts as zeros.
        """
        ...


class Plain:
    """Leave every batch as it is."""

    def __call__(self, photos: Tensor, targets: Named, step: int) -> tuple[Tensor, Named]:
        """See :class:`Mixing`."""
        return photos, targets


class Mixup:
    """Average each photo with another of its batch (Zhang et al. 2018)."""

    def __init__(self, cfg: recipes.Mixup, seed: int) -> None:
        self.cfg, self.seed = cfg, seed

    def __call__(self, photos: Tensor, targets: Named, step: int) -> tuple[Tensor, Named]:
        """See :class:`Mixing`."""
        generator = np.random.default_rng([self.seed, step, 3])
        if generator.random() >= self.cfg.p:
            return photos, targets
        share = float(generator.beta(self.cfg.alpha, self.cfg.alpha))
        partner = _partner(generator, photos)
        # lerp takes the other's share.
        whole = photos.float()
        return torch.lerp(whole, whole[partner], 1 - share), _mixed(targets, partner, 1 - share)


class CutMix:
    """Paste a rectangle of another photo of the batch into each, all at one place (Yun et al. 2019)."""

    def __init__(self, cfg: recipes.CutMix, seed: int) -> None:
        self.cfg, self.seed = cfg, seed

    def __call__(self, photos: Tensor, targets: Named, step: int) -> tuple[Tensor, Named]:
        """See :class:`Mixing`."""
        generator = np.random.default_rng([self.seed, step, 3])
        if generator.random() >= self.cfg.p:
            return photos, targets
        side = np.sqrt(generator.beta(self.cfg.alpha, self.cfg.alpha))
        partner = _partner(generator, photos)
        height, width = photos.shape[1:3]
        rows, columns = _span(generator, height, side), _span(generator, width, side)
        cut = photos.clone()
        cut[:, rows, columns] = photos[partner, rows, columns]
        # A rectangle over the edge is cut off there: the targets follow what was pasted, not what was drawn.
        pasted = (rows.stop - rows.start) * (columns.stop - columns.start) / (height * width)
        return cut, _mixed(targets, partner, pasted)


def _partner(generator: np.random.Generator, photos: Tensor) -> Tensor:
    return torch.from_numpy(generator.permutation(len(photos))).to(photos.device)


def _span(generator: np.random.Generator, length: int, side: float) -> slice:
    size, centre = int(length * side), int(generator.integers(length))
    return slice(max(centre - size // 2, 0), min(centre - size // 2 + size, length))


def _mixed(targets: Named, partner: Tensor, other: float) -> Named:
    return {name: torch.lerp(rows, rows[partner], other) for name, rows in targets.items()}


def build(cfg: recipes.Nothing | recipes.Mixup | recipes.CutMix, seed: int) -> Mixing:
    """Make what ``cfg`` names."""
    match cfg:
        case recipes.Nothing():
            return Plain()
        case recipes.Mixup():
            return Mixup(cfg, seed)
        case recipes.CutMix():
            return CutMix(cfg, seed)
