"""What the page says of the scores: first screen, tables, confusion matrices, calibration, learning curves, slices."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from facemask.evaluation import intervals
from facemask.records import classes
from facemask.report import charts, slices
from facemask.report.charts import Chart
from facemask.report.inputs import Inputs
from facemask.report.slices import Estimate, Slice
from facemask.runtime.arrays import Floats, Ints
from facemask.scoring import metrics
from facemask.settings import params

SPLITS: Final = {
    "oof": "out-of-fold",
    "holdout": "hold-out",
    "shared": "out-of-fold, shared among photos of one face",
    "eval": "eval",
}
SCORES: Final = metrics.LABELS | {
    "raw_log_loss": "log loss before calibration",
    "raw_ece": "calibration error before calibration",
}


@dataclass(frozen=True)
class Column:
    """Scores of one split: heading, how many people and photos, and an estimate a score (NaN where there is none)."""

    name: str
    people: int | None
    photos: int
    scores: Mapping[str, Estimate]


@dataclass(frozen=True)
class ClassRow:
    """One class or one value of an attribute: how many, precision, recall and F1 with limits, out-of-fold."""

    name: str
    people: int
    photos: int
    predicted: int
    precision: float
    recall: float
    f1: Estimate

    @property
    def few(self) -> bool:
        """Whether there are too few people to rely on."""
        return self.people < metrics.FEW


@dataclass(frozen=True)
class Matrix:
    """A confusion matrix in full: true classes as rows, predicted ones as columns."""

    title: str
    names: Sequence[str]
    counts: Ints
    wide: bool

    @property
    def rows(self) -> list[tuple[str, int, list[tuple[int, float]]]]:
        """True class, its photos, and of each predicted class how many they are and their share."""
        found = []
        for name, counts in zip(self.names, self.counts.tolist(), strict=True):
            total = sum(counts)
            found.append((name, total, [(count, count / total if total else 0.0) for count in counts]))
        return found


def columns(given: Inputs) -> list[Column]:
    """Scores by split, the eval photos' last and only where their classes are known."""
    tellers: dict[str, Mapping[str, Any]] = {
        name: given.details[name] for name in ("oof", "holdout") if name in given.details
    }
    if "consensus" in given.details:
        tellers["shared"] = given.details["consensus"]["oof"]
    answered = given.counts["infer"]
    if answered.get("macro_f1") is not None:
        tellers["eval"] = answered
    found = []
    for name, told in tellers.items():
        told = {**told, **{f"raw_{key}": value for key, value in told.get("uncalibrated", {}).items()}}
        scores = {
            key: Estimate(*(_number(told, f"{key}{end}") for end in ("", "_low", "_high"))) for key in SCORES
        }
        found.append(Column(SPLITS[name], told.get("people"), told.get("scored", told["photos"]), scores))
    return found


def class_rows(given: Inputs, cfg: params.Evaluate, *, seed: int) -> dict[str, list[ClassRow]]:
    """Rows for the class and for each attribute, out-of-fold; limits are those that evaluate finds."""
    split = given.splits["oof"]
    tables = metrics.confusions(split.probabilities, split.official, split.person)
    limits = intervals.bootstrap(tables, _f1, resamples=cfg.bootstrap, confidence=cfg.confidence, seed=seed)
    found = {}
    for attribute, values in (("class", classes.NAMES), *classes.ATTRIBUTES.items()):
        each = tables[attribute]
        whole = each.sum(0)
        bounds = np.full((2, len(values)), np.nan) if limits is None else limits[attribute]
        rows = []
        for k, name in enumerate(values):
            hits, true, predicted = (int(count) for count in (whole[k, k], whole[k].sum(), whole[:, k].sum()))
            rows.append(
                ClassRow(
                    name,
                    people=int((each[:, k].sum(1) > 0).sum()),
                    photos=true,
                    predicted=predicted,
                    precision=hits / predicted if predicted else np.nan,
                    recall=hits / true if true else np.nan,
                    f1=Estimate(float(metrics.f1(whole)[k]), float(bounds[0, k]), float(bounds[1, k])),
                )
            )
        found[attribute] = rows
    return found


