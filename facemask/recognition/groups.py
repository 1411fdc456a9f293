"""Faces that are alike as groups, and answers on gender and age shared within a group.

References
----------
Sokal and Michener, "A Statistical Method for Evaluating Systematic Relationships", 1958: average linkage.
Hubert and Arabie, "Comparing Partitions", Journal of Classification 2, 1985: the adjusted Rand index.
"""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from facemask.records import classes
from facemask.runtime.arrays import Floats, Floats32, Ints
from facemask.scoring import marginals

SHARED: Final = ("gender", "age")


def find(vectors: Floats32, similarity: float) -> Ints:
    """Number the groups that average linkage makes of vectors.

    Parameters
    ----------
    vectors
        (N, D), of length 1. Memory grows with N²: 0.6 GB for 12,600.
    similarity
        Two groups are joined while the mean cosine between their members is at least this, 0..1.

    Returns
    -------
    (N,) the group of each, numbered by its first member's place.
    """
    count = len(vectors)
    if count < 2:
        return np.arange(count, dtype=np.int64)
    # It takes a second to import.
    from scipy.cluster import hierarchy

    tree = hierarchy.linkage(vectors, method="average", metric="cosine")
    # Rounding: two equal vectors may miss their cosine of 1.
    labels = hierarchy.fcluster(tree, 1 - similarity + 1e-6, criterion="distance")
    _, first, group = np.unique(labels, return_index=True, return_inverse=True)
    return np.asarray(first[group], dtype=np.int64)


def share(table: Floats, group: Ints) -> Floats:
    """Give all photos of a group the same answer on gender and on age, the geometric mean of theirs.

    Parameters
    ----------
    table
        (N, 18), rows summing to 1.
    group
        (N,) as by :func:`find`.

    Returns
    -------
    (N, 18), rows summing to 1: probabilities of the mask states as they were, and what joins the three attributes kept
    as :func:`facemask.scoring.marginals.replaced` keeps it. A photo that is alone in its group stays as it was.
    """
    _, place, size = np.unique(group, return_inverse=True, return_counts=True)
    several = size[place] > 1
    own = classes.marginals(marginals.likely(table))
    wanted = {"mask": classes.marginals(table)["mask"]}
    for name in SHARED:
        total = np.zeros((len(size), own[name].shape[1]))
        np.add.at(total, place, np.log(own[name]))
        odds = np.exp(total / size[:, None])
        wanted[name] = (odds / odds.sum(1, keepdims=True))[place]
    out = np.array(table, dtype=np.float64)
    out[several] = marginals.replaced(out[several], {name: one[several] for name, one in wanted.items()})
    return out


def facts(group: Ints, person: npt.NDArray[Any] | None = None) -> dict[str, float]:
    """Count groups of two photos and more, the photos in them and the largest.

    Where each photo's ``person`` (N,) is known, ``adjusted_rand`` tells how well groups and people agree: 1 is perfect,
    0 is chance.
    """
    size = np.unique(group, return_counts=True)[1]
    found: dict[str, float] = {
        "groups": int((size > 1).sum()),
        "photos": int(size[size > 1].sum()),
        "largest": int(size.max(initial=0)),
    }
    if person is not None:
        from sklearn.metrics import adjusted_rand_score

        found["adjusted_rand"] = round(float(adjusted_rand_score(person, group)), 4)
    return found
