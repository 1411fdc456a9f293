"""Ways to learn age: a target of a class and an age in years, logits, and back to the three bands."""

from __future__ import annotations

import abc
from collections.abc import Sequence
from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional

from facemask.network.outputs import Output, one_hot
from facemask.records.bands import Cuts
from facemask.settings import recipes


class Ages(nn.Module, abc.ABC):
    """What a head asks of its age classifier.

    Attributes
    ----------
    output
        Width and kind of the logits.
    """

    output: Output

    @abc.abstractmethod
    def targets(self, bands: Tensor, ages: Tensor) -> Tensor:
        """Soft targets (N, classes), float32, rows summing to 1, of bands 0..2 (N,) and ages in years (N,)."""

    @abc.abstractmethod
    def log_bands(self, logits: Tensor) -> Tensor:
        """Log-probabilities (N, 3) of the bands, float32, of (N, width) logits."""


class Bands(Ages):
    """The three bands; the target is the class's own, whatever the age."""

    def __init__(self) -> None:
        super().__init__()
        self.output = Output(3, "softmax")

    def targets(self, bands: Tensor, ages: Tensor) -> Tensor:
        """See :class:`Ages`."""
        return one_hot(bands, 3)

    def log_bands(self, logits: Tensor) -> Tensor:
        """See :class:`Ages`."""
        return functional.log_softmax(logits.float(), 1)


class Bins(Ages):
    """Fine age classes, whose probabilities are summed to bands.

    Parameters
    ----------
    edges
        Ages where a class begins, rising, years; K - 1 edges make K classes.
    cuts
        Ages where the middle and the old band begin; both are edges.
    """

    edges: Tensor

    def __init__(self, edges: Sequence[int], cuts: Cuts) -> None:
        super().__init__()
        self.output = Output(len(edges) + 1, "softmax")
        self.register_buffer("edges", torch.tensor(edges), persistent=False)
        self.starts = (edges.index(cuts.young) + 1, edges.index(cuts.old) + 1)

    def targets(self, bands: Tensor, ages: Tensor) -> Tensor:
        """See :class:`Ages`."""
        return one_hot(torch.bucketize(ages.contiguous(), self.edges, right=True), self.output.classes)

    def log_classes(self, logits: Tensor) -> Tensor:
        """Log-probabilities (N, K) of the fine classes, float32."""
        return functional.log_softmax(logits.float(), 1)

    def log_bands(self, logits: Tensor) -> Tensor:
        """See :class:`Ages`."""
        return _fold(self.log_classes(logits), self.starts)


class Corn(Bins):
    """Ordinal regression: logit k says whether the age reaches edge k, given that it reaches the edge before.

    So the probability to reach an edge is a product of sigmoids and can only fall from edge to edge.

    References
    ----------
    Shi, Cao and Raschka, "Deep Neural Networks for Rank-Consistent Ordinal Regression Based On Conditional
    Probabilities", Pattern Analysis and Applications 2023, https://arxiv.org/abs/2111.08851
    """

    def __init__(self, edges: Sequence[int], cuts: Cuts) -> None:
        super().__init__(edges, cuts)
        self.output = Output(len(edges), "ordinal")

    def log_classes(self, logits: Tensor) -> Tensor:
        """Log-probabilities (N, K) of the fine classes, float32."""
        logits = logits.float()
        # Class k: every threshold below k is passed and threshold k is not; the last class passes all.
        reached = functional.pad(functional.logsigmoid(logits).cumsum(1), (1, 0))
        stopped = functional.pad(functional.logsigmoid(-logits), (0, 1))
        return reached + stopped


class Distribution(Ages):
    """A normal distribution around the age, over single years, whose probabilities are summed to bands.

    Parameters
    ----------
    first, last
        The years, both included; an age outside leans on the nearest of them.
    cuts
        Ages where the middle and the old band begin.
    sigma
        Standard deviation, years, above 0.

    References
    ----------
    Gao et al., "Deep Label Distribution Learning with Label Ambiguity", IEEE TIP 2017,
    https://arxiv.org/abs/1611.01731
    """

    years: Tensor

    def __init__(self, first: int, last: int, cuts: Cuts, sigma: float) -> None:
        super().__init__()
        self.output = Output(last - first + 1, "softmax")
        self.register_buffer("years", torch.arange(first, last + 1), persistent=False)
        self.starts = (cuts.young - first, cuts.old - first)
        self.sigma = sigma

    def targets(self, bands: Tensor, ages: Tensor) -> Tensor:
        """See :class:`Ages`."""
        away = (self.years - ages[:, None]).float() / self.sigma
        # The density's constant cancels, and a softmax has no 0 / 0 where all years are far away.
        return functional.softmax(-0.5 * away.square(), 1)

    def log_bands(self, logits: Tensor) -> Tensor:
        """See :class:`Ages`."""
        return _fold(functional.log_softmax(logits.float(), 1), self.starts)


def build(cfg: recipes.Age, cuts: Cuts) -> Ages:
    """Make the way to learn age, whose bands begin at ``cuts``."""
    match cfg:
        case recipes.AgeBands():
            return Bands()
        case recipes.AgeBins():
            return Bins(cfg.edges, cuts)
        case recipes.AgeCorn():
            return Corn(cfg.edges, cuts)
        case recipes.AgeDistribution():
            return Distribution(*cfg.ages, cuts, cfg.sigma)
        case _:
            assert_never(cfg)


def _fold(log_classes: Tensor, starts: tuple[int, int]) -> Tensor:
    """Sum (N, K) log-probabilities to bands, (N, 3); ``starts`` are the first classes of the middle and old band."""
    middle, old = starts
    parts = (log_classes[:, :middle], log_classes[:, middle:old], log_classes[:, old:])
    return torch.stack([part.logsumexp(1) for part in parts], 1)
