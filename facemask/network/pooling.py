"""Pooling of feature maps to one vector a photo."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from facemask.settings import recipes

TINY = 1e-6


class GeM(nn.Module):
    """Generalised mean of each channel: ``mean(x ** p) ** (1 / p)`` of what is above 0.

    Parameters
    ----------
    cfg
        The exponent, above 0 (1 is the mean, large tends to the maximum), and whether it is trained.
    nhwc
        True for maps (N, h, w, D) in place of (N, D, h, w).

    References
    ----------
    Radenović, Tolias and Chum, "Fine-tuning CNN Image Retrieval with No Human Annotation", TPAMI 2019,
    https://arxiv.org/abs/1711.02512
    """

    p: Tensor

    def __init__(self, cfg: recipes.Gem, *, nhwc: bool = False) -> None:
        super().__init__()
        self.places = (1, 2) if nhwc else (2, 3)
        if cfg.learn:
            self.p = nn.Parameter(torch.tensor(cfg.p))
        else:
            self.register_buffer("p", torch.tensor(cfg.p), persistent=False)

    def forward(self, maps: Tensor) -> Tensor:
        """Vectors (N, D), at least single precision, of feature maps."""
        above = maps.to(torch.promote_types(maps.dtype, torch.float32)).clamp_min(TINY)
        # The mean scales with its numbers: divided by the largest, no power overflows. For the same reason the divisor
        # passes no gradient of its own.
        largest = above.detach().amax(self.places, keepdim=True)
        mean = (above / largest).pow(self.p).mean(self.places)
        return largest.flatten(1) * mean.pow(1 / self.p)


def attach(network: nn.Module, cfg: recipes.Gem) -> None:
    """Make ``network``, a timm network that gives feature maps, pool them itself.

    The pooling is a part ``gem`` of the network, so that timm still finds its layers under their own names.
    """
    network.gem = GeM(cfg, nhwc=getattr(network, "output_fmt", "NCHW") == "NHWC")
    network.register_forward_hook(_pool)


def _pool(network: nn.Module, inputs: tuple[Tensor, ...], maps: Tensor) -> Tensor:
    pooled: Tensor = network.get_submodule("gem")(maps)
    return pooled
