"""Losses: logits (M, C) and soft targets (M, C) in, one number to be lowered out.

A row of targets sums to 1; one of zeros does not apply, adds nothing, and still counts in the mean over M.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING, assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional

from facemask.settings import recipes

if TYPE_CHECKING:
    from facemask.network.outputs import Kind


class Loss(nn.Module):
    """A loss whose classes may have weights.

    Parameters
    ----------
    weights
        (C,) at least 0, or None for 1 each. A photo's loss is multiplied by its class's weight and divided by the
        number of photos, not by the sum of their weights as ``torch.nn.CrossEntropyLoss`` does with whole labels:
        :func:`facemask.training.weighting.class_weights` already makes their mean 1, and a batch full of rare
        classes then counts for more than one without, as it should.
    """

    weights: Tensor | None

    def __init__(self, weights: Tensor | None = None) -> None:
        super().__init__()
        self.register_buffer("weights", weights, persistent=False)

    def weighted(self, targets: Tensor) -> Tensor:
        """Each class's share of each row times the class's weight."""
        return targets if self.weights is None else targets * self.weights


class CrossEntropy(Loss):
    """Cross-entropy with soft targets; ``smoothing`` of each row's mass is spread over all classes."""

    def __init__(self, smoothing: float = 0.0, weights: Tensor | None = None) -> None:
        super().__init__(weights)
        self.smoothing = smoothing

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of (M, C) logits and targets."""
        # torch's own smoothing would give rows of zeros a target.
        even = targets.sum(1, keepdim=True) / targets.shape[1]
        smooth = targets * (1 - self.smoothing) + even * self.smoothing
        return functional.cross_entropy(logits, smooth, weight=self.weights)


class Focal(Loss):
    """Cross-entropy that fades where it is already right: ``-t * (1 - p)**gamma * log(p)`` over all classes.

    Parameters
    ----------
    gamma
        At least 0; 0 is cross-entropy.

    References
    ----------
    Lin et al., "Focal Loss for Dense Object Detection", ICCV 2017, https://arxiv.org/abs/1708.02002
    """

    def __init__(self, gamma: float, weights: Tensor | None = None) -> None:
        super().__init__(weights)
        self.gamma = gamma

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of (M, C) logits and targets."""
        log_p = functional.log_softmax(logits, 1)
        # 1 - p by expm1 keeps its digits, and its gradient, when p is near 1.
        fade = (-torch.expm1(log_p)).clamp_min(1e-12) ** self.gamma
        return -(self.weighted(targets) * fade * log_p).sum(1).mean()


class SoftF1(Loss):
    """One minus macro-F1 with probabilities in place of counts, over the classes that the batch contains.

    Class weights make it a weighted mean over those classes. The lowest value is 0 for whole targets only: F1 counts
    hits, and of a target of a half at most a half can be hit.

    Parameters
    ----------
    eps
        Above 0; keeps the quotient finite.

    References
    ----------
    Bénédict et al., "sigmoidF1: A Smooth F1 Score Surrogate Loss for Multilabel Classification", TMLR 2022,
    https://arxiv.org/abs/2108.10566 (there with sigmoids; with softmax for exclusive classes)
    """

    def __init__(self, eps: float, weights: Tensor | None = None) -> None:
        super().__init__(weights)
        self.eps = eps

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of (M, C) logits and targets."""
        p = functional.softmax(logits, 1) * targets.sum(1, keepdim=True)
        actual = targets.sum(0)
        # F1 = 2 TP / (2 TP + FP + FN), and 2 TP + FP + FN = predicted + actual.
        f1 = 2 * (p * targets).sum(0) / (p.sum(0) + actual + self.eps)
        # A class without a photo in the batch has F1 0 whatever is predicted: it would only add a constant push.
        share = self.weighted((actual > 0).to(p.dtype))
        return (share * (1 - f1)).sum() / share.sum().clamp_min(torch.finfo(p.dtype).tiny)


class SymmetricCrossEntropy(Loss):
    """``alpha`` times cross-entropy plus ``beta`` times its reverse, ``-p * log(t)``, which forgives wrong labels.

    Parameters
    ----------
    log_zero
        Below 0; the least value of ``log(t)``, and so what stands for log 0 (A of the paper).

    References
    ----------
    Wang et al., "Symmetric Cross Entropy for Robust Learning with Noisy Labels", ICCV 2019,
    https://arxiv.org/abs/1908.06112
    """

    def __init__(self, alpha: float, beta: float, log_zero: float, weights: Tensor | None = None) -> None:
        super().__init__(weights)
        self.alpha, self.beta, self.log_zero = alpha, beta, log_zero

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of (M, C) logits and targets."""
        weighted = self.weighted(targets)
        forward = -(weighted * functional.log_softmax(logits, 1)).sum(1)
        log_t = targets.log().clamp_min(self.log_zero)
        # The reverse has no sum over the targets that would hold a photo's weight, or make a row of zeros 0.
        reverse = -weighted.sum(1) * (functional.softmax(logits, 1) * log_t).sum(1)
        return (self.alpha * forward + self.beta * reverse).mean()


