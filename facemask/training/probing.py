"""A probe: the head is fitted by scikit-learn on the features of a backbone that stays as it was loaded.

Every probe ends as the weights of a linear head, so that what was probed is a network like another: it is saved,
loaded, answers, is combined and exported as any.

References
----------
Alain and Bengio, "Understanding Intermediate Layers Using Linear Classifier Probes", 2016, https://arxiv.org/abs/1610.01644
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression, Ridge
from torch import nn

from facemask.network import ages, heads
from facemask.network.classifier import Classifier
from facemask.runtime.arrays import Floats, Ints, Pixels, Table
from facemask.runtime.errors import UserError
from facemask.scoring import metrics
from facemask.settings import recipes
from facemask.training import features
from facemask.training.batches import Side
from facemask.training.curves import write

Probe = recipes.ProbeLogistic | recipes.ProbeRidge
# Logit of a class that no training photo has.
ABSENT: Final = -30.0


@dataclass(frozen=True)
class Linear:
    """Weights (K, D) and biases (K,) on plain features."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True)
class Rows:
    """Rows to fit on.

    Attributes
    ----------
    values
        Standardised features (N, D).
    counts, targets, years
        How often each row counts, its class on the trainer's bands, its age; (N,) each.
    mean, std
        What was taken off each feature, and what divided the rest; (D,) each.
    """

    values: Floats
    counts: Floats
    targets: Ints
    years: Ints
    mean: Floats
    std: Floats

    @staticmethod
    def of(found: Floats, counts: npt.NDArray[Any], targets: Ints, years: Ints) -> Rows:
        """Standardise the features ``found`` (N, D)."""
        mean, std = found.mean(0), found.std(0) + 1e-6
        return Rows((found - mean) / std, counts.astype(np.float64), targets, years, mean, std)

    def plain(self, weight: Floats, bias: Floats) -> Linear:
        """The same layer for features that are not standardised."""
        scaled = weight / self.std
        return Linear(scaled, bias - scaled @ self.mean)


def train(
    recipe: recipes.Recipe, probe: Probe, side: Side, val: Side, *, seed: int, curves: Path
) -> tuple[Classifier, float]:
    """Make the network, fit its head on ``side``, and write learning curves of one point to the folder ``curves``.

    Returns
    -------
    The network in evaluation mode on the CPU, and its macro-F1 on the official classes of ``val``.

    Raises
    ------
    UserError
        As for :func:`fit`, and if the backbone cannot be made.
    """
    # Random weights of a backbone without any, and of the head that is replaced.
    torch.manual_seed(seed)
    model = Classifier(recipe, cuts=side.cuts).eval()
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    fit(probe, model, side)
    seen, unseen = predict(model, side.pixels), predict(model, val.pixels)
    found = metrics.score(unseen, val.labels)
    losses = {
        "train/loss": metrics.log_loss(seen, side.targets),
        "val/loss": metrics.log_loss(unseen, val.labels),
    }
    scores = {"val/macro_f1": found["macro_f1"], "val/accuracy": found["accuracy"], "train/lr": 0.0}
    write(curves, [losses | scores])
    return model, found["macro_f1"]


def fit(probe: Probe, model: Classifier, train: Side) -> None:
    """Fit the head of ``model``, a :class:`facemask.network.heads.Three` on one backbone, in place.

    Raises
    ------
    UserError
        If the training photos have one class alone of an output.
    """
    head = model.head
    assert isinstance(head, heads.Three)
    found = _features(probe, model, train)
    photos = Rows.of(found, train.repeats, train.targets, train.ages)
    people = _pooled(found, train) if probe.people and train.people is not None else photos
    for name, output in head.outputs.items():
        # A person's photos have gender and age in common, not the mask.
        rows = photos if name == "mask" else people
        if name == "age" and isinstance(probe, recipes.ProbeRidge):
            assert isinstance(head.age, ages.Distribution)
            fitted = ridge(probe, rows, head.age)
        else:
            # The targets of a softmax over classes that exclude each other are one-hot.
            told = head.targets(torch.tensor(rows.targets), torch.tensor(rows.years))[name]
            fitted = logistic(getattr(probe.c, name), rows, told.argmax(1).numpy(), output.classes, name)
        linear = head.linears[name]
        assert isinstance(linear, nn.Linear)
        linear.load_state_dict(
            {"weight": torch.from_numpy(fitted.weight).float(), "bias": torch.from_numpy(fitted.bias).float()}
        )
    model.eval()


