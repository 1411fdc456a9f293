"""The ranked table of suspects: what looks wrong, how surely, and the fix that ``data/label_fixes.csv`` would take."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import asdict, dataclass
from types import MappingProxyType
from typing import Final, Literal

import numpy as np
import pandas as pd

from facemask.records import roots, tables

Attribute = Literal["mask", "gender", "age", "identity", "photo"]
Reason = Literal[
    "wrong label",
    "swapped files",
    "same face, hash",
    "same face, network",
    "small face",
    "cut face",
    "blurred face",
    "dark face",
    "blank photo",
]

TABLE: Final = tables.Schema(
    "suspects.csv",
    MappingProxyType(
        {
            "rank": int,
            "photo": str,
            "person": str,
            "attribute": str,
            "reason": str,
            "score": float,
            "given": str,
            "seen": str,
            "other": str,
            "dataset": str,
            "id": str,
            "field": str,
            "old": str,
            "new": str,
        }
    ),
    None,
    "stage audit writes it: run `dvc repro audit`",
)


@dataclass(frozen=True)
class Suspect:
    """One thing that looks wrong.

    Attributes
    ----------
    photo
        Key of the photo that shows it best.
    person
        Folder of the person, or of the extra data set's person.
    attribute, reason
        What it is about, and why.
    score
        0.5..1: how surely it is wrong; 0.5 is the threshold of its kind.
    given
        The label, or the limit that was passed.
    seen
        What the networks say instead, or what was measured.
    other
        Key of a second photo, of swapped files and of one face under two names; else empty.
    id, field, old, new
        The row of ``data/label_fixes.csv`` that would correct it; ``field`` is empty where no row can, and ``new``
        where a person has to say the value.
    """

    photo: str
    person: str
    attribute: Attribute
    reason: Reason
    score: float
    given: str
    seen: str
    other: str = ""
    id: str = ""
    field: str = ""
    old: str = ""
    new: str = ""


def ranked(found: Iterable[Suspect], dataset: str) -> pd.DataFrame:
    """Sort suspects by score, best first, and number them from 1; see :data:`TABLE`.

    Ages come last: they are doubts rather than errors, and many.

    Parameters
    ----------
    dataset
        Name of the main data set; photos of extra ones tell their own.
    """
    order = sorted(
        found,
        key=lambda one: (one.attribute == "age", -round(one.score, 6), one.attribute, one.photo, one.other),
    )
    columns = [name for name in TABLE.columns if name not in ("rank", "dataset")]
    frame = pd.DataFrame([asdict(one) for one in order], columns=columns)
    texts = [name for name in columns if name != "score"]
    frame = frame.astype(dict.fromkeys(texts, str) | {"score": "float64"})
    sets = [roots.dataset(photo) or dataset for photo in frame["photo"]]
    return frame.assign(rank=np.arange(1, len(frame) + 1), dataset=pd.Series(sets, dtype=str))
