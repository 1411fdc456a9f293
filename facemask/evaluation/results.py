"""All numbers of one split (out-of-fold or hold-out): scores, intervals, F1 a class, calibration."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import numpy.typing as npt

from facemask.evaluation import calibration, intervals
from facemask.evaluation.calibration import Reliability
from facemask.records import classes
from facemask.scoring import metrics
from facemask.scoring.predictions import Predictions
from facemask.settings import params

Floats = npt.NDArray[np.float64]


@dataclass(frozen=True)
class Result:
    """What one split's predictions are worth.

    Attributes
    ----------
    photos, people
        How many were scored.
    tables
        Confusion counts: ``class`` (18, 18), ``mask`` (3, 3), ``gender`` (2, 2), ``age`` (3, 3).
    scores
        Name to value in 0..1, ``f1`` (18,) among them, as in :func:`facemask.scoring.metrics.statistics`.
    limits
        Name to (2, ...) low and high of ``scores``; None where intervals were not asked for or cannot be had.
    reliability
        How confidence and accuracy agree.
    """

    photos: int
    people: int
    tables: Mapping[str, npt.NDArray[np.int64]]
    scores: Mapping[str, Floats]
    limits: Mapping[str, Floats] | None
    reliability: Reliability


def assess(split: Predictions, cfg: params.Evaluate, *, seed: int) -> Result:
    """Score one split; the bootstrap over people is drawn from ``seed``."""
    persons = metrics.confusions(split.probabilities, split.official, split.person)
    whole = {name: table.sum(0) for name, table in persons.items()}
    return Result(
        photos=len(split.official),
        people=len(persons["class"]),
        tables=whole,
        scores=metrics.statistics(whole),
        limits=intervals.bootstrap(
            persons, metrics.statistics, resamples=cfg.bootstrap, confidence=cfg.confidence, seed=seed
        ),
        reliability=calibration.reliability(split.probabilities, split.official, cfg.calibration_bins),
    )


def summary(result: Result) -> dict[str, Any]:
    """Turn a result into JSON: counts, scores with ``_low`` and ``_high``, ``ece``, ``f1`` by class name.

    What is undefined (the F1 of a class that never occurs, a limit that was not computed) is None.
    """
    found: dict[str, Any] = {"photos": result.photos, "people": result.people}
    for key in metrics.KEYS:
        low, high = (None, None) if result.limits is None else result.limits[key]
        found |= {key: rounded(result.scores[key]), f"{key}_low": rounded(low), f"{key}_high": rounded(high)}
    found["ece"] = rounded(result.reliability.error)
    found["f1"] = {
        name: rounded(value) for name, value in zip(classes.NAMES, result.scores["f1"], strict=True)
    }
    return found


def rounded(value: float | Floats | None) -> float | None:
    """Round to six decimals; None for what is undefined, since JSON has no NaN."""
    if value is None or math.isnan(float(value)):
        return None
    return round(float(value), 6)
