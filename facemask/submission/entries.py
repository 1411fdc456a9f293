"""What the log of submissions says of answers: where they come from, what they should be worth, their shares."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np

from facemask.records import classes, tables
from facemask.runtime.arrays import Table
from facemask.scoring import predictions
from facemask.submission import drift

PARAMS = Path("params.yaml")


def entry(answers: Table, combined: Path, revision: str, *, eval_photos_used: bool) -> dict[str, Any]:
    """Describe answers (N, 18).

    Parameters
    ----------
    combined
        What the combine stage wrote: out-of-fold answers of the same networks, and their score.
    revision
        Of the code, see :func:`facemask.ensemble.history.revision`.
    eval_photos_used
        Whether eval photos were used beside the one that is answered, for training or by ``infer.consensus``.
    """
    oof = tables.read(combined / "oof.csv", predictions.COMBINED)
    now, labelled = (
        np.bincount(table.argmax(1), minlength=classes.COUNT)
        for table in (answers, oof[predictions.COLUMNS].to_numpy())
    )
    apart = drift.beyond_chance(drift.probabilities(now, labelled, len(oof) / oof["person"].nunique()))
    worth = json.loads((combined / "about.json").read_text(encoding="utf-8"))["oof"]
    return {
        "date": datetime.now(UTC).isoformat(timespec="microseconds"),
        "revision": revision,
        "params": hashlib.sha256(PARAMS.read_bytes()).hexdigest()[:12],
        "oof": worth["macro_f1"],
        "log_loss": worth["log_loss"],
        "counts": " ".join(map(str, now.tolist())),
        "drift": ", ".join(apart),
        "eval_photos_used": "yes" if eval_photos_used else "no",
    }
