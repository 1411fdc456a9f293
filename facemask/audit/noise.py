"""How many labels are wrong, and the best score that this allows.

References
----------
Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021,
https://arxiv.org/abs/1911.00068
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
from cleanlab import count

from facemask.audit.labels import Labelled
from facemask.audit.suspects import Attribute
from facemask.runtime.arrays import Floats


def summary(found: Mapping[Attribute, Labelled]) -> dict[str, Any]:
    """Estimate the label noise of each attribute, and of the 18 classes as if the three were independent.

    Returns
    -------
    dict
        By attribute, and ``classes``: ``labels`` (how many were looked at), ``noise`` (estimated share of wrong ones),
        ``expected`` (their estimated number, None for classes), ``best_accuracy`` and ``best_macro_f1`` (what a
        network that is always right would score on these labels). None where fewer than two labels occur.
    """
    joints = {name: _joint(one) for name, one in found.items()}
    told: dict[str, Any] = {}
    for name, one in found.items():
        joint = joints[name]
        told[name] = None
        if joint is not None:
            best = _best(joint)
            told[name] = {"labels": len(one.given), "expected": round(best["noise"] * len(one.given))} | best
    mask, gender, age = (joints[name] for name in ("mask", "gender", "age"))
    if mask is None or gender is None or age is None:
        return told | {"classes": None}
    return told | {"classes": _best(np.kron(np.kron(mask, gender), age))}


def _joint(one: Labelled) -> Floats | None:
    """(K, K) estimated share of labels by given (row) and true (column) class, summing to 1."""
    if len(np.unique(one.given)) < 2:
        return None
    return np.asarray(count.estimate_joint(one.given, one.probabilities), dtype=np.float64)


def _best(joint: Floats) -> dict[str, float]:
    """Score the true labels on the given ones."""
    right, both = np.diag(joint), joint.sum(0) + joint.sum(1)
    seen = both > 0
    return {
        "noise": round(float(1 - right.sum()), 4),
        "best_accuracy": round(float(right.sum()), 4),
        "best_macro_f1": round(float((2 * right[seen] / both[seen]).mean()), 4),
    }
