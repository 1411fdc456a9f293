"""Sides in turn: whatever else the machine does, it does to all of them."""

from __future__ import annotations

import math
import statistics
import time
from collections.abc import Callable, Mapping
from typing import Literal, NamedTuple

from scipy.stats import quantile_test


class Taken(NamedTuple):
    """Seconds on the clock, and seconds of this process on a core, which other programs lengthen far less."""

    wall: float
    cpu: float


Side = Callable[[], Taken]
Rounds = Mapping[str, list[Taken]]


def now() -> Taken:
    """Both clocks."""
    return Taken(time.perf_counter(), time.process_time())


def since(start: Taken) -> Taken:
    """What has passed on both clocks."""
    wall, cpu = now()
    return Taken(wall - start.wall, cpu - start.cpu)


def timed(work: Callable[[], object]) -> Side:
    """Make a side of ``work``: what one call takes."""

    def side() -> Taken:
        start = now()
        work()
        return since(start)

    return side


def alternate(
    sides: Mapping[str, Side], rounds: int, *, seconds: float = 0.0, warm: bool = True
) -> dict[str, list[Taken]]:
    """Run every side once a round; every other round in reverse order.

    Parameters
    ----------
    sides
        Name -> function that works once and returns what it took.
    rounds
        At least so many, and at least 1.
    seconds
        Rounds go on until so long has passed: short ones need many for their median to be steady.
    warm
        Whether a round that is not counted goes first, for what is set up at the first call.

    Returns
    -------
    dict
        Name -> what each round took.

    Raises
    ------
    ValueError
        If there is no round.
    """
    if rounds < 1:
        raise ValueError("at least one round is needed")
    if warm:
        for side in sides.values():
            side()
    taken: dict[str, list[Taken]] = {name: [] for name in sides}
    start, turn = time.perf_counter(), 0
    while turn < rounds or time.perf_counter() - start < seconds:
        for name in list(sides) if turn % 2 == 0 else reversed(list(sides)):
            taken[name].append(sides[name]())
        turn += 1
    return taken


def medians(taken: Rounds) -> dict[str, float]:
    """Median seconds of each side, on the clock."""
    return {name: statistics.median(one.wall for one in each) for name, each in taken.items()}


def ratio(taken: Rounds, numerator: str, denominator: str) -> float:
    """Median of the rounds' quotients of seconds: both sides of a round meet nearly the same load."""
    return statistics.median(_quotients(taken, numerator, denominator, "wall"))


def cpu_ratio(taken: Rounds, numerator: str, denominator: str) -> float:
    """Median quotient of seconds on a core; only for sides that work in this process alone."""
    return round(statistics.median(_quotients(taken, numerator, denominator, "cpu")), 4)


def spread(taken: Rounds, numerator: str, denominator: str) -> list[float]:
    """Least and greatest quotient of a round."""
    quotients = _quotients(taken, numerator, denominator, "wall")
    return [round(min(quotients), 4), round(max(quotients), 4)]


def interval(taken: Rounds, numerator: str, denominator: str) -> list[float | None]:
    """Bounds that hold :func:`ratio` with 95 % confidence, whatever the rounds' distribution; None where rounds lack.

    The order statistics of the binomial test of a median (scipy's ``quantile_test``).
    """
    quotients = _quotients(taken, numerator, denominator, "wall")
    bounds = quantile_test(quotients, q=statistics.median(quotients), p=0.5).confidence_interval(0.95)
    return [None if math.isnan(bound) else round(float(bound), 4) for bound in bounds]


def _quotients(taken: Rounds, numerator: str, denominator: str, clock: Literal["wall", "cpu"]) -> list[float]:
    """One side's time by the other's, round by round."""
    pairs = zip(taken[numerator], taken[denominator], strict=True)
    return [getattr(one, clock) / getattr(other, clock) for one, other in pairs]


def rate(photos: int, seconds: float, few: int, few_seconds: float) -> float:
    """Photos a second once everything has started: from a run over ``photos`` and one over ``few`` of them.

    Where the two are too close to tell, the time to start is left in.
    """
    if photos < 3 * few or seconds <= few_seconds:
        return photos / seconds
    return (photos - few) / (seconds - few_seconds)
