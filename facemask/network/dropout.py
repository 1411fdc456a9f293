"""Dropout before a classifier, drawn once or several times a photo."""

from __future__ import annotations

from torch import Tensor, nn

from facemask.settings import recipes


class MultiSample(nn.Module):
    """Several dropout draws of each photo's features in training; nothing in evaluation.

    The losses of the draws are averaged by giving the loss all of them as rows.

    Parameters
    ----------
    cfg
        Share of features dropped, and draws a photo; ``None`` for no dropout.

    References
    ----------
    Inoue, "Multi-Sample Dropout for Accelerated Training and Better Generalization", 2019,
    https://arxiv.org/abs/1905.09788
    """

    def __init__(self, cfg: recipes.Dropout | None) -> None:
        super().__init__()
        self.samples = 1 if cfg is None else cfg.samples
        self.dropout = nn.Dropout(0.0 if cfg is None else cfg.p)

    def forward(self, features: Tensor) -> Tensor:
        """(samples * N, D) in training, row ``i`` of draw ``s`` at ``s * N + i``; (N, D) in evaluation."""
        if self.training and self.samples > 1:
            features = features.repeat(self.samples, 1)
        dropped: Tensor = self.dropout(features)
        return dropped
