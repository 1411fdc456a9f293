"""Temperature scaling: probabilities that mean what they say, fitted on out-of-fold answers.

References
----------
Guo, C., Pleiss, G., Sun, Y., and Weinberger, K. Q. (2017). On Calibration of Modern Neural Networks. ICML.
https://arxiv.org/abs/1706.04599
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final, assert_never

import numpy as np

from facemask.records import classes
from facemask.runtime.arrays import Floats, Ints
from facemask.scoring import marginals, metrics
from facemask.settings import params, recipes

DIGITS: Final = 6
# Standard deviation of log T before any photo is seen. Few people who are all answered rightly would otherwise ask for
# certainty; against a hundred people it weighs nothing.
SPREAD: Final = 1.0


@dataclass(frozen=True)
class Single:
    """One ``temperature`` T > 0 for the 18 classes: below 1 sharpens, above 1 softens; answers stay as they are."""

    temperature: float

    def __call__(self, table: Floats) -> Floats:
        """Scale (N, 18), rows summing to 1."""
        return scaled(table, self.temperature)


@dataclass(frozen=True)
class PerTask:
    """A temperature T > 0 each for ``mask``, ``gender`` and ``age``.

    The marginals of the result are the scaled marginals, so each attribute's answer stays; of all tables with these
    marginals it is the one nearest to the old one (Kullback-Leibler), whose most probable class may be another.
    """

    mask: float
    gender: float
    age: float

    def __call__(self, table: Floats) -> Floats:
        """Scale (N, 18), rows summing to 1."""
        known = marginals.likely(table)
        wanted = {
            name: scaled(marginal, getattr(self, name)) for name, marginal in classes.marginals(known).items()
        }
        return marginals.replaced(known, wanted)


Calibration = Single | PerTask


def scaled(table: Floats, temperature: float) -> Floats:
    """Raise probabilities (N, K) to the power 1 / ``temperature`` and let rows sum to 1 again."""
    # Against the largest: no row can overflow or vanish.
    odds = (table / table.max(1, keepdims=True)) ** (1 / temperature)
    return np.asarray(odds / odds.sum(1, keepdims=True))


def fit(cfg: params.Calibrate, table: Floats, official: Ints, person: Ints) -> Calibration | None:
    """Fit temperatures to answers for photos that were not trained on; None where none are wanted.

    Parameters
    ----------
    table
        (N, 18), rows summing to 1, N > 0.
    official
        (N,) true classes.
    person
        (N,) whose photos belong together: people are independent of each other, photos of one person are not.
    """
    match cfg:
        case recipes.Nothing():
            return None
        case params.Temperature():
            return Single(best(table, official, person))
        case params.TemperaturePerTask():
            true, own = metrics.truths(official), classes.marginals(table)
            return PerTask(**{name: best(own[name], true[name], person) for name in own})
        case _:
            assert_never(cfg)


def best(table: Floats, true: Ints, person: Ints) -> float:
    """Find the temperature with the least log loss of (N, K) for true classes (N,).

    Each person counts as one observation, and log T is held near 0 by a normal prior of deviation ``SPREAD``.
    """
    # scipy takes a second to import.
    from scipy.optimize import minimize_scalar

    people = len(np.unique(person))

    def cost(log: float) -> float:
        loss = metrics.log_loss(scaled(table, float(np.exp(log))), true)
        return people * loss + (log / SPREAD) ** 2 / 2

    found = minimize_scalar(cost, bounds=(-5, 5), method="bounded", options={"xatol": 1e-8})
    return round(float(np.exp(found.x)), DIGITS)
