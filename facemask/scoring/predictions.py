"""What the folds predicted, checked against the manifest and joined with the true classes."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from facemask.errors import UserError
from facemask.records import classes, tables

COLUMNS: Final = list(classes.columns())
TOLERANCE: Final = 1e-3


@dataclass(frozen=True)
class Predictions:
    """Predicted photos, sorted by photo.

    Attributes
    ----------
    photos
        (N,) photo keys.
    person
        (N,) index 0..P-1 of each photo's person.
    official
        (N,) true classes 0..17 by the official age bands, from the manifest.
    probabilities
        (N, 18), rows summing to 1.
    """

    photos: list[str]
    person: npt.NDArray[np.int64]
    official: npt.NDArray[np.int64]
    probabilities: npt.NDArray[np.float64]


def out_of_fold(models: Path, folds: Sequence[int], manifest: pd.DataFrame) -> Predictions:
    """Every photo of ``folds``, predicted by the model that did not see its person.

    Parameters
    ----------
    models
        Folder with ``fold<k>/oof.csv``; only ``folds`` are read, whatever else lies there.
    folds
        Trained folds.
    manifest
        Rows of ``train.csv``, see :data:`facemask.records.tables.TRAIN`.

    Raises
    ------
    UserError
        If a fold's file is missing or does not match the manifest, a row is no probability distribution, or a
        photo or person is in two folds.
    """
    _apart(manifest)
    trained = manifest["split"] == "train"
    parts = [
        _read(models / f"fold{fold}" / "oof.csv", fold, manifest, trained & (manifest["fold"] == fold))
        for fold in folds
    ]
    whole = pd.concat(parts, ignore_index=True)
    if whole.empty:
        raise UserError(
            f"{models}: folds {list(folds)} hold no readable photo; see data/fix_labels/quarantine.csv"
        )
    return _joined(whole, manifest)


def hold_out(models: Path, folds: Sequence[int], manifest: pd.DataFrame) -> Predictions | None:
    """Every hold-out photo, its probabilities averaged over ``folds``; None where nobody is held out.

    Parameters and errors are those of :func:`out_of_fold`; the files are ``fold<k>/holdout.csv``.
    """
    _apart(manifest)
    held_out = manifest["split"] == "holdout"
    if not (manifest["status"][held_out] == "ok").any():
        return None
    parts = [_read(models / f"fold{fold}" / "holdout.csv", fold, manifest, held_out) for fold in folds]
    for fold, part in zip(folds[1:], parts[1:], strict=True):
        if set(part["photo"]) != set(parts[0]["photo"]):
            path = models / f"fold{fold}" / "holdout.csv"
            raise UserError(f"{path}: not the photos of fold {folds[0]}; {_remedy(fold)}")
    mean = pd.concat(parts).groupby("photo", sort=True)[COLUMNS].mean().reset_index()
    return _joined(mean.merge(parts[0][["photo", "person"]], on="photo", validate="1:1"), manifest)


def _remedy(fold: int) -> str:
    return f"run `dvc repro train@{fold}`"


def _read(path: Path, fold: int, manifest: pd.DataFrame, chosen: pd.Series[bool]) -> pd.DataFrame:
    """Read one table and hold it against the ``chosen`` rows of the manifest."""
    if not path.parent.is_dir():
        raise UserError(f"{path.parent}: no such folder, but train.folds lists fold {fold}; {_remedy(fold)}")
    table = tables.read(path, tables.PROBABILITIES)
    values = table[COLUMNS].to_numpy()
    # So written that NaN is unsound too.
    sound = (values >= 0).all(1) & (np.abs(values.sum(1) - 1) <= TOLERANCE)
    for photo in table["photo"][~sound]:
        raise UserError(
            f"{path}: photo {photo!r}: p0..p17 are no probabilities that sum to 1; {_remedy(fold)}"
        )
    expected, place = manifest[chosen], manifest.set_index("photo")
    for photo in table["photo"][~table["photo"].isin(expected["photo"])]:
        where = _place(place.loc[photo]) if photo in place.index else "nowhere"
        raise UserError(
            f"{path}: photo {photo!r} does not belong there, the manifest has it {where}; {_remedy(fold)}"
        )
    truth = expected.set_index("photo")
    true = truth.loc[table["photo"], ["person", "class"]].reset_index(drop=True)
    for column in ("person", "class"):
        for row in table.index[table[column] != true[column]]:
            said = f"photo {table['photo'][row]!r}: {column} {table[column][row]}"
            raise UserError(f"{path}: {said}, but the manifest says {true[column][row]}; {_remedy(fold)}")
    readable = expected["photo"][expected["status"] == "ok"]
    lacking = sorted(set(readable) - set(table["photo"]))
    if lacking:
        raise UserError(
            f"{path}: {len(lacking)} photos are lacking, the first is {lacking[0]!r}; {_remedy(fold)}"
        )
    return table


def _apart(manifest: pd.DataFrame) -> None:
    """Check that nobody is on both sides: a model that knows the face would predict it."""
    places = manifest[["person", "split", "fold"]].drop_duplicates()
    for person in places["person"][places["person"].duplicated()]:
        both = " and ".join(_place(row) for _, row in places[places["person"] == person].iterrows())
        raise UserError(
            f"the manifest has person {person!r} {both}: scores would not be honest; "
            "run `dvc repro build_manifest`"
        )


def _place(row: pd.Series[Any]) -> str:
    return "in the hold-out" if row["split"] == "holdout" else f"in fold {row['fold']}"


def _joined(rows: pd.DataFrame, manifest: pd.DataFrame) -> Predictions:
    ordered = rows.sort_values("photo", kind="stable")
    official = manifest.set_index("photo")["class"]
    person, _ = pd.factorize(ordered["person"], sort=True)
    return Predictions(
        photos=ordered["photo"].tolist(),
        person=person.astype(np.int64),
        official=official.loc[ordered["photo"]].to_numpy(dtype=np.int64),
        probabilities=ordered[COLUMNS].to_numpy(dtype=np.float64),
    )
