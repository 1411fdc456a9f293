"""Scores from confusion counts; every macro-F1 in this project, training included, is computed here.

A class that occurs neither in the truth nor in the predictions is left out of a macro-F1: nothing was asked
about it. A class that occurs in the truth and is never predicted, or is predicted and never true, counts 0.
This is what ``sklearn.metrics.f1_score(average="macro")`` does without ``labels``.

The class prediction is the argmax of the 18 probabilities; an attribute's prediction is the argmax of that
attribute's marginal, which may differ from the attribute of the most probable class. Ties go to the lower
index.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

import numpy as np
import numpy.typing as npt

from facemask.records import classes
from facemask.runtime.arrays import Floats, Ints

SIZES: Final = {"class": classes.COUNT} | {name: len(values) for name, values in classes.ATTRIBUTES.items()}
KEYS: Final = ("macro_f1", "accuracy", *(f"{name}_f1" for name in classes.ATTRIBUTES))
LABELS: Final = {
    "macro_f1": "18-class macro-F1",
    "accuracy": "18-class accuracy",
    "mask_f1": "mask macro-F1",
    "gender_f1": "gender macro-F1",
    "age_f1": "age macro-F1",
    "log_loss": "log loss",
    "ece": "calibration error",
}
# Below this many people a score says little.
FEW: Final = 10
# Tables pass through files with six digits: a smaller probability is not told from none.
SMALLEST: Final = 1e-6


def confusion(truth: npt.ArrayLike, predicted: npt.ArrayLike, count: int = classes.COUNT) -> Ints:
    """Count truth (rows) against prediction (columns), (count, count).

    Parameters
    ----------
    truth, predicted
        (N,) integers 0..count-1.

    Raises
    ------
    ValueError
        If the lengths differ or a value is outside the range.
    """
    true, called = np.asarray(truth, dtype=np.int64), np.asarray(predicted, dtype=np.int64)
    one: Ints = grouped(true, called, np.zeros(true.shape, dtype=np.int64), count, groups=1)[0]
    return one


def grouped(truth: Ints, predicted: Ints, group: Ints, count: int, *, groups: int) -> Ints:
    """Count as :func:`confusion`, one table a group: (groups, count, count).

    Parameters
    ----------
    truth, predicted
        (N,) integers 0..count-1.
    group
        (N,) integers 0..groups-1, such as the index of the photo's person.

    Raises
    ------
    ValueError
        If the lengths differ or a value is outside its range.
    """
    if not truth.shape == predicted.shape == group.shape or truth.ndim != 1:
        raise ValueError(f"shapes {truth.shape}, {predicted.shape} and {group.shape} must be one (N,)")
    cells = np.ravel_multi_index((group, truth, predicted), (groups, count, count))
    return np.bincount(cells, minlength=groups * count * count).reshape(groups, count, count).astype(np.int64)


def f1(counts: npt.NDArray[Any]) -> Floats:
    """Compute F1 a class (..., K), 0..1, of counts (..., K, K); NaN where a class occurs on neither side."""
    table = np.asarray(counts, dtype=np.float64)
    hits = np.einsum("...kk->...k", table)
    either = table.sum(-1) + table.sum(-2)
    return _quotient(2 * hits, either)


def macro_f1(counts: npt.NDArray[Any]) -> Floats:
    """Average F1 (...) over the classes that occur, from counts (..., K, K); NaN for an empty table."""
    each = f1(counts)
    occurs = ~np.isnan(each)
    present = occurs.sum(-1)
    total = np.where(occurs, each, 0.0).sum(-1)
    return _quotient(total, present)


def accuracy(counts: npt.NDArray[Any]) -> Floats:
    """Compute the fraction (...) on the diagonal of counts (..., K, K); NaN for an empty table."""
    table = np.asarray(counts, dtype=np.float64)
    total = table.sum((-1, -2))
    hits = np.einsum("...kk->...", table)
    return _quotient(hits, total)


def _quotient(above: npt.NDArray[Any], below: npt.NDArray[Any]) -> Floats:
    out = np.full(np.shape(below), np.nan)
    np.divide(above, below, out=out, where=below > 0)
    return out


def truths(official: npt.ArrayLike) -> dict[str, Ints]:
    """Return the class (N,) and its three attributes, under the keys of ``SIZES``."""
    mask, gender, age = classes.decode(official)
    return {"class": np.asarray(official, dtype=np.int64), "mask": mask, "gender": gender, "age": age}


def calls(probabilities: npt.NDArray[np.floating]) -> dict[str, Ints]:
    """Predict class and attributes (N,) from an (N, 18) table, under the keys of ``SIZES``."""
    tables = {"class": np.asarray(probabilities), **classes.marginals(probabilities)}
    return {name: table.argmax(1).astype(np.int64) for name, table in tables.items()}


def confusions(
    probabilities: npt.NDArray[np.floating], official: npt.ArrayLike, group: Ints | None = None
) -> dict[str, Ints]:
    """Count truth against prediction for the class and each attribute, one table a group.

    Parameters
    ----------
    probabilities
        (N, 18), rows summing to 1.
    official
        (N,) classes 0..17 by the official age bands.
    group
        (N,) integers 0..G-1 such as the index of the photo's person; none for one group.

    Returns
    -------
    dict
        ``class`` (G, 18, 18), ``mask`` (G, 3, 3), ``gender`` (G, 2, 2), ``age`` (G, 3, 3).

    Raises
    ------
    ValueError
        If there is no row, the shapes do not match or a value is not finite.
    """
    table, true = np.asarray(probabilities), truths(official)
    if table.ndim != 2 or table.shape != (len(true["class"]), classes.COUNT) or not len(table):
        raise ValueError(
            f"{table.shape} probabilities, {len(true['class'])} classes: (N, 18) and N > 0 are wanted"
        )
    if not np.isfinite(table).all():
        raise ValueError("a probability is not finite")
    member = np.zeros(len(table), dtype=np.int64) if group is None else group
    called = calls(table)
    groups = int(member.max()) + 1
    return {
        name: grouped(true[name], called[name], member, size, groups=groups) for name, size in SIZES.items()
    }


def statistics(tables: Mapping[str, npt.NDArray[Any]]) -> dict[str, Floats]:
    """Compute all scores (...), and ``f1`` (..., 18), of counts (..., K, K) as by :func:`confusions`."""
    scores = {"macro_f1": macro_f1(tables["class"]), "accuracy": accuracy(tables["class"])}
    scores |= {f"{name}_f1": macro_f1(tables[name]) for name in classes.ATTRIBUTES}
    return scores | {"f1": f1(tables["class"])}


def score(probabilities: npt.NDArray[np.floating], official: npt.ArrayLike) -> dict[str, float]:
    """Score an (N, 18) probability table against official classes (N,); each score is in 0..1.

    Returns
    -------
    dict
        ``macro_f1`` and ``accuracy`` over the 18 classes, ``mask_f1``, ``gender_f1`` and ``age_f1`` (macro-F1 of each
        attribute), and ``log_loss`` (nats).

    Raises
    ------
    ValueError
        As for :func:`confusions`.
    """
    found = statistics({name: table[0] for name, table in confusions(probabilities, official).items()})
    return {key: float(found[key]) for key in KEYS} | {"log_loss": log_loss(probabilities, official)}


def log_loss(probabilities: npt.NDArray[np.floating], official: npt.ArrayLike) -> float:
    """Average the negative log-probability (nats) of the true classes (N,) in an (N, 18) table."""
    true = np.asarray(official, dtype=np.int64)
    return float(-np.log(np.maximum(np.asarray(probabilities)[np.arange(len(true)), true], SMALLEST)).mean())


def rounded(scores: Mapping[str, Any]) -> dict[str, Any]:
    """Round to four decimals, for JSON: what is undefined (NaN) or unknown is None, mappings are rounded inside."""
    return {
        key: rounded(value)
        if isinstance(value, Mapping)
        else None
        if value is None or np.isnan(value)
        else round(float(value), 4)
        for key, value in scores.items()
    }
