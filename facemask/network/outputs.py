"""What heads give and losses take: named logits, and how each is to be read."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

Named = dict[str, Tensor]
Kind = Literal["softmax", "sigmoid", "ordinal"]


@dataclass(frozen=True)
class Output:
    """One named output of a head.

    Attributes
    ----------
    width
        Logits a photo. Targets are as wide, but one wider for ``ordinal``.
    kind
        ``softmax``: classes that exclude each other. ``sigmoid``: yes-or-no labels. ``ordinal``: one logit a threshold
        between classes in order, each given that the threshold before it was passed (CORN).
    """

    width: int
    kind: Kind

    @property
    def classes(self) -> int:
        """Width of the targets."""
        return self.width + (self.kind == "ordinal")


def one_hot(index: Tensor, width: int) -> Tensor:
    """Soft targets (N, width), float32, of classes (N,); never waits for the device, as torch's own does."""
    return (index[:, None] == torch.arange(width, device=index.device)).float()