def predict(model: Classifier, pixels: Pixels) -> Table:
    """Probabilities (N, 18) of photos (N, H, W, 3) uint8, through features that are computed once."""
    found = features.of(model, pixels, label="features")
    if not len(found):
        return np.zeros((0, 18))
    with torch.inference_mode():
        logits = model.head({"all": torch.from_numpy(found).float()})
        table = model.head.log_table(logits).double().exp().numpy()
    return np.asarray(table / table.sum(1, keepdims=True))


def _features(probe: Probe, model: Classifier, train: Side) -> Floats:
    found = features.of(model, train.pixels, label="features")
    if not probe.mirrored:
        return found
    return (found + features.of(model, train.pixels[:, :, ::-1], label="features, mirrored")) / 2


def _pooled(found: Floats, train: Side) -> Rows:
    """Photos, and below them the mean of each person's, which counts as much as those together."""
    assert train.people is not None
    _, first, who = np.unique(train.people, return_index=True, return_inverse=True)
    weight = np.bincount(who, train.repeats)
    mean = np.zeros((len(first), found.shape[1]))
    np.add.at(mean, who, found * train.repeats[:, None])
    return Rows.of(
        np.concatenate([found, mean / weight[:, None]]),
        np.concatenate([train.repeats, weight]),
        np.concatenate([train.targets, train.targets[first]]),
        np.concatenate([train.ages, train.ages[first]]),
    )


def logistic(c: float, rows: Rows, labels: Ints, count: int, name: str) -> Linear:
    """Logistic regression of ``count`` classes; those that no row has get next to no probability.

    Parameters
    ----------
    c
        Inverse of the regularisation's strength.
    name
        Of the output, for the error.

    Raises
    ------
    UserError
        If all rows are of one class.
    """
    known = np.unique(labels[rows.counts > 0])
    if len(known) < 2:
        raise UserError(
            f"train.probe: the training photos have one class of {name} alone; nothing can be told apart"
        )
    model = LogisticRegression(C=c, max_iter=1000)
    with warnings.catch_warnings():
        # Features of a thousand dimensions need not converge to the last digit.
        warnings.simplefilter("ignore", ConvergenceWarning)
        model.fit(rows.values, labels, sample_weight=rows.counts)
    coefficients, intercepts = model.coef_, model.intercept_
    if len(known) == 2:
        # Of two classes scikit-learn keeps the second's coefficients alone.
        coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
        intercepts = np.concatenate([np.zeros_like(intercepts), intercepts])
    weight, bias = np.zeros((count, rows.values.shape[1])), np.full(count, ABSENT)
    weight[known], bias[known] = coefficients, intercepts
    return rows.plain(weight, bias)


def ridge(probe: recipes.ProbeRidge, rows: Rows, age: ages.Distribution) -> Linear:
    """Ridge regression on the age in years, as a normal distribution around its answer.

    The logarithm of a normal density at year y, -(y - mu)^2 / (2 sigma^2), is linear in mu but for a term that all
    years share: a linear layer gives it exactly.
    """
    model = Ridge(alpha=probe.alpha).fit(rows.values, rows.years, sample_weight=rows.counts)
    # Counted from the middle, so that single precision keeps the digits.
    middle = float(np.mean(rows.years))
    away = (age.years.numpy() - middle) / probe.sigma**2
    weight = away[:, None] * np.asarray(model.coef_)[None]
    bias = away * (float(model.intercept_) - middle) - away**2 * probe.sigma**2 / 2
    return rows.plain(weight, bias)
