"""How many people tell a difference of two scores from chance.

References
----------
Cohen, J. (1988). Statistical Power Analysis for the Behavioral Sciences, 2nd edition, chapter 2: paired means.
"""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import Final

LEVEL: Final = 0.05
POWER: Final = 0.8


def people_needed(
    difference: float,
    error: float,
    people: int,
    fixed: float = 0.0,
    *,
    level: float = LEVEL,
    power: float = POWER,
) -> int | None:
    """Return how many people a two-sided test at ``level`` needs to find the difference with this ``power``.

    Parameters
    ----------
    difference
        Taken for the true one.
    error
        Standard error of the difference with ``people`` people; it falls with their square root.
    fixed
        Standard error that more people do not lower, such as that of few seeds.

    Returns
    -------
    int or None
        None where no number of people is enough.
    """
    normal = NormalDist()
    wanted = abs(difference) / (normal.inv_cdf(1 - level / 2) + normal.inv_cdf(power))
    left = wanted**2 - fixed**2
    if left <= 0:
        return None
    return max(2, math.ceil(people * error**2 / left))
