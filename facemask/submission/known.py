"""Eval photos whose class is known, and what answers to them score."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facemask.records import tables
from facemask.runtime.arrays import Ints, Table
from facemask.scoring import metrics


@dataclass(frozen=True)
class Known:
    """Which of the photos to answer are known (N,), and the classes 0..17 of those."""

    photos: npt.NDArray[np.bool_]
    classes: Ints

    @property
    def count(self) -> int:
        """How many are known."""
        return int(self.photos.sum())

    def score(self, answers: Table) -> dict[str, Any]:
        """Score (N, 18) answers; nothing where none is known."""
        return metrics.rounded(metrics.score(answers[self.photos], self.classes)) if self.count else {}


def read(path: Path, image_ids: pd.Series[str]) -> Known:
    """Look the photos to answer up in the table of known answers."""
    truth = tables.read(path, tables.ANSWERS).set_index("ImageID")["ans"]
    photos = image_ids.isin(truth.index).to_numpy()
    return Known(photos, truth.loc[image_ids[photos]].to_numpy())
