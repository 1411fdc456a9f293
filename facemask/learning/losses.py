"""Losses: logits (N, C) and labels (N,) in, one number to be lowered out."""

from __future__ import annotations

from collections.abc import Callable
from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional

from facemask import params

Loss = Callable[[Tensor, Tensor], Tensor]


class FocalLoss(nn.Module):
    """Cross-entropy that fades for photos that are already right: ``-(1 - p)**gamma * log(p)``, mean over the batch.

    Parameters
    ----------
    gamma
        At least 0; 0 is cross-entropy.

    References
    ----------
    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, https://arxiv.org/abs/1708.02002
    """

    def __init__(self, gamma: float) -> None:
        super().__init__()
        self.gamma = gamma

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of (N, C) logits and (N,) labels."""
        log_p = functional.log_softmax(logits, 1).gather(1, labels[:, None])[:, 0]
        # 1 - p by expm1 keeps its digits, and its gradient, when p is near 1.
        return (-((-torch.expm1(log_p)).clamp_min(1e-12) ** self.gamma) * log_p).mean()


class SoftF1Loss(nn.Module):
    """One minus macro-F1 with probabilities in place of counts, over the classes that the batch contains.

    Parameters
    ----------
    eps
        Above 0; keeps the quotient finite.

    References
    ----------
    Bénédict et al., "sigmoidF1: A Smooth F1 Score Surrogate Loss for Multilabel Classification", TMLR 2022,
    https://arxiv.org/abs/2108.10566 (there with sigmoids; with softmax for exclusive classes)
    """

    def __init__(self, eps: float) -> None:
        super().__init__()
        self.eps = eps

    def forward(self, logits: Tensor, labels: Tensor) -> Tensor:
        """Loss of (N, C) logits and (N,) labels."""
        p = functional.softmax(logits, 1)
        truth = functional.one_hot(labels, logits.shape[1]).to(p.dtype)
        hits = (p * truth).sum(0)
        # F1 = 2 TP / (2 TP + FP + FN), and 2 TP + FP + FN = predicted + actual.
        f1 = 2 * hits / (p.sum(0) + truth.sum(0) + self.eps)
        # A class without a photo in the batch has F1 0 whatever is predicted: it would only add a constant push.
        present = truth.sum(0) > 0
        return 1 - f1[present].mean()


def build(cfg: params.Loss) -> nn.Module:
    """Make the loss."""
    match cfg:
        case params.CrossEntropy():
            return nn.CrossEntropyLoss(label_smoothing=cfg.smoothing)
        case params.Focal():
            return FocalLoss(cfg.gamma)
        case params.SoftF1():
            return SoftF1Loss(cfg.eps)
        case _:
            assert_never(cfg)
