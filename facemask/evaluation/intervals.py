"""How sure a score is: percentile intervals from a bootstrap over people.

The seven photos of a person succeed and fail together, so people are drawn, not photos; drawing photos
would give intervals that are too narrow.

References
----------
Efron, B., and Tibshirani, R. J. (1993). An Introduction to the Bootstrap. Chapman & Hall: chapter 13 on
percentile intervals, chapter 8 on drawing the independent units of structured data.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from facemask.runtime.arrays import Floats

Statistic = Callable[[Mapping[str, Floats]], Mapping[str, Floats]]

# Numbers held at once for the drawn weights: 16 MiB of float64, whatever the number of people.
HELD: Final = 2**21


def bootstrap(
    tables: Mapping[str, npt.NDArray[Any]],
    statistic: Statistic,
    *,
    resamples: int,
    confidence: float,
    seed: int,
    held: int = HELD,
) -> dict[str, Floats] | None:
    """Percentile interval of each of a statistic's values when people are drawn with replacement.

    Parameters
    ----------
    tables
        Counts (P, ...) by name, one entry a person; a draw of people has the sum of their entries.
    statistic
        Maps summed counts (B, ...) by name to values (B, ...) by name, such as
        :func:`facemask.scoring.metrics.statistics`.
    resamples
        Number of draws; 0 for no interval.
    confidence
        Coverage in (0, 1), such as .95.
    seed
        Same seed, same interval.
    held
        Bound on the numbers held at once for drawn weights; changes memory only.

    Returns
    -------
    dict or None
        Name to (2, ...): low and high. NaN for a value that no draw defines (a class that never occurs).
        None with no resamples, or with fewer than two people: nothing can then be said about other people.

    Raises
    ------
    ValueError
        If confidence is outside (0, 1), resamples is negative or the tables differ in their number of people.
    """
    if not 0 < confidence < 1 or resamples < 0:
        raise ValueError(f"confidence {confidence} must be in (0, 1), resamples {resamples} not negative")
    people = {len(table) for table in tables.values()}
    if len(people) != 1:
        raise ValueError(f"tables of {sorted(people)} people; one number is wanted")
    if resamples == 0 or people.pop() < 2:
        return None
    tails = [(1 - confidence) / 2, (1 + confidence) / 2]
    found = drawn(tables, statistic, resamples=resamples, seed=seed, held=held)
    return {name: _quantiles(values, tails) for name, values in found.items()}


def drawn(
    tables: Mapping[str, npt.NDArray[Any]],
    statistic: Statistic,
    *,
    resamples: int,
    seed: int,
    held: int = HELD,
) -> dict[str, Floats]:
    """Values (resamples, ...) of a statistic, one a draw of people with replacement.

    Parameters are those of :func:`bootstrap`; at least one resample and one person are wanted.
    """
    count = len(next(iter(tables.values())))
    chunks = [statistic(_summed(tables, weights)) for weights in _draws(count, resamples, seed, held)]
    return {name: np.concatenate([chunk[name] for chunk in chunks]) for name in chunks[0]}


def _draws(count: int, resamples: int, seed: int, held: int) -> Iterator[Floats]:
    """Count how often each person was drawn, (b, count) a chunk of draws."""
    rng = np.random.default_rng(seed)
    step = max(1, held // count)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = rng.integers(count, size=(size, count)) + count * np.arange(size)[:, None]
        yield np.bincount(drawn.ravel(), minlength=size * count).reshape(size, count).astype(np.float64)


def _summed(tables: Mapping[str, npt.NDArray[Any]], weights: Floats) -> dict[str, Floats]:
    # Whole numbers in float64 add up exactly, so the order in which BLAS adds cannot change a bit.
    found = {}
    for name, table in tables.items():
        flat = table.reshape(len(table), -1).astype(np.float64)
        found[name] = (weights @ flat).reshape(len(weights), *table.shape[1:])
    return found


def _quantiles(values: Floats, tails: list[float]) -> Floats:
    """Take quantiles (2, ...) over axis 0, of the draws in which the value is defined."""
    flat = values.reshape(len(values), -1)
    found = np.full((2, flat.shape[1]), np.nan)
    for column in range(flat.shape[1]):
        defined = flat[~np.isnan(flat[:, column]), column]
        if len(defined):
            found[:, column] = np.quantile(defined, tails)
    return found.reshape(2, *values.shape[1:])