def _f1(tables: Mapping[str, npt.NDArray[Any]]) -> dict[str, Floats]:
    return {name: metrics.f1(table) for name, table in tables.items()}


def matrices(given: Inputs) -> dict[str, list[Matrix]]:
    """Confusion matrices by split: the 18 classes first, then each attribute."""
    found = {}
    for name, split in given.splits.items():
        tables = metrics.confusions(split.probabilities, split.official)
        every = (("class", classes.NAMES), *classes.ATTRIBUTES.items())
        found[SPLITS[name]] = [
            Matrix(
                f"{'18 classes' if key == 'class' else key}, {SPLITS[name]}",
                values,
                tables[key][0],
                key == "class",
            )
            for key, values in every
        ]
    return found


def calibration(given: Inputs) -> list[tuple[Chart, float]]:
    """A reliability diagram a split, and its expected calibration error."""
    found = []
    for name, bins in given.reliability.groupby("split", sort=False):
        chart = Chart(str(name), "stated probability", "share that is right", (0, 1), (0, 1))
        chart.line([0, 1], [0, 1], "ideal", "perfectly calibrated")
        chart.line(bins["confidence"], bins["accuracy"], "s0", str(name))
        most = bins["photos"].max()
        columns = (bins[column].tolist() for column in ("photos", "confidence", "accuracy"))
        for photos, confidence, accuracy in zip(*columns, strict=True):
            told = f"{photos} photos: {confidence:.0%} sure, {accuracy:.0%} right"
            chart.dot(confidence, accuracy, 2 + 4 * np.sqrt(photos / most), "s0", told)
        gap = (bins["confidence"] - bins["accuracy"]).abs()
        found.append((chart, float(np.average(gap, weights=bins["photos"]))))
    return found


def learning(given: Inputs) -> list[Chart]:
    """Loss and macro-F1 over the epochs, a line for each fold and side."""
    losses, scores = {}, {}
    for place, (fold, tables) in enumerate(given.curves.items()):
        style = f"s{place % 6}"
        for side, part in tables["loss"].groupby("curve", sort=True):
            dashed = " dashed" if side == "training" else ""
            losses[f"fold {fold}, {side}"] = (part["epoch"].tolist(), part["loss"].tolist(), style + dashed)
        told = tables["scores"]
        scores[f"fold {fold}"] = (told["epoch"].tolist(), told["macro_f1"].tolist(), style)
    return [
        charts.curves("Loss", "loss", losses),
        charts.curves("Validation macro-F1", "macro-F1", scores, 1.0),
    ]


def parts(given: Inputs, facts: pd.DataFrame, cfg: params.Evaluate, *, seed: int) -> dict[str, list[Slice]]:
    """Slices of the out-of-fold people by heading."""
    split = given.splits["oof"]
    rows = given.manifest.set_index("photo").loc[split.photos]
    grouped = slices.groups(rows, facts, given.extras)
    return {name: slices.score(split, labels, cfg, seed=seed) for name, labels in grouped.items()}


def cautions(given: Inputs, rows: Mapping[str, Sequence[ClassRow]]) -> list[str]:
    """What to beware of before a score is believed."""
    found = []
    shared = given.details.get("consensus", {})
    if shared:
        found.append(
            "Eval photos were used: those that show one face share their answers on gender and age (infer.consensus)."
        )
    if shared.get("networks_used_eval_photos", given.details.get("eval_photos_used")):
        found.append("A network learnt from the eval photos (train.pool).")
    if few := sorted((row.people, row.name) for row in rows["class"] if row.few):
        people, name = few[0]
        found.append(
            f"{len(few)} of {classes.COUNT} classes have fewer than {metrics.FEW} people out-of-fold (fewest: {name}, "
            f"{people}): each of them moves macro-F1."
        )
    return found


def _number(told: Mapping[str, Any], key: str) -> float:
    value = told.get(key)
    return float("nan") if value is None else float(value)
