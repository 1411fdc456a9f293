"""How often a training photo is seen in an epoch: a count on its row, never a copied row."""

from __future__ import annotations

import hashlib
from typing import assert_never

import numpy as np
import pandas as pd

from facemask.records import classes
from facemask.runtime.arrays import Ints
from facemask.settings import params


def repeats(cfg: params.Balance, rows: pd.DataFrame, *, seed: int) -> Ints:
    """Count, for each training row, how often it is seen.

    One count serves every fold: whatever the fold, its training side is a part of ``rows``. The validation
    side sees each of its rows once and does not look at the count.

    Parameters
    ----------
    rows
        Readable photos of all people who are not held out: photo, person, target (class 0..17 that the
        trainer sees).

    Returns
    -------
    (N,) int64, 0 for a row that is left out
    """
    match cfg.kind:
        case "none":
            return np.ones(len(rows), dtype=np.int64)
        case "oversample":
            return _oversample(cfg, rows["target"].to_numpy(dtype=np.int64))
        case "undersample":
            return _undersample(cfg, rows, seed)
        case _:
            assert_never(cfg)


def _oversample(cfg: params.Oversample, target: Ints) -> Ints:
    counts = np.bincount(target, minlength=classes.COUNT)
    wanted = cfg.ratio * counts.max(initial=0) / np.maximum(counts, 1)
    each: Ints = np.clip(np.round(wanted), 1, cfg.cap).astype(np.int64)
    return each[target]


def _undersample(cfg: params.Undersample, rows: pd.DataFrame, seed: int) -> Ints:
    mask, _, _ = classes.decode(rows["target"])
    # A digest of the name draws lots without regard to the order of the rows or to who else is there.
    lots = [hashlib.sha256(f"{seed} {photo}".encode()).hexdigest() for photo in rows["photo"]]
    drawn = pd.DataFrame({"person": rows["person"].to_numpy(), "mask": mask, "lot": lots})
    place = drawn.sort_values("lot").groupby(["person", "mask"]).cumcount().sort_index().to_numpy()
    return (place < np.asarray(cfg.keep)[mask]).astype(np.int64)
