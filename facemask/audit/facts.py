"""What the audit reads of earlier stages, and the facts that it tells besides the suspects."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from facemask.audit.labels import Labelled
from facemask.audit.suspects import Attribute
from facemask.records import tables
from facemask.runtime.arrays import Floats
from facemask.runtime.errors import UserError
from facemask.scoring.predictions import Predictions

# An eval photo or one of an unlabelled set may show anybody: of these only eval photos are compared with people.
COMPARED: Final = ("labelled", "extra", "eval")


def dataset(about: Path) -> str:
    """Name of the data set in ``data/label_fixes.csv``, from what fix_labels tells about it.

    Raises
    ------
    UserError
        If its counts.json is missing or damaged.
    """
    path = about / "counts.json"
    try:
        return str(json.loads(path.read_text(encoding="utf-8"))["dataset"])
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro fix_labels`") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: damaged; run `dvc repro -f fix_labels`") from None


def boxes(faces: Path) -> dict[str, pd.DataFrame]:
    """Boxes of the sets that are compared, see :data:`facemask.records.tables.BOXES`."""
    return {name: tables.read(faces / name / tables.BOXES.name, tables.BOXES) for name in COMPARED}


def rows(photos: pd.DataFrame, manifest: Path) -> pd.DataFrame:
    """Photos that may show the same face, with the fold that the manifest gave them; eval photos have none (-1).

    Returns
    -------
    pandas.DataFrame
        photo, set, person, folder, gender, age, fold.
    """
    folds: dict[str, int] = {}
    for name in ("labelled", "extra"):
        table = tables.read(manifest / name / tables.MANIFEST.name, tables.MANIFEST)
        folds |= dict(zip(table["photo"], table["fold"].tolist(), strict=True))
    chosen = photos[photos["set"].isin(COMPARED)]
    columns = ["photo", "set", "person", "folder", "gender", "age"]
    fold = chosen["photo"].map(folds).fillna(tables.HOLDOUT).astype("int64")
    return chosen[columns].assign(fold=fold).reset_index(drop=True)


def predicted(photos: pd.DataFrame, splits: Mapping[str, Predictions]) -> tuple[pd.DataFrame, Floats]:
    """Labelled photos that were predicted by networks that had not seen their person, and (N, 18) probabilities."""
    keys = [key for split in splits.values() for key in split.photos]
    labelled = photos.set_index("photo").loc[keys].reset_index()
    return labelled, np.concatenate([split.probabilities for split in splits.values()])


def summary(
    ranked: pd.DataFrame, asked: Mapping[Attribute, Labelled], photos: pd.DataFrame, noise: Mapping[str, Any]
) -> dict[str, Any]:
    """Count suspects by reason, and the people whose labels could be looked at."""
    labelled = photos.loc[photos["set"] == "labelled", "folder"].nunique()
    counts = (ranked["attribute"] + ": " + ranked["reason"]).value_counts().sort_index()
    return {
        "suspects": {str(name): int(count) for name, count in counts.items()},
        "people": int(labelled),
        "people_predicted": len(asked["gender"].given),
        "noise": dict(noise),
    }
