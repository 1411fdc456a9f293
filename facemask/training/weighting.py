"""What class frequencies do to the loss: class weights, and the prior for logit adjustment."""

from __future__ import annotations

from typing import assert_never

import torch
from torch import Tensor

from facemask.settings import recipes


def class_weights(cfg: recipes.ClassWeights, counts: Tensor) -> Tensor | None:
    """Weight of each class in the loss.

    Parameters
    ----------
    counts
        (C,) training photos of each class, at least 0; parts of a photo where targets are soft.

    Returns
    -------
    Tensor or None
        (C,) float32, with mean 1 over the training photos: ``(counts * weights).sum() == counts.sum()``, so that the
        learning rate keeps its meaning. A class without photos has weight 0, since no formula has an answer for it; one
        with less than a photo is weighed as if it had one. None if there is nothing to weigh.

    References
    ----------
    Cui et al., "Class-Balanced Loss Based on Effective Number of Samples", CVPR 2019,
    https://arxiv.org/abs/1901.05555 (effective)
    """
    number = counts.double()
    whole = number.clamp_min(1)
    match cfg:
        case recipes.Nothing():
            return None
        case recipes.InverseCount():
            raw = whole**-cfg.power
        case recipes.InverseLog():
            raw = 1 / torch.log1p(whole)
        case recipes.EffectiveNumber():
            raw = (1 - cfg.beta) / (1 - cfg.beta**whole)
        case _:
            assert_never(cfg)
    raw = torch.where(number > 0, raw, 0)
    total = (number * raw).sum()
    return (raw * number.sum() / total).float() if total > 0 else None


def log_prior(counts: Tensor) -> Tensor:
    """Logarithm of each class's share of the training photos, (C,) float32.

    A class without photos, or with less than half of one, is taken to have half a photo: finite, and below every
    class that was seen.

    References
    ----------
    Menon et al., "Long-tail learning via logit adjustment", ICLR 2021, https://arxiv.org/abs/2007.07314
    """
    present = counts.double().clamp_min(0.5)
    return (present / present.sum()).log().float()
