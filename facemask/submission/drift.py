"""Whether the answers' shares differ from what the same networks say of the labelled people.

Answers are held against out-of-fold answers and not against labels: what a network gets wrong, it gets wrong on both.

References
----------
Fisher, R. A. (1934). Statistical Methods for Research Workers, 5th edition, section 21.02: tables with fixed margins.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from scipy.stats import MonteCarloMethod, chi2_contingency

from facemask.records import classes
from facemask.runtime.arrays import Ints

LEVEL: Final = 0.05
TABLES: Final = 9999


def probabilities(answers: Ints, labelled: Ints, photos: float) -> dict[str, float]:
    """Test each attribute's shares among people: how often chance alone would part them as far.

    The photos of a person share gender and age, and eval photos name no person; so each set counts as many people as
    it would hold at ``photos`` photos a person, whatever it holds. For masks, which vary within a person, that is
    cautious. Tables with the same margins are drawn at random, so few people and rare bands are no trouble.

    Parameters
    ----------
    answers, labelled
        (18,) photos by predicted class.
    photos
        Photos of a labelled person, their mean.

    Returns
    -------
    dict
        ``mask``, ``gender`` and ``age`` to a p-value 0..1.
    """
    cubes = [counts.reshape(classes.SHAPE) for counts in (answers, labelled)]
    found = {}
    for axis, name in enumerate(classes.ATTRIBUTES):
        others = tuple({0, 1, 2} - {axis})
        table = np.rint(np.stack([cube.sum(others) for cube in cubes]) / photos).astype(np.int64)
        table = table[:, table.sum(0) > 0]
        if table.shape[1] < 2 or (table.sum(1) == 0).any():
            found[name] = 1.0
            continue
        drawn = MonteCarloMethod(n_resamples=TABLES, rng=np.random.default_rng(0))
        found[name] = float(chi2_contingency(table, correction=False, method=drawn).pvalue)
    return found


def beyond_chance(found: dict[str, float]) -> list[str]:
    """Attributes that drift, at the level of all three together."""
    return [name for name, value in found.items() if value < LEVEL / len(found)]
