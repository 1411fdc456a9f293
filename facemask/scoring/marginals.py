"""Tables with given marginals: an attribute's answer changed, and what joins the attributes kept.

References
----------
Deming, W. E., and Stephan, F. F. (1940). On a Least Squares Adjustment of a Sampled Frequency Table When the Expected
Marginal Totals Are Known. Annals of Mathematical Statistics 11 (4), 427-444: iterative proportional fitting.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from facemask.records import classes
from facemask.runtime.arrays import Floats
from facemask.scoring import metrics

# Fitting ends when no marginal is further from its target, or after this many rounds.
CLOSE: Final = 1e-9
ROUNDS: Final = 1000
LEAST: Final = 1e-12


def likely(table: Floats) -> Floats:
    """The table (N, 18), rows summing to 1, with nothing impossible: a class of probability 0 could not be moved."""
    raised = np.maximum(table, metrics.SMALLEST)
    return np.asarray(raised / raised.sum(1, keepdims=True))


def replaced(table: Floats, wanted: Mapping[str, Floats]) -> Floats:
    """Of all tables with the marginals ``wanted`` the one nearest to ``table`` (Kullback-Leibler).

    Parameters
    ----------
    table
        (N, 18), rows summing to 1, made :func:`likely` first.
    wanted
        mask (N, 3), gender (N, 2) and age (N, 3), rows summing to 1.

    Returns
    -------
    (N, 18), rows summing to 1.
    """
    targets = [np.maximum(wanted[name], LEAST) for name in classes.ATTRIBUTES]
    targets = [target / target.sum(1, keepdims=True) for target in targets]
    cube = likely(table).reshape(-1, *classes.SHAPE)
    for _ in range(ROUNDS):
        off = 0.0
        for axis, target in enumerate(targets, 1):
            others = tuple({1, 2, 3} - {axis})
            factor = np.expand_dims(target, others) / cube.sum(others, keepdims=True)
            cube, off = cube * factor, max(off, np.abs(factor - 1).max(initial=0))
        if off < CLOSE:
            break
    flat = cube.reshape(table.shape)
    return np.asarray(flat / flat.sum(1, keepdims=True))
