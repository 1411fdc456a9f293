"""Data of the charts that ``dvc plots`` draws: F1 of each class, and reliability; both splits in one."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facemask.evaluation.pictures import TITLES
from facemask.evaluation.results import Result
from facemask.records import classes
from facemask.runtime import files


def write(found: Mapping[str, Result], folder: Path) -> None:
    """Write ``f1.csv`` and ``reliability.csv``, each with a column ``split``; an older folder is replaced.

    Reliability before calibration stands there as a split of its own.
    """
    scores: list[dict[str, Any]] = []
    bins: list[dict[str, Any]] = []
    for split, result in found.items():
        limits = np.full((2, classes.COUNT), np.nan) if result.limits is None else result.limits["f1"]
        for number, (name, value) in enumerate(zip(classes.NAMES, result.scores["f1"], strict=True)):
            # A class that occurs neither in the truth nor in the predictions has no F1.
            if not np.isnan(value):
                low, high = limits[:, number]
                # The number in front sorts the chart in class order.
                one = {"class": f"{number:02d} {name}", "f1": value, "low": low, "high": high}
                scores.append(one | {"split": TITLES[split]})
        curves = {TITLES[split]: result.reliability}
        if result.uncalibrated:
            curves[f"{TITLES[split]}, uncalibrated"] = result.uncalibrated.reliability
        for title, curve in curves.items():
            for place in np.flatnonzero(curve.photos):
                one = {"confidence": curve.confidence[place], "accuracy": curve.accuracy[place]}
                bins.append(one | {"photos": curve.photos[place], "split": title})
    with files.replacing(folder) as temporary:
        temporary.mkdir(parents=True)
        for name, rows in (("f1", scores), ("reliability", bins)):
            table = pd.DataFrame(rows)
            table.to_csv(temporary / f"{name}.csv", index=False, float_format="%.4g", lineterminator="\n")
