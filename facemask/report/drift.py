"""Labelled against eval photos: distributions, predicted classes, and whether a classifier tells them apart."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd
from sklearn.impute import SimpleImputer
from sklearn.linear_model import RidgeClassifier
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import PolynomialFeatures, StandardScaler

from facemask.records import classes
from facemask.report.facts import QUANTITIES
from facemask.runtime.arrays import Floats, Ints

BINS: Final = 24
FOLDS: Final = 5
# Draws of labelled people that are treated as if they were eval photos.
DRAWS: Final = 20
# Two-sided 95 %.
NORMAL: Final = 1.96
# Photos of one side that adversarial validation looks at, evenly spaced: more tell nothing new.
MOST: Final = 10_000


@dataclass(frozen=True)
class Shift:
    """How one quantity is distributed on both sides.

    Attributes
    ----------
    name
        Key of :data:`facemask.report.facts.QUANTITIES`.
    labelled, eval
        Quartiles (3,).
    edges
        (BINS + 1,) of the histograms.
    shares
        (2, BINS) shares of the labelled and of the eval photos; what lies outside the edges counts in the last bin.
    auc
        Probability that an eval photo has more of it than a labelled one, 0..1; .5 where there is no shift.
    """

    name: str
    labelled: Floats
    eval: Floats
    edges: Floats
    shares: Floats
    auc: float


@dataclass(frozen=True)
class Share:
    """How often a class is predicted: share of labelled (out-of-fold) and eval photos, and how far chance goes.

    Attributes
    ----------
    chance
        Half-width of the 95 % interval of the difference if both were people of one kind.
    """

    name: str
    labelled: float
    eval: float
    chance: float

    @property
    def beyond(self) -> bool:
        """Whether the difference is larger than chance explains."""
        return abs(self.eval - self.labelled) > self.chance


@dataclass(frozen=True)
class Adversarial:
    """How well a classifier tells eval photos from labelled ones by what was measured of them.

    Attributes
    ----------
    auc
        Area under its ROC curve, cross-validated by person; .5 where it cannot.
    low, high
        Smallest and largest area over :data:`DRAWS` draws of labelled people treated as if they were eval photos.
    """

    auc: float
    low: float
    high: float

    @property
    def beyond(self) -> bool:
        """Whether the sides differ more than two draws of the same people."""
        return self.auc > self.high


def shifts(labelled: pd.DataFrame, eval_: pd.DataFrame) -> list[Shift]:
    """Compare each measured quantity; one that is unknown for all photos of a side is left out."""
    found = []
    for name in QUANTITIES:
        ours, theirs = (side[name].dropna().to_numpy(np.float64) for side in (labelled, eval_))
        if not len(ours) or not len(theirs):
            continue
        both = np.concatenate([ours, theirs])
        low, high = np.quantile(both, [0.005, 0.995])
        edges = np.linspace(low, high if high > low else low + 1, BINS + 1)
        counts = [
            np.histogram(side.clip(edges[0], edges[-1]), edges)[0] / len(side) for side in (ours, theirs)
        ]
        side = np.repeat([0, 1], [len(ours), len(theirs)])
        middle, other = (np.quantile(side, [0.25, 0.5, 0.75]) for side in (ours, theirs))
        found.append(Shift(name, middle, other, edges, np.stack(counts), float(roc_auc_score(side, both))))
    return found


def shares(ours: Floats, person: Ints, theirs: Floats) -> dict[str, list[Share]]:
    """Compare how often each class, and each value of an attribute, is predicted.

    Nobody knows which eval photos show one person. As chance is that of people, they are taken to be as many photos a
    person as the labelled ones.

    Parameters
    ----------
    ours, theirs
        (N, 18) and (M, 18) probabilities, out-of-fold and of the eval photos.
    person
        (N,) index 0..P-1 of each labelled photo's person.
    """
    people = int(person.max()) + 1
    strangers = max(1.0, len(theirs) * people / len(ours))
    photos = np.bincount(person, minlength=people)
    found = {}
    for attribute, values in (("class", classes.NAMES), *classes.ATTRIBUTES.items()):
        called = [_called(table, attribute) for table in (ours, theirs)]
        listed = []
        for value, name in enumerate(values):
            hits = np.bincount(person, weights=called[0] == value, minlength=people)
            share, other = float(hits.sum() / photos.sum()), float((called[1] == value).mean())
            # Of a ratio of sums over people, by the delta method; at least as if each photo stood for itself.
            spread = np.mean((hits - share * photos) ** 2) / photos.mean() ** 2
            pooled = (hits.sum() + other * len(theirs)) / (len(ours) + len(theirs))
            least = pooled * (1 - pooled) * people / len(ours)
            error = np.sqrt(max(spread, least) * (1 / people + 1 / strangers))
            listed.append(Share(name, share, other, float(NORMAL * error)))
        found[attribute] = listed
    return found


def adversarial(
    labelled: pd.DataFrame, person: pd.Series[str], eval_: pd.DataFrame, *, seed: int
) -> Adversarial | None:
    """Train a classifier to tell the sides apart; None where a side has fewer than two photos a fold.

    A ridge regression on the measured quantities and their products. A labelled person is in one fold; that eval
    photos of one person are in several favours the classifier, so what it reaches is held against labelled people whose
    photos are dealt out in the same way.

    Parameters
    ----------
    labelled, eval_
        What was measured, see :func:`facemask.report.facts.measure`.
    person
        Each labelled photo's person, in the order of ``labelled``.
    """
    ours = _spaced(labelled.assign(person=person.to_numpy()))
    theirs = _spaced(eval_)
    columns, people = list(QUANTITIES), np.unique(ours["person"])
    if min(len(people), len(theirs)) < 2 * FOLDS:
        return None
    auc = _auc(ours[columns], ours["person"], theirs[columns], seed)
    rng = np.random.default_rng(seed)
    strangers = max(1, min(round(len(theirs) * len(people) / len(ours)), len(people) // 2))
    null = []
    for _ in range(DRAWS):
        drawn = ours["person"].isin(rng.choice(people, strangers, replace=False))
        rest, away = ours[~drawn], ours[drawn]
        null.append(_auc(rest[columns], rest["person"], away[columns], seed))
    return Adversarial(auc, min(null), max(null))


def _called(table: Floats, attribute: str) -> Ints:
    whole = table if attribute == "class" else classes.marginals(table)[attribute]
    return np.asarray(whole.argmax(1), dtype=np.int64)


def _spaced(side: pd.DataFrame) -> pd.DataFrame:
    return side if len(side) <= MOST else side.iloc[np.linspace(0, len(side) - 1, MOST).astype(int)]


def _auc(ours: pd.DataFrame, person: pd.Series[str], theirs: pd.DataFrame, seed: int) -> float:
    values = pd.concat([ours, theirs]).to_numpy(np.float64)
    side: npt.NDArray[Any] = np.repeat([0, 1], [len(ours), len(theirs)])
    rng = np.random.default_rng(seed)
    # People of one side and photos of the other are dealt out evenly; scikit-learn's own way takes seconds.
    people, place = np.unique(person, return_inverse=True)
    fold = np.concatenate([rng.permutation(len(people))[place], rng.permutation(len(theirs))]) % FOLDS
    # What is prepared knows nothing of the sides, so all folds may share it.
    prepared = make_pipeline(
        SimpleImputer(strategy="median", keep_empty_features=True),
        StandardScaler(),
        PolynomialFeatures(2, include_bias=False),
        StandardScaler(),
    ).fit_transform(values)
    model = RidgeClassifier(alpha=10.0, class_weight="balanced")
    found = cross_val_predict(model, prepared, side, cv=PredefinedSplit(fold), method="decision_function")
    return float(roc_auc_score(side, found))
