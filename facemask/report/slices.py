"""Scores of parts of the people: by age, kind of mask, brightness and the columns that train.csv brings along."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from facemask.evaluation import intervals
from facemask.records import classes, csvfile
from facemask.report.facts import QUANTITIES
from facemask.runtime.arrays import Floats
from facemask.scoring import metrics
from facemask.scoring.predictions import Predictions
from facemask.settings import params

# A column with more different values than this is cut into quarters if it holds numbers, and shortened otherwise.
MOST: Final = 10
OTHER: Final = "other"
# Of the contest's columns; what else stands in train.csv is the user's own.
KNOWN: Final = ("id", "path", "gender", "age")


@dataclass(frozen=True)
class Estimate:
    """A score in 0..1 and its limits; NaN where it is not defined."""

    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Slice:
    """One part of the people.

    Attributes
    ----------
    name
        What its photos have in common.
    people, photos
        How many were scored.
    scores
        ``accuracy`` and ``macro_f1`` over the 18 classes (those that occur), and the accuracy of ``mask``, ``gender``
        and ``age``.
    log_loss
        Nats.
    """

    name: str
    people: int
    photos: int
    scores: Mapping[str, Estimate]
    log_loss: float

    @property
    def few(self) -> bool:
        """Whether there are too few people to rely on."""
        return self.people < metrics.FEW


def groups(rows: pd.DataFrame, facts: pd.DataFrame, extras: pd.DataFrame) -> dict[str, pd.Series[Any]]:
    """Heading to an ordered categorical (N,) of what each photo is sorted by; missing where it is unknown.

    Parameters
    ----------
    rows
        The manifest's rows of the scored photos, indexed by photo.
    facts
        What was measured of them, see :func:`facemask.report.facts.measure`.
    extras
        Further columns of train.csv as text, indexed by photo.
    """
    mask, gender, _ = classes.decode(rows["class"].to_numpy())
    decades = rows["age"] // 10 * 10
    named = {
        "age": _ordered(decades.map(lambda age: f"{age}–{age + 9}"), decades),
        "gender": _ordered(pd.Series([classes.GENDERS[k] for k in gender], rows.index), gender),
        "mask": _ordered(pd.Series([classes.MASKS[k] for k in mask], rows.index), mask),
        "kind of photo": _ordered(rows["kind"], rows["kind"]),
    }
    named |= {str(column): _extra(extras[column].loc[rows.index]) for column in extras}
    named["face box"] = _ordered(rows["face"], rows["face"] != "found")
    for name in ("brightness", "sharpness", "face"):
        about = QUANTITIES[name]
        named[about.label] = quarters(facts[name].loc[rows.index], about.low, about.high)
    named["fold"] = _ordered(rows["fold"].map(lambda fold: f"fold {fold}"), rows["fold"])
    return {name: labels for name, labels in named.items() if labels.nunique() > 1}


def score(split: Predictions, labels: pd.Series[Any], cfg: params.Evaluate, *, seed: int) -> list[Slice]:
    """Score each category of ``labels`` (N,), which is in the order of ``split``'s photos; empty ones are left out."""
    found = []
    for name in labels.cat.categories:
        chosen = (labels == name).to_numpy()
        if chosen.any():
            found.append(_one(str(name), split, chosen, cfg, seed))
    return found


def columns(table: Path, photos: pd.DataFrame) -> pd.DataFrame:
    """Columns of train.csv that the contest does not ask for, as text by labelled photo; ``race`` is one.

    Parameters
    ----------
    table
        The data set's train.csv.
    photos
        Rows of :data:`facemask.records.tables.PHOTOS`.

    Raises
    ------
    UserError
        If the file cannot be read.
    """
    people = csvfile.text(table, "run `dvc repro fix_labels`").drop_duplicates("path").set_index("path")
    people = people.drop(columns=[name for name in KNOWN if name in people])
    labelled = photos[photos["set"] == "labelled"].set_index("photo")["folder"]
    return people.reindex(labelled).set_index(labelled.index)


def quarters(values: pd.Series[float], low: str, high: str) -> pd.Series[Any]:
    """Quarters of the known ``values``, named by their limits; fewer where values repeat."""
    known = values.dropna().to_numpy(np.float64)
    edges = np.unique(np.quantile(known, [0, 0.25, 0.5, 0.75, 1])).tolist() if len(known) else []
    if len(edges) < 3:
        return pd.Series(pd.Categorical([None] * len(values)), values.index)
    shown = [f"{a:.3g} to {b:.3g}" for a, b in itertools.pairwise(edges)]
    shown[0], shown[-1] = f"{low}: {shown[0]}", f"{high}: {shown[-1]}"
    return pd.Series(pd.cut(values, edges, labels=shown, include_lowest=True), values.index)


def _extra(column: pd.Series[str]) -> pd.Series[Any]:
    values = column.mask(column == "")
    if values.nunique() <= MOST:
        return _ordered(values, values)
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().sum() == values.notna().sum():
        return quarters(numbers, "lowest", "highest")
    often = values.value_counts().index[: MOST - 1]
    kept = values.where(values.isna() | values.isin(often), OTHER)
    return _ordered(kept, kept == OTHER)


def _ordered(labels: pd.Series[Any], order: Any) -> pd.Series[Any]:
    """Categories sorted by ``order``, then by name."""
    pairs = pd.DataFrame({"label": labels, "order": np.asarray(order)}).dropna().drop_duplicates()
    names = pairs.sort_values(["order", "label"])["label"].drop_duplicates()
    return pd.Series(pd.Categorical(labels, categories=names, ordered=True), labels.index)


def _one(
    name: str, split: Predictions, chosen: npt.NDArray[np.bool_], cfg: params.Evaluate, seed: int
) -> Slice:
    table, official = split.probabilities[chosen], split.official[chosen]
    people, person = np.unique(split.person[chosen], return_inverse=True)
    tables = metrics.confusions(table, official, person.astype(np.int64))
    limits = intervals.bootstrap(
        tables, _statistics, resamples=cfg.bootstrap, confidence=cfg.confidence, seed=seed
    )
    values = _statistics({key: counts.sum(0) for key, counts in tables.items()})
    unknown = np.full(2, np.nan)
    scores = {
        key: Estimate(float(value), *map(float, unknown if limits is None else limits[key]))
        for key, value in values.items()
    }
    return Slice(name, len(people), len(official), scores, metrics.log_loss(table, official))


def _statistics(tables: Mapping[str, npt.NDArray[Any]]) -> dict[str, Floats]:
    shares = {name: metrics.accuracy(tables[name]) for name in classes.ATTRIBUTES}
    return {
        "accuracy": metrics.accuracy(tables["class"]),
        "macro_f1": metrics.macro_f1(tables["class"]),
    } | shares
