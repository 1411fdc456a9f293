"""All numbers of one split (out-of-fold or hold-out): scores, intervals, F1 a class, calibration."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facemask.evaluation import calibration, intervals
from facemask.evaluation.calibration import Reliability
from facemask.records import classes
from facemask.runtime.arrays import Floats
from facemask.scoring import metrics, predictions
from facemask.scoring.predictions import Predictions
from facemask.settings import params


@dataclass(frozen=True)
class Uncalibrated:
    """What a split's probabilities were worth before the combine stage calibrated them.

    Attributes
    ----------
    log_loss
        Mean negative log-probability of the true class, nats.
    reliability
        How confidence and accuracy agreed.
    """

    log_loss: float
    reliability: Reliability


@dataclass(frozen=True)
class Result:
    """What one split's predictions are worth.

    Attributes
    ----------
    photos, people
        How many were scored.
    people_of_class
        (18,) people with a photo of each class.
    tables
        Confusion counts: ``class`` (18, 18), ``mask`` (3, 3), ``gender`` (2, 2), ``age`` (3, 3).
    scores
        Name to value in 0..1, ``f1`` (18,) among them, as in :func:`facemask.scoring.metrics.statistics`.
    limits
        Name to (2, ...) low and high of ``scores``; None where intervals were not asked for or cannot be had.
    log_loss
        Mean negative log-probability of the true class, nats.
    reliability
        How confidence and accuracy agree.
    uncalibrated
        The last two before calibration; None where none was done.
    """

    photos: int
    people: int
    people_of_class: list[int]
    tables: Mapping[str, npt.NDArray[np.int64]]
    scores: Mapping[str, Floats]
    limits: Mapping[str, Floats] | None
    log_loss: float
    reliability: Reliability
    uncalibrated: Uncalibrated | None


def uncalibrated(combined: Path, manifest: pd.DataFrame) -> Mapping[str, Predictions]:
    """Read the splits as they were before calibration; none where the combine stage calibrated nothing.

    Raises
    ------
    UserError
        As :func:`facemask.scoring.predictions.combined`.
    """
    folder = combined / "uncalibrated"
    return predictions.combined(folder, manifest) if folder.is_dir() else {}


def assess(split: Predictions, raw: Predictions | None, cfg: params.Evaluate, *, seed: int) -> Result:
    """Score one split, and what it was before calibration; the bootstrap over people is drawn from ``seed``."""
    persons = metrics.confusions(split.probabilities, split.official, split.person)
    whole = {name: table.sum(0) for name, table in persons.items()}
    return Result(
        photos=len(split.official),
        people=len(persons["class"]),
        people_of_class=(persons["class"].sum(2) > 0).sum(0).tolist(),
        tables=whole,
        scores=metrics.statistics(whole),
        limits=intervals.bootstrap(
            persons, metrics.statistics, resamples=cfg.bootstrap, confidence=cfg.confidence, seed=seed
        ),
        log_loss=metrics.log_loss(split.probabilities, split.official),
        reliability=calibration.reliability(split.probabilities, split.official, cfg.calibration_bins),
        uncalibrated=None
        if raw is None
        else Uncalibrated(
            metrics.log_loss(raw.probabilities, raw.official),
            calibration.reliability(raw.probabilities, raw.official, cfg.calibration_bins),
        ),
    )


def summary(result: Result) -> dict[str, Any]:
    """Turn a result into JSON: counts, scores with ``_low`` and ``_high``, ``f1`` by class name, people a class.

    ``uncalibrated`` holds log_loss and ece before calibration, where there was one. What is undefined (the F1 of a
    class that never occurs, a limit that was not computed) is None.
    """
    found: dict[str, Any] = {}
    for key in metrics.KEYS:
        low, high = (None, None) if result.limits is None else result.limits[key]
        found |= {key: result.scores[key], f"{key}_low": low, f"{key}_high": high}
    found |= {"log_loss": result.log_loss, "ece": result.reliability.error}
    if raw := result.uncalibrated:
        found["uncalibrated"] = {"log_loss": raw.log_loss, "ece": raw.reliability.error}
    found["f1"] = dict(zip(classes.NAMES, result.scores["f1"], strict=True))
    seen = dict(zip(classes.NAMES, result.people_of_class, strict=True))
    return {"photos": result.photos, "people": result.people, "people_of_class": seen} | metrics.rounded(
        found
    )


def headline(found: Mapping[str, Result]) -> dict[str, float | None]:
    """What a reviewer reads: out-of-fold scores, and the hold-out's macro-F1 where people are held out.

    ``f1`` is the 18-class macro-F1, ``f1_lo`` and ``f1_hi`` its limits; ``mask``, ``gender``, ``age`` and ``holdout``
    are macro-F1 too. Short names keep ``dvc metrics show`` within 120 columns, and names of their own ``dvc exp show``
    without file names in its headings.
    """
    oof = summary(found["oof"])
    limits = {"f1": oof["macro_f1"], "f1_lo": oof["macro_f1_low"], "f1_hi": oof["macro_f1_high"]}
    attributes = {name: oof[f"{name}_f1"] for name in classes.ATTRIBUTES}
    held = {"holdout": summary(found["holdout"])["macro_f1"]} if "holdout" in found else {}
    return limits | attributes | {"log_loss": oof["log_loss"], "ece": oof["ece"]} | held
