"""What is said of each face: the answer, how sure it is, and how the face was found; as a table and as lines."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from facemask.pixels.boxes import Box
from facemask.records import classes
from facemask.runtime.arrays import Floats

UNREADABLE: Final = "unreadable"
_BOX: Final = ("x0", "y0", "x1", "y1")
_NOWHERE: Final = (math.nan,) * 4


@dataclass(frozen=True)
class Answer:
    """One face of one photo, or one photo that cannot be read.

    Attributes
    ----------
    file
        What the photo is called.
    number, count
        Which of how many faces found in it.
    status
        ``found``, ``fixed`` (a fixed box), ``frame`` (no face found: the photo's middle) or ``unreadable``.
    score
        Of the face finder, 0..1, or NaN.
    box
        The face, in pixels of the photo.
    probabilities
        (18,), or None for an unreadable photo.
    reason
        Why it is unreadable.
    """

    file: str
    number: int = 0
    count: int = 0
    status: str = UNREADABLE
    score: float = math.nan
    box: Box = _NOWHERE
    probabilities: Floats | None = None
    reason: str = ""

    @property
    def label(self) -> int | None:
        """The most probable class, 0..17: what infer answers."""
        return None if self.probabilities is None else int(self.probabilities.argmax())

    def attributes(self) -> dict[str, tuple[str, float]]:
        """Mask, gender and age band of the most probable class, each with its own probability in all classes."""
        if self.probabilities is None:
            return {}
        values = (int(part) for part in classes.decode(int(self.probabilities.argmax())))
        tables = classes.marginals(self.probabilities)
        return {
            name: (names[value], float(tables[name][0, value]))
            for (name, names), value in zip(classes.ATTRIBUTES.items(), values, strict=True)
        }

    def row(self) -> dict[str, Any]:
        """One row of :func:`table`."""
        said = self.attributes()
        values: dict[str, Any] = {"file": self.file, "face": self.number, "faces": self.count}
        values |= {name: said.get(name, ("", math.nan))[0] for name in classes.ATTRIBUTES}
        values |= {f"p_{name}": said.get(name, ("", math.nan))[1] for name in classes.ATTRIBUTES}
        values |= {"class": -1 if self.label is None else self.label, "found": self.status}
        values |= {"score": self.score, **dict(zip(_BOX, self.box, strict=True))}
        all_of = np.full(classes.COUNT, math.nan) if self.probabilities is None else self.probabilities
        return values | dict(zip(classes.columns(), all_of.tolist(), strict=True)) | {"reason": self.reason}

    def plain(self) -> dict[str, Any]:
        """What JSON holds of it: nothing that is not a number, and only what there is."""
        base: dict[str, Any] = {
            "file": self.file,
            "face": self.number,
            "faces": self.count,
            "found": self.status,
        }
        if self.probabilities is None:
            return base | {"reason": self.reason}
        score = {} if math.isnan(self.score) else {"score": self.score}
        said = {
            name: {"answer": value, "probability": round(p, 6)}
            for name, (value, p) in self.attributes().items()
        }
        both = {"box": list(self.box), "class": self.label, "name": classes.NAMES[int(self.label or 0)]}
        return (
            base | score | both | said | {"probabilities": [round(float(p), 6) for p in self.probabilities]}
        )


def table(answers: Iterable[Answer]) -> pd.DataFrame:
    """Lay answers out, one a row.

    Returns
    -------
    pandas.DataFrame
        ``file``, ``face`` and ``faces`` (which of how many), ``mask``, ``gender``, ``age`` and ``p_mask``,
        ``p_gender``, ``p_age`` (0..1), ``class`` (0..17, -1 for an unreadable photo), ``found`` (how the face was
        found), ``score``, ``x0``, ``y0``, ``x1``, ``y1`` (pixels), ``p0`` to ``p17``, and ``reason``.
    """
    columns = list(Answer("").row())
    return pd.DataFrame([one.row() for one in answers], columns=columns)


def tables_of(answers: Sequence[Answer]) -> Mapping[str, Floats]:
    """Probabilities of mask, gender and age, (N, values) each, of answers that have some."""
    known = [one.probabilities for one in answers if one.probabilities is not None]
    return classes.marginals(np.stack(known)) if known else {}
