"""Data of charts: what the numbers are of which they are drawn, in the order of the classes."""

import numpy as np
import pandas as pd
import pytest

from facemask.evaluation import charts, results
from facemask.records import classes
from facemask.scoring.predictions import Predictions
from facemask.settings import params

CFG = params.Evaluate(bootstrap=20, confidence=0.9, calibration_bins=5)
TRUE, CALLED = [0, 0, 1, 4, 4, 9], [0, 1, 1, 4, 9, 9]


def result(true, called, cfg=CFG, people=3):
    split = Predictions(
        photos=[f"{k}.jpg" for k in range(len(true))],
        person=np.arange(len(true)) % people,
        official=np.array(true),
        probabilities=0.5 * np.eye(classes.COUNT)[called] + 0.5 / classes.COUNT,
    )
    return results.assess(split, None, cfg, seed=0)


def test_charts_hold_each_class_that_occurs_in_class_order(tmp_path):
    other = result([17, 2, 2], [17, 17, 17])
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "stale.csv").touch()
    charts.write({"oof": result(TRUE, CALLED), "holdout": other}, tmp_path / "out")
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == ["f1.csv", "reliability.csv"]
    table = pd.read_csv(tmp_path / "out" / "f1.csv")
    for title, whole, occur in (
        ("out-of-fold", result(TRUE, CALLED), [0, 1, 4, 9]),
        ("hold-out", other, [2, 17]),
    ):
        part = table[table["split"] == title]
        assert part["class"].tolist() == [f"{k:02d} {classes.NAMES[k]}" for k in occur]
        # Text sorts as classes do.
        assert part["class"].is_monotonic_increasing
        np.testing.assert_allclose(part["f1"], whole.scores["f1"][occur], rtol=1e-3)
        for column, limits in zip(("low", "high"), whole.limits["f1"], strict=True):
            np.testing.assert_allclose(part[column], limits[occur], rtol=1e-3)
    bins = pd.read_csv(tmp_path / "out" / "reliability.csv")
    assert bins.groupby("split")["photos"].sum().to_dict() == {"out-of-fold": len(TRUE), "hold-out": 3}


@pytest.mark.parametrize(("resamples", "people"), [(0, 3), (20, 1)])
def test_limits_that_cannot_be_had_are_empty(tmp_path, resamples, people):
    bare = result(TRUE, CALLED, CFG.model_copy(update={"bootstrap": resamples}), people)
    charts.write({"oof": bare}, tmp_path / "out")
    table = pd.read_csv(tmp_path / "out" / "f1.csv")
    assert table["f1"].notna().all()
    assert table[["low", "high"]].isna().all().all()
