"""Limits on gradients, set between the backward pass and the optimiser's step."""

from __future__ import annotations

from typing import TYPE_CHECKING, assert_never

from timm.utils import dispatch_clip_grad  # type: ignore[attr-defined]

from facemask.settings import recipes

if TYPE_CHECKING:
    from facemask.network.classifier import Classifier

Clip = recipes.Nothing | recipes.ClipNorm | recipes.ClipValue | recipes.ClipAdaptive


def clip(cfg: Clip, model: Classifier) -> None:
    """Shorten the gradients of ``model`` in place.

    Adaptive clipping leaves the head alone, as in its paper: its gradient is large when and because a photo is wrong.

    References
    ----------
    Pascanu et al., "On the difficulty of training recurrent neural networks", ICML 2013,
    https://arxiv.org/abs/1211.5063 (norm)

    Brock et al., "High-Performance Large-Scale Image Recognition Without Normalization", ICML 2021,
    https://arxiv.org/abs/2102.06171 (agc)
    """
    match cfg:
        case recipes.Nothing():
            pass
        case recipes.ClipNorm() | recipes.ClipValue():
            dispatch_clip_grad(model.parameters(), cfg.limit, mode=cfg.kind)
        case recipes.ClipAdaptive():
            dispatch_clip_grad(model.backbones.parameters(), cfg.limit, mode=cfg.kind)
        case _:
            assert_never(cfg)
