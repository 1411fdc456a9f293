"""Heads: features in, logits out; whatever the head, they end in an (N, 18) table.

A head gives named logits. ``targets`` gives the soft labels that belong to each name, so that a loss needs to know
nothing about heads; ``log_table`` joins the names into log-probabilities of the 18 classes.
"""

from __future__ import annotations

import abc
from collections.abc import Mapping
from typing import assert_never

import torch
from torch import Tensor, nn
from torch.nn import functional

from facemask.network import ages as age_ways
from facemask.network.angular import Angular
from facemask.network.dropout import MultiSample
from facemask.network.outputs import Kind as Kind
from facemask.network.outputs import Named as Named
from facemask.network.outputs import Output as Output
from facemask.network.outputs import one_hot
from facemask.records import bands, classes
from facemask.settings import recipes

ALL = ("all",)
MASKS, GENDERS, BANDS = classes.SHAPE


class Head(nn.Module, abc.ABC):
    """What a classifier and a trainer ask of a head.

    Attributes
    ----------
    outputs
        Name, width and kind of the logits that it gives.
    branches
        Names of the backbones that it wants; ``("all",)`` for one that serves all outputs.
    samples
        Dropout draws a photo in training.
    """

    outputs: dict[str, Output]
    branches: tuple[str, ...]

    def __init__(self, dropout: recipes.Dropout | None) -> None:
        super().__init__()
        self.dropout = MultiSample(dropout)

    @property
    def samples(self) -> int:
        """Dropout draws a photo in training."""
        return self.dropout.samples

    @abc.abstractmethod
    def forward(self, features: Mapping[str, Tensor]) -> Named:
        """Named logits, each (N, width), of features (N, D) by branch.

        In training they have ``samples * N`` rows: the batch whole, once a draw.
        """

    @abc.abstractmethod
    def targets(self, labels: Tensor, ages: Tensor) -> Named:
        """Soft targets for each name, (N, classes) float32, of classes 0..17 (N,) and ages in years (N,).

        Rows of an output that does not apply to the photo are 0.
        """

    def margin(self, logits: Named, targets: Named) -> Named:
        """Logits for the loss: made harder in training where the head wants a margin, else as they are."""
        return logits

    @abc.abstractmethod
    def log_table(self, logits: Named) -> Tensor:
        """Log-probabilities (N, 18); rows of their exponential sum to 1."""


class Eighteen(Head):
    """A head whose one output is the 18 classes."""

    def __init__(self, dropout: recipes.Dropout | None, branches: tuple[str, ...]) -> None:
        super().__init__(dropout)
        self.outputs, self.branches = {"class": Output(classes.COUNT, "softmax")}, branches

    def targets(self, labels: Tensor, ages: Tensor) -> Named:
        """See :class:`Head`."""
        return {"class": one_hot(labels, classes.COUNT)}

    def log_table(self, logits: Named) -> Tensor:
        """See :class:`Head`."""
        return functional.log_softmax(logits["class"].float(), 1)


class Joint(Eighteen):
    """One 18-way classifier, on the features of all its branches side by side."""

    def __init__(
        self, features: int, dropout: recipes.Dropout | None, branches: tuple[str, ...] = ALL
    ) -> None:
        super().__init__(dropout, branches)
        self.linear = nn.Linear(features * len(branches), classes.COUNT)

    def forward(self, features: Mapping[str, Tensor]) -> Named:
        """See :class:`Head`."""
        return {"class": self.linear(self.dropout(torch.cat([features[b] for b in self.branches], 1)))}


