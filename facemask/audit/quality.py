"""Photos that teach little: faces that are small, cut, blurred or dark, and photos of nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd

from facemask.audit.measures import Measure
from facemask.audit.suspects import Suspect
from facemask.records import roots
from facemask.settings import params


def find(cfg: params.Audit, boxes: pd.DataFrame, measured: Mapping[str, Measure]) -> list[Suspect]:
    """List every fault of every photo; a blank photo has no other.

    Parameters
    ----------
    boxes
        See :data:`facemask.records.tables.BOXES`, with ``folder``.
    measured
        What was measured on each readable photo. A face is blurred or not relative to the median sharpness of its
        data set.
    """
    read = boxes[boxes["photo"].isin(list(measured))]
    sharp = pd.Series([measured[key].sharpness for key in read["photo"]], index=read.index, dtype=float)
    whole = pd.Series(
        [measured[key].contrast >= cfg.blank for key in read["photo"]], index=read.index, dtype=bool
    )
    median = sharp[whole].groupby(read["photo"].map(roots.dataset)[whole]).median()
    found = []
    for row in read.to_dict("records"):
        seen = measured[row["photo"]]
        usual = float(median.get(roots.dataset(row["photo"]), np.nan))
        faults = _faults(cfg, row, seen, usual) if seen.contrast >= cfg.blank else _blank(cfg, seen)
        found += [
            Suspect(row["photo"], row["folder"], "photo", reason, score, given, value)  # type: ignore[arg-type]
            for reason, score, given, value in faults
        ]
    return found


def _blank(cfg: params.Audit, seen: Measure) -> Iterator[tuple[str, float, str, str]]:
    yield ("blank photo", 1.0, f"contrast >= {cfg.blank:g}", f"{seen.contrast:.1f}")


def _faults(
    cfg: params.Audit, row: Mapping[Any, Any], seen: Measure, usual: float
) -> Iterator[tuple[str, float, str, str]]:
    """Yield reason, score, limit and value of each fault."""
    if row["status"] == "found":
        x0, y0, x1, y1 = (float(row[name]) for name in ("x0", "y0", "x1", "y1"))
        if y1 - y0 < cfg.small:
            yield ("small face", _below(y1 - y0, cfg.small), f">= {cfg.small:g} pixels", f"{y1 - y0:.0f}")
        outside = max(*seen.beyond, -x0 / (x1 - x0), -y0 / (y1 - y0))
        if outside > cfg.cut:
            score = 0.5 + 0.5 * min(1.0, (outside - cfg.cut) / (1 - cfg.cut)) if cfg.cut < 1 else 1.0
            yield ("cut face", score, f"<= {cfg.cut:.0%} outside", f"{outside:.0%}")
    if seen.brightness < cfg.dark:
        yield (
            "dark face",
            _below(seen.brightness, cfg.dark),
            f"brightness >= {cfg.dark:g}",
            f"{seen.brightness:.0f}",
        )
    if seen.sharpness < cfg.blur * usual:
        limit = f"sharpness >= {cfg.blur * usual:.3g}"
        yield ("blurred face", _below(seen.sharpness, cfg.blur * usual), limit, f"{seen.sharpness:.3g}")


def _below(value: float, limit: float) -> float:
    """Score of a value below its limit: 0.5 at the limit, 1 at zero."""
    return 1 - 0.5 * value / limit
