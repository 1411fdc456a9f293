"""The page's data: ages, classes before and after balancing, unreadable photos, and drift to the eval photos."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from facemask.records import classes
from facemask.report import charts, drift
from facemask.report.charts import Chart
from facemask.report.drift import Adversarial, Share, Shift
from facemask.report.facts import QUANTITIES
from facemask.report.inputs import Inputs
from facemask.runtime.errors import UserError
from facemask.scoring.predictions import COLUMNS

YEARS: Final = 5


@dataclass(frozen=True)
class Drift:
    """Labelled against eval photos: shifts with their charts, predicted shares by attribute, adversarial validation."""

    shifts: Sequence[tuple[Shift, Chart]]
    shares: Mapping[str, Sequence[Share]]
    adversarial: Adversarial | None


def ages(given: Inputs) -> Chart:
    """People by age, in bars of five years, coloured by official band."""
    people = given.manifest.drop_duplicates("person")["age"]
    last = max(90, int(people.max()) + 1)
    edges = np.arange(0, last + YEARS, YEARS)
    counts, _ = np.histogram(people, edges)
    chart = Chart(
        "Labelled people by age",
        "age in years",
        "people",
        (0, float(edges[-1])),
        (0, charts.above(counts)),
        whole=True,
    )
    for low, high, count in zip(edges[:-1], edges[1:], counts, strict=True):
        band = int(classes.band(low))
        chart.bar(low, high, int(count), f"band{band}", f"{low}–{high - 1} years: {count} people")
    return chart


def balance(given: Inputs) -> list[tuple[str, int, int, int]]:
    """Class, photos by official label, by the trainer's label, and how often they are seen in an epoch.

    Raises
    ------
    UserError
        If the manifest's counts lack them.
    """
    counts = given.counts["build_manifest"].get("classes", {})
    try:
        every = [(name, counts[name]) for name in classes.NAMES]
        return [(name, one["official"], one["target"], one["balanced"]) for name, one in every]
    except KeyError as error:
        raise UserError(
            f"build_manifest/about/counts.json: no {error}; run `dvc repro -f build_manifest`"
        ) from None


def moved(given: Inputs, facts: Mapping[str, pd.DataFrame], *, seed: int) -> Drift | None:
    """Compare the readable labelled photos with the eval photos; None without eval photos."""
    ours, theirs = facts["labelled"], facts["eval"]
    if ours.empty or theirs.empty:
        return None
    person = given.manifest.set_index("photo")["person"].loc[ours.index]
    split = given.splits["oof"]
    answers = given.answers.set_index("ImageID")
    readable = given.eval["image_id"][given.eval["status"] == "ok"]
    table = answers.loc[readable, COLUMNS].to_numpy(np.float64)
    return Drift(
        [(shift, _histogram(shift)) for shift in drift.shifts(ours, theirs)],
        drift.shares(split.probabilities, split.person, table),
        drift.adversarial(ours, person, theirs, seed=seed),
    )


def recipe(models: Mapping[int, Mapping[str, Any]]) -> list[tuple[str, str]]:
    """What was trained, in a few facts, from what the folds' model.json tell."""
    first: Mapping[str, Any] = next(iter(models.values()))
    told = first["recipe"]
    backbone = told["backbone"]
    height, width = told["image"]["size"]
    return [
        ("network", f"{backbone.get('name', backbone['kind'])}, head {told['head']['kind']}"),
        ("network's input", f"{height} × {width} pixels, background {told['image']['background']}"),
        ("loss", told["loss"]["kind"]),
        (
            "training",
            f"at most {told['epochs']} epochs, learning rate {told['lr']:g}, batch {told['batch_size']}",
        ),
        ("folds", ", ".join(_fold(fold, facts) for fold, facts in models.items())),
        ("versions", ", ".join(f"{name} {version}" for name, version in first["versions"].items())),
    ]


def _fold(fold: int, facts: Mapping[str, Any]) -> str:
    best = facts.get("best_epoch")
    # model.json counts from nought, the curves from one.
    return f"{fold}" if best is None else f"{fold} (best epoch {best + 1})"


def _histogram(shift: Shift) -> Chart:
    about = QUANTITIES[shift.name]
    limits = float(shift.edges[0]), float(shift.edges[-1])
    chart = Chart(about.label, about.unit, "share of photos", limits, (0, charts.above(shift.shares.ravel())))
    for heights, style, name in zip(
        shift.shares, ("s0 filled", "s1 filled"), ("labelled", "eval"), strict=True
    ):
        chart.steps(shift.edges, heights, style, name)
    return chart