class ArcFace(Eighteen):
    """One 18-way classifier by angle; see :class:`~facemask.network.angular.Angular`."""

    def __init__(self, features: int, dropout: recipes.Dropout, *, scale: float, margin: float) -> None:
        super().__init__(dropout, ALL)
        self.angular = Angular(features, classes.COUNT, scale=scale, margin=margin)

    def forward(self, features: Mapping[str, Tensor]) -> Named:
        """See :class:`Head`."""
        return {"class": self.angular(self.dropout(features["all"]))}

    def margin(self, logits: Named, targets: Named) -> Named:
        """See :class:`Head`."""
        if not self.training:
            return logits
        drawn = logits["class"]
        soft = targets["class"].repeat(len(drawn) // len(targets["class"]), 1)
        return {"class": self.angular.with_margin(drawn, soft)}


class Fused(Eighteen):
    """Three branches (mask, gender, age), each with its backbone; their logits go into one 18-way layer."""

    def __init__(self, features: int, dropout: recipes.Dropout) -> None:
        super().__init__(dropout, tuple(classes.ATTRIBUTES))
        self.linears = nn.ModuleDict(
            {name: nn.Linear(features, len(values)) for name, values in classes.ATTRIBUTES.items()}
        )
        self.linear = nn.Linear(sum(classes.SHAPE), classes.COUNT)

    def forward(self, features: Mapping[str, Tensor]) -> Named:
        """See :class:`Head`."""
        logits = [linear(self.dropout(features[name])) for name, linear in self.linears.items()]
        return {"class": self.linear(torch.cat(logits, 1))}


class Multilabel(Head):
    """Seven yes-or-no labels: three mask states, female, three age bands.

    The table is the product of the labels' probabilities, brought to sum 1 among the masks and among the ages.
    """

    def __init__(self, features: int, dropout: recipes.Dropout) -> None:
        super().__init__(dropout)
        self.outputs, self.branches = {"labels": Output(MASKS + 1 + BANDS, "sigmoid")}, ALL
        self.linear = nn.Linear(features, MASKS + 1 + BANDS)

    def forward(self, features: Mapping[str, Tensor]) -> Named:
        """See :class:`Head`."""
        return {"labels": self.linear(self.dropout(features["all"]))}

    def targets(self, labels: Tensor, ages: Tensor) -> Named:
        """See :class:`Head`."""
        mask, gender, band = torch.unravel_index(labels, classes.SHAPE)
        return {"labels": torch.cat([one_hot(mask, MASKS), gender[:, None].float(), one_hot(band, BANDS)], 1)}

    def log_table(self, logits: Named) -> Tensor:
        """See :class:`Head`."""
        mask, female, band = torch.split(logits["labels"].float(), [MASKS, 1, BANDS], 1)
        return _product(
            functional.log_softmax(functional.logsigmoid(mask), 1),
            functional.logsigmoid(torch.cat([-female, female], 1)),
            functional.log_softmax(functional.logsigmoid(band), 1)[:, None],
        )


class Three(Head):
    """Three classifiers (mask, gender, age); the table is the product of their probabilities."""

    names: tuple[str, ...] = ("age",)

    def __init__(
        self, features: int, cfg: recipes.ThreeHead | recipes.AgeByGenderHead, cuts: bands.Cuts
    ) -> None:
        super().__init__(cfg.dropout)
        self.age = age_ways.build(cfg.age, cuts)
        self.outputs = {"mask": Output(MASKS, "softmax"), "gender": Output(GENDERS, "softmax")}
        self.outputs |= dict.fromkeys(self.names, self.age.output)
        self.branches = ALL if cfg.backbones == "one" else tuple(self.outputs)
        self.linears = nn.ModuleDict(
            {name: nn.Linear(features, output.width) for name, output in self.outputs.items()}
        )

    def forward(self, features: Mapping[str, Tensor]) -> Named:
        """See :class:`Head`."""
        dropped = {branch: self.dropout(features[branch]) for branch in self.branches}
        shared = dropped.get("all")
        return {
            name: linear(dropped[name] if shared is None else shared) for name, linear in self.linears.items()
        }

    def targets(self, labels: Tensor, ages: Tensor) -> Named:
        """See :class:`Head`."""
        mask, gender, band = torch.unravel_index(labels, classes.SHAPE)
        age = self.age.targets(band, ages)
        return {"mask": one_hot(mask, MASKS), "gender": one_hot(gender, GENDERS), **self._ages(age, gender)}

    def _ages(self, targets: Tensor, gender: Tensor) -> Named:
        return {"age": targets}

    def log_table(self, logits: Named) -> Tensor:
        """See :class:`Head`."""
        mask, gender = (functional.log_softmax(logits[name].float(), 1) for name in ("mask", "gender"))
        bands = [self.age.log_bands(logits[name]) for name in self.names]
        return _product(mask, gender, torch.stack(bands, 1))


class AgeByGender(Three):
    """As :class:`Three`, with one age classifier a gender: p(class) = p(mask) p(gender) p(age | gender).

    Each age classifier learns from its own gender alone; the other's photos have targets of 0.
    """

    names = tuple(f"age_{gender}" for gender in classes.GENDERS)

    def _ages(self, targets: Tensor, gender: Tensor) -> Named:
        return {name: targets * (gender == k)[:, None] for k, name in enumerate(self.names)}


def _product(mask: Tensor, gender: Tensor, age: Tensor) -> Tensor:
    """Log-table (N, 18) of log-probabilities: (N, 3), (N, 2) and, for all genders or for each, (N, 1 or 2, 3)."""
    return (mask[:, :, None, None] + gender[:, None, :, None] + age[:, None]).flatten(1)


def build(cfg: recipes.Head, features: int, cuts: bands.Cuts) -> Head:
    """Make the head for ``features`` inputs from each of its branches; fine ages are folded back at ``cuts``."""
    match cfg:
        case recipes.JointHead():
            return Joint(features, cfg.dropout)
        case recipes.ArcFaceHead():
            return ArcFace(features, cfg.dropout, scale=cfg.scale, margin=cfg.margin)
        case recipes.ThreeHead():
            return Three(features, cfg, cuts)
        case recipes.FusedHead():
            return Fused(features, cfg.dropout)
        case recipes.MultilabelHead():
            return Multilabel(features, cfg.dropout)
        case recipes.AgeByGenderHead():
            return AgeByGender(features, cfg, cuts)
        case _:
            assert_never(cfg)
