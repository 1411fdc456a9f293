"""The 18 classes: ``class = mask * 6 + gender * 3 + age``, and the age bands behind them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt

from facemask.runtime.arrays import Floats, Ints

MASKS: Final = ("wear", "incorrect", "normal")
GENDERS: Final = ("male", "female")
AGES: Final = ("<30", "30-59", ">=60")
ATTRIBUTES: Final = {"mask": MASKS, "gender": GENDERS, "age": AGES}
SHAPE: Final = (len(MASKS), len(GENDERS), len(AGES))
COUNT: Final = 18
NAMES: Final = tuple(f"{mask} {gender} {age}" for mask in MASKS for gender in GENDERS for age in AGES)

OFFICIAL_YOUNG_CUT: Final = 30
OFFICIAL_AGE_CUT: Final = 60


def band(age: npt.ArrayLike, young_cut: int = OFFICIAL_YOUNG_CUT, age_cut: int = OFFICIAL_AGE_CUT) -> Ints:
    """Age band 0, 1 or 2: below ``young_cut``, below ``age_cut``, or from ``age_cut`` on (years)."""
    return np.asarray(np.digitize(np.asarray(age), [young_cut, age_cut]), dtype=np.int64)


def encode(mask: npt.ArrayLike, gender: npt.ArrayLike, age: npt.ArrayLike) -> Ints:
    """Class 0..17 of mask 0..2, gender 0..1 and age band 0..2.

    Raises
    ------
    ValueError
        If a value is outside its range.
    """
    parts = tuple(np.asarray(part, dtype=np.int64) for part in (mask, gender, age))
    classes: Ints = np.ravel_multi_index(parts, SHAPE).astype(np.int64)
    return classes


def decode(classes: npt.ArrayLike) -> tuple[Ints, Ints, Ints]:
    """Mask, gender and age band of classes 0..17; the inverse of :func:`encode`."""
    mask, gender, age = np.unravel_index(np.asarray(classes, dtype=np.int64), SHAPE)
    return mask.astype(np.int64), gender.astype(np.int64), age.astype(np.int64)


def marginals(probabilities: npt.NDArray[np.floating]) -> dict[str, Floats]:
    """Attribute tables of an (N, 18) table of probabilities: mask (N, 3), gender (N, 2) and age (N, 3)."""
    cube = np.asarray(probabilities, dtype=np.float64).reshape(-1, *SHAPE)
    return {"mask": cube.sum((2, 3)), "gender": cube.sum((1, 3)), "age": cube.sum((1, 2))}


def columns(prefix: str = "p") -> Sequence[str]:
    """Column names of a probability table: ``p0`` to ``p17``."""
    return [f"{prefix}{k}" for k in range(COUNT)]
