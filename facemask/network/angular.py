"""A classifier by angle, with an additive angular margin."""

from __future__ import annotations

import math

import torch
from torch import Tensor, nn
from torch.nn import functional


class Angular(nn.Module):
    """``scale`` times the cosine between features and each class's weights.

    Parameters
    ----------
    features, classes
        Length of the feature vector, and number of classes.
    scale
        Above 0; the paper's s.
    margin
        Added to the angle of the true class in training, radians, 0 to pi / 2; the paper's m.

    References
    ----------
    Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019,
    https://arxiv.org/abs/1801.07698
    """

    def __init__(self, features: int, classes: int, *, scale: float, margin: float) -> None:
        super().__init__()
        self.scale, self.margin = scale, margin
        self.weight = nn.Parameter(torch.empty(classes, features))
        nn.init.xavier_normal_(self.weight)

    def forward(self, features: Tensor) -> Tensor:
        """Logits (N, classes) of (N, features)."""
        # Times 64, a cosine in half precision would be a logit in steps of a quarter.
        with torch.autocast(features.device.type, enabled=False):
            return self.scale * functional.linear(
                functional.normalize(features.float()), functional.normalize(self.weight.float())
            )

    def with_margin(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Logits whose true class's angle is larger by the margin; soft ``targets`` (N, classes) share it out."""
        cosine = (logits / self.scale).clamp(-1, 1)
        # The slope of the root is infinite at cosine 1, where float32 cannot tell the angle from 0 anyway.
        sine = (1 - cosine.square()).clamp_min(1e-7).sqrt()
        turned = cosine * math.cos(self.margin) - sine * math.sin(self.margin)
        # Beyond pi the cosine would rise again and reward the wrong answer: fall on in a straight line instead.
        past = cosine < -math.cos(self.margin)
        turned = torch.where(past, cosine - self.margin * math.sin(self.margin), turned)
        return self.scale * (targets * turned + (1 - targets) * cosine)
