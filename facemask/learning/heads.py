"""Heads: features in, logits out; whatever the head, they end in an (N, 18) table.

A head gives named logits. ``targets`` gives the labels that belong to each name, so that a loss needs to know nothing
about heads; ``log_table`` joins the names into log-probabilities of the 18 classes.
"""

from __future__ import annotations

from typing import Protocol, assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional

from facemask import params
from facemask.records import classes

Named = dict[str, Tensor]


class Head(Protocol):
    """What a classifier asks of its head."""

    def __call__(self, features: Tensor) -> Named:
        """Named logits, each (N, its classes), of (N, D) features."""
        ...

    def targets(self, labels: Tensor) -> Named:
        """Labels for each name, each (N,), of classes 0..17, (N,)."""
        ...

    def log_table(self, logits: Named) -> Tensor:
        """Log-probabilities (N, 18); rows of their exponential sum to 1."""
        ...


class Joint(nn.Module):
    """One 18-way classifier."""

    def __init__(self, features: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linear = nn.Linear(features, classes.COUNT)

    def forward(self, features: Tensor) -> Named:
        """See :class:`Head`."""
        return {"class": self.linear(self.dropout(features))}

    def targets(self, labels: Tensor) -> Named:
        """See :class:`Head`."""
        return {"class": labels}

    def log_table(self, logits: Named) -> Tensor:
        """See :class:`Head`."""
        return functional.log_softmax(logits["class"].float(), 1)


class Three(nn.Module):
    """Three classifiers; the table is the product of their probabilities."""

    def __init__(self, features: int, dropout: float) -> None:
        super().__init__()
        self.dropout = nn.Dropout(dropout)
        self.linears = nn.ModuleDict(
            {name: nn.Linear(features, len(v)) for name, v in classes.ATTRIBUTES.items()}
        )

    def forward(self, features: Tensor) -> Named:
        """See :class:`Head`."""
        dropped = self.dropout(features)
        return {name: linear(dropped) for name, linear in self.linears.items()}

    def targets(self, labels: Tensor) -> Named:
        """See :class:`Head`."""
        parts = torch.unravel_index(labels, classes.SHAPE)
        return dict(zip(classes.ATTRIBUTES, parts, strict=True))

    def log_table(self, logits: Named) -> Tensor:
        """See :class:`Head`."""
        mask, gender, age = (functional.log_softmax(logits[name].float(), 1) for name in classes.ATTRIBUTES)
        return (mask[:, :, None, None] + gender[:, None, :, None] + age[:, None, None, :]).flatten(1)


def build(cfg: params.Head, features: int) -> Joint | Three:
    """Make the head for ``features`` inputs."""
    match cfg:
        case params.JointHead():
            return Joint(features, cfg.dropout)
        case params.ThreeHead():
            return Three(features, cfg.dropout)
        case _:
            assert_never(cfg)
