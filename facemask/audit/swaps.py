"""Files of one person that were exchanged: the assignment of what the photos show to the file names."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from scipy import optimize

from facemask.runtime.arrays import Floats, Ints

# Between two assignments of equal probability, the one that moves fewer files.
_STAY: Final = 1e-9


class Swap(NamedTuple):
    """Two photos that show each other's label: their places, and the score of the exchange."""

    first: int
    second: int
    score: float


def find(logs: Floats, given: Ints) -> list[Swap]:
    """Find the exchanges that make one person's photos most probable.

    The labels of a person are given to that person's photos anew, each once, so that the sum of log-probabilities is
    largest. Only pairs come back; longer cycles are told photo by photo, as wrong labels are.

    Parameters
    ----------
    logs
        (N, K) log-probabilities of the person's photos.
    given
        (N,) labels 0..K-1.

    Returns
    -------
    list
        Scores are odds / (1 + odds) of the geometric mean over the two photos, 0.5..1.
    """
    reward = logs[:, given] + _STAY * np.eye(len(given))
    _, slot = optimize.linear_sum_assignment(reward, maximize=True)
    shown = given[slot]
    moved = [int(row) for row in np.flatnonzero(shown != given)]
    found = []
    while moved:
        first = moved.pop(0)
        partners = [row for row in moved if shown[row] == given[first] and given[row] == shown[first]]
        if partners:
            pair = [first, partners[0]]
            moved.remove(partners[0])
            gains = logs[pair, shown[pair]] - logs[pair, given[pair]]
            # Where one of them looks as it is named, the other is a wrong photo and nothing was exchanged.
            if (gains > 0).all():
                found.append(Swap(pair[0], pair[1], 1 / (1 + float(np.exp(-gains.mean())))))
    return found