class MultilabelSoftMargin(Loss):
    """Binary cross-entropy of each label, averaged over labels and photos; a row of zeros has no label set.

    A class weight multiplies the part of the photos that have the label, not of those that have not.
    """

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of (M, C) logits and targets, each target in 0..1."""
        return functional.binary_cross_entropy_with_logits(logits, targets, pos_weight=self.weights)


class Corn(Loss):
    """Conditional ordinal regression: logit k tells whether the class is above k, given that it is k or above.

    Each of the K - 1 binary tasks learns from the part of each photo that reached it: soft targets put the mass of
    the classes ``k, k+1, ...`` into task k, and of that ``k+1, ...`` on the side of yes. As in the paper, the sum is
    divided by the number (here mass) of photos over all tasks. That is multiplied by the share of rows that apply.

    References
    ----------
    Shi, Cao and Raschka, "Deep Neural Networks for Rank-Consistent Ordinal Regression Based On Conditional
    Probabilities", Pattern Analysis and Applications 2023, https://arxiv.org/abs/2111.08851
    """

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of (M, K - 1) logits and (M, K) targets."""
        weighted = self.weighted(targets)
        yes, no = _mass_from(weighted)[:, 1:], weighted[:, :-1]
        lost = -(yes * functional.logsigmoid(logits) + no * functional.logsigmoid(-logits)).sum()
        tasks = _mass_from(targets)[:, :-1].sum()
        return lost / tasks.clamp_min(torch.finfo(tasks.dtype).tiny) * targets.sum() / len(targets)


class Blend(nn.Module):
    """A weighted sum of losses."""

    def __init__(self, parts: Iterable[tuple[float, nn.Module]]) -> None:
        super().__init__()
        shares, losses = zip(*parts, strict=True)
        self.shares, self.losses = tuple(shares), nn.ModuleList(losses)

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        """Loss of (M, C) logits and targets."""
        values = [share * loss(logits, targets) for share, loss in zip(self.shares, self.losses, strict=True)]
        return torch.stack(values).sum()


def build(cfg: recipes.Loss, kind: Kind, weights: Tensor | None = None) -> nn.Module:
    """Make the loss for one of a head's outputs.

    Parameters
    ----------
    kind
        What the output's logits are; an ordinal output has the CORN loss, whatever ``cfg`` says.
    weights
        Class weights (C,), or None.
    """
    if kind == "ordinal":
        return Corn(weights)
    match cfg:
        case recipes.CrossEntropy():
            return CrossEntropy(cfg.smoothing, weights)
        case recipes.Focal():
            return Focal(cfg.gamma, weights)
        case recipes.SoftF1():
            return SoftF1(cfg.eps, weights)
        case recipes.SymmetricCrossEntropy():
            return SymmetricCrossEntropy(cfg.alpha, cfg.beta, cfg.log_zero, weights)
        case recipes.MultilabelSoftMargin():
            return MultilabelSoftMargin(weights)
        case recipes.Blend():
            return Blend((part.weight, build(part.loss, kind, weights)) for part in cfg.parts)
        case _:
            assert_never(cfg)


def _mass_from(targets: Tensor) -> Tensor:
    """Mass (M, K) of each class and all above it."""
    return targets.flip(1).cumsum(1).flip(1)
