"""Differences of scores on the same people, with intervals from a paired bootstrap over people.

Each draw takes the same people for both sides, so what makes a person hard for both cancels. Photos are not drawn: the
seven of a person succeed and fail together.

References
----------
Efron, B., and Tibshirani, R. J. (1993). An Introduction to the Bootstrap. Chapman & Hall: chapters 8 and 13.
Hesterberg, T. C. (2015). What Teachers Should Know About the Bootstrap. The American Statistician 69 (4), 371-386:
percentile intervals are too narrow for few units; section 5 widens them as Student's t does.
Dunn, O. J. (1961). Multiple Comparisons Among Means. Journal of the American Statistical Association 56 (293), 52-64:
Bonferroni's intervals, which hold together.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import Any, Final

import numpy as np
import numpy.typing as npt
from scipy.stats import t as student

from facemask.comparison import power
from facemask.evaluation import intervals
from facemask.records import classes
from facemask.runtime.arrays import Floats, Ints
from facemask.scoring import metrics
from facemask.settings import params

SCORES: Final = (*metrics.KEYS, "log_loss")
# Scores that are judged: each verdict has its part of the level, so that all of them hold together.
JUDGED: Final = ("macro_f1", "log_loss")
# Losses are summed as whole numbers: the order of a sum of floats would depend on the machine's cores.
UNIT: Final = 1e-6

Counts = Mapping[str, npt.NDArray[Any]]


@dataclass(frozen=True)
class Pair:
    """Answers of two sides for the same N photos.

    Attributes
    ----------
    person
        (N,) integers 0..P-1, in one numbering for all pairs of a comparison.
    official
        (N,) true classes.
    before, after
        (N, 18) probabilities of the first and the second side.
    """

    person: Ints
    official: Ints
    before: Floats
    after: Floats


@dataclass(frozen=True)
class Difference:
    """The second side's score minus the first's.

    Attributes
    ----------
    before, after
        The scores; with several seeds, their means.
    value
        The difference; NaN where one of them is undefined.
    low, high
        Its interval; NaN where none can be had. Those of ``JUDGED`` hold together, and so do those of all classes.
    error
        Standard error that falls with the number of people.
    spread
        Standard deviation of the difference over seeds; NaN for a single one.
    seeds
        How many runs of the second side there are.
    people
        With a photo that counts.
    """

    before: float
    after: float
    value: float
    low: float
    high: float
    error: float
    spread: float
    seeds: int
    people: int

    @property
    def beyond_chance(self) -> bool:
        """Whether the interval leaves out 0."""
        return bool(self.low > 0 or self.high < 0)

    @property
    def people_needed(self) -> int | None:
        """How many people like these would tell this difference; None for no number."""
        if not self.value or not self.error > 0:
            return None
        fixed = self.spread / self.seeds**0.5 if self.seeds > 1 else 0.0
        return power.people_needed(
            self.value, self.error, self.people, fixed, level=power.LEVEL / len(JUDGED)
        )


def differences(
    pairs: Sequence[Pair], people: int, cfg: params.Evaluate, *, seed: int
) -> dict[str, list[Difference]]:
    """Compare the scores of two sides, or of one side and several seeds of another.

    Parameters
    ----------
    pairs
        One a seed of the second side.
    people
        P, of all pairs together.
    cfg
        Resamples, and coverage of the intervals.
    seed
        Of the bootstrap.

    Returns
    -------
    dict
        Each of ``SCORES`` to a list of one, and ``f1`` to a list of 18.
    """
    tables = [_tables(pair, people) for pair in pairs]
    flat = {f"{number}/{name}": table for number, one in enumerate(tables) for name, table in one.items()}
    whole = [_both({name: table.sum(0) for name, table in one.items()}) for one in tables]
    drawn: dict[str, Floats] | None = None
    if people > 1 and cfg.bootstrap:
        drawn = intervals.drawn(flat, _mean_difference, resamples=cfg.bootstrap, seed=seed)
    found: dict[str, list[Difference]] = {}
    for key in (*SCORES, "f1"):
        before, after = (np.stack([np.atleast_1d(one[side][key]) for one in whole]) for side in (0, 1))
        draws = None if drawn is None else drawn[key].reshape(cfg.bootstrap, -1)
        units = _people_of_class(tables) if key == "f1" else [people]
        found[key] = [
            _difference(
                before[:, k],
                after[:, k],
                None if draws is None else draws[:, k],
                unit,
                cfg.confidence,
                each=key == "f1",
            )
            for k, unit in enumerate(units)
        ]
    return found


def _people_of_class(tables: Sequence[Counts]) -> list[int]:
    """People with a photo of each of the 18 classes, on any of the tables."""
    seen = [table["before/class"].sum(2) > 0 for table in tables]
    return [int(count) for count in np.logical_or.reduce(seen).sum(0)]


def _tables(pair: Pair, people: int) -> Counts:
    """Counts (P, ...) of both sides, by ``before/`` or ``after/`` and name."""
    found: dict[str, npt.NDArray[Any]] = {}
    true = metrics.truths(pair.official)
    right = np.arange(len(pair.official))
    for side, table in (("before", pair.before), ("after", pair.after)):
        called = metrics.calls(table)
        for name, size in metrics.SIZES.items():
            found[f"{side}/{name}"] = metrics.grouped(
                true[name], called[name], pair.person, size, groups=people
            )
        loss = -np.log(np.maximum(table[right, pair.official], metrics.SMALLEST))
        whole = np.rint(loss / UNIT)
        found[f"{side}/loss"] = np.bincount(pair.person, weights=whole, minlength=people)
    found["photos"] = np.bincount(pair.person, minlength=people)
    return found


def _both(tables: Counts) -> tuple[dict[str, Floats], dict[str, Floats]]:
    """Scores (...) of both sides, of counts (..., K, K)."""
    photos = np.asarray(tables["photos"], dtype=np.float64)
    found = []
    for side in ("before", "after"):
        scores = metrics.statistics({name: tables[f"{side}/{name}"] for name in metrics.SIZES})
        loss = np.full(photos.shape, np.nan)
        np.divide(tables[f"{side}/loss"] * UNIT, photos, out=loss, where=photos > 0)
        found.append(scores | {"log_loss": loss})
    return found[0], found[1]


def _mean_difference(tables: Counts) -> dict[str, Floats]:
    """Differences (B, ...) of draws, averaged over the seeds for which a draw defines them."""
    seeds = sorted({int(name.split("/", 1)[0]) for name in tables})
    found: dict[str, list[Floats]] = {key: [] for key in (*SCORES, "f1")}
    for number in seeds:
        prefix = f"{number}/"
        ours = {name.removeprefix(prefix): table for name, table in tables.items() if name.startswith(prefix)}
        before, after = _both(ours)
        for key, values in found.items():
            values.append(after[key] - before[key])
    return {key: _mean(np.stack(values)) for key, values in found.items()}


def _mean(values: Floats) -> Floats:
    """Mean over axis 0 of what is defined; NaN where nothing is."""
    defined = ~np.isnan(values)
    total, count = np.where(defined, values, 0).sum(0), defined.sum(0)
    out = np.full(total.shape, np.nan)
    np.divide(total, count, out=out, where=count > 0)
    return out


def _difference(
    before: Floats, after: Floats, draws: Floats | None, people: int, confidence: float, *, each: bool
) -> Difference:
    """One score: of each of S seeds, and of all draws; ``each`` for one of the classes."""
    defined = ~np.isnan(after - before)
    seeds = int(defined.sum())
    values = (after - before)[defined]
    value = float(values.mean()) if seeds else np.nan
    spread = float(values.std(ddof=1)) if seeds > 1 else np.nan
    low = high = error = np.nan
    known = np.zeros(0) if draws is None else draws[~np.isnan(draws)]
    if seeds and len(known) > 1 and people >= (metrics.FEW if each else 2):
        error = float(known.std(ddof=1))
        tail = (1 - confidence) / 2 / (classes.COUNT if each else len(JUDGED))
        if seeds > 1 or each:
            # The tail of one of 18 classes lies beyond what the draws can tell.
            low, high = _pooled(value, error, people, spread, seeds, tail)
        else:
            low, high = _expanded(known, people, tail)
    old, new = (float(side[defined].mean()) if seeds else float(_mean(side)) for side in (before, after))
    return Difference(old, new, value, low, high, error, spread, seeds, people)


def _expanded(draws: Floats, people: int, tail: float) -> tuple[float, float]:
    """Percentile interval with the tails that make up for few people (Hesterberg)."""
    quantile = student.ppf(1 - tail, people - 1) * (people / (people - 1)) ** 0.5
    wider = NormalDist().cdf(-float(quantile))
    low, high = np.quantile(draws, [wider, 1 - wider])
    return float(low), float(high)


def _pooled(
    value: float, error: float, people: int, spread: float, seeds: int, tail: float
) -> tuple[float, float]:
    """Interval of a mean over seeds for other people and other seeds; degrees of freedom by Satterthwaite."""
    parts = (error**2, spread**2 / seeds if seeds > 1 else 0.0)
    total = sum(parts)
    if not total:
        return value, value
    freedom = total**2 / (parts[0] ** 2 / (people - 1) + parts[1] ** 2 / max(1, seeds - 1))
    half = float(student.ppf(1 - tail, freedom)) * total**0.5
    return value - half, value + half
