"""The contest's answer file, checked before it is written."""

from __future__ import annotations

import hashlib
from pathlib import Path

import numpy as np
import numpy.typing as npt
import pandas as pd

from facemask.records import classes, tables
from facemask.runtime.errors import UserError


def write(folder: Path, image_ids: pd.Series[str], table: npt.NDArray[np.float64]) -> str:
    """Write ``submission.csv`` (ImageID, ans) and ``probabilities.csv`` in the order of ``image_ids``.

    Returns
    -------
    str
        SHA-256 of ``submission.csv``: equal answers have equal ones, whatever their probabilities.

    Raises
    ------
    UserError
        If an ImageID occurs twice.
    ValueError
        If there is not one row of probabilities for each ImageID, or a row is not a distribution.
    """
    if table.shape != (len(image_ids), classes.COUNT):
        raise ValueError(f"{table.shape} probabilities for {len(image_ids)} ImageIDs")
    if not (np.isfinite(table).all() and np.allclose(table.sum(1), 1, atol=1e-6)):
        raise ValueError("a row of probabilities does not sum to 1")
    twice = image_ids[image_ids.duplicated()]
    if len(twice):
        raise UserError(f"eval/info.csv: ImageID {twice.iloc[0]} occurs twice; each photo is answered once")
    ids = pd.DataFrame({"ImageID": image_ids.to_numpy()})
    tables.write(folder / "submission.csv", ids.assign(ans=table.argmax(1)), tables.SUBMISSION)
    probabilities = pd.DataFrame(table, columns=list(classes.columns()))
    tables.write(
        folder / "probabilities.csv", pd.concat([ids, probabilities], axis=1), tables.EVAL_PROBABILITIES
    )
    return hashlib.sha256((folder / "submission.csv").read_bytes()).hexdigest()
