"""What was predicted for labelled photos, checked against the manifest and joined with the true classes."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import pandas as pd

from facemask.records import classes, tables
from facemask.runtime.errors import UserError

COLUMNS: Final = list(classes.columns())
TOLERANCE: Final = 1e-3
COMBINED: Final = replace(tables.PROBABILITIES, remedy="stage combine writes it: run `dvc repro combine`")


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
        Rows of the set ``labelled``, see :data:`facemask.records.tables.MANIFEST`.

    Raises
    ------
    UserError
        If a fold's file is missing or does not match the manifest, a row is no probability distribution, or a
        photo or person is in two folds.
    """
    apart(manifest)
    trained = manifest["split"] == "train"
    parts = [
        _read(models / f"fold{fold}" / "oof.csv", fold, manifest, trained & (manifest["fold"] == fold))
        for fold in folds
    ]
    whole = pd.concat(parts, ignore_index=True)
    if whole.empty:
        raise UserError(
            f"{models}: folds {list(folds)} hold no readable photo; see data/fix_labels/about/quarantine.csv"
        )
    return _joined(whole, manifest)


def hold_out(models: Path, folds: Sequence[int], manifest: pd.DataFrame) -> Predictions | None:
    """Every hold-out photo, its probabilities averaged over ``folds``; None where nobody is held out.

    Parameters and errors are those of :func:`out_of_fold`; the files are ``fold<k>/holdout.csv``.
    """
    apart(manifest)
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


def combined(folder: Path, manifest: pd.DataFrame) -> dict[str, Predictions]:
    """What the combine stage made of ``folder``: ``oof`` and, where people are held out, ``holdout``.

    Raises
    ------
    UserError
        If a file is missing or does not match the manifest, a row is no probability distribution, or a person is
        in two folds.
    """
    apart(manifest)
    found = {}
    for name, split in (("oof", "train"), ("holdout", "holdout")):
        path = folder / f"{name}.csv"
        table = tables.read(path, COMBINED)
        _check(path, table, manifest, manifest["split"] == split, COMBINED.remedy)
        if len(table):
            found[name] = _joined(table, manifest)
    if "oof" not in found:
        raise UserError(f"{folder / 'oof.csv'}: no photo; {COMBINED.remedy}")
    return found


def eval_photos_used(folder: Path) -> bool:
    """Whether a network behind what the combine stage made of ``folder`` learnt from the eval photos.

    Raises
    ------
    UserError
        If its about.json is missing or damaged.
    """
    path = folder / "about.json"
    try:
        return bool(json.loads(path.read_text(encoding="utf-8"))["eval_photos_used"])
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {COMBINED.remedy}") from None
    except (ValueError, KeyError, TypeError):
        raise UserError(f"{path}: damaged; run `dvc repro -f combine`") from None


def write(path: Path, split: Predictions | None, manifest: pd.DataFrame) -> None:
    """Write a split as :func:`combined` reads it; a table without rows for None."""
    rows = manifest.set_index("photo").loc[[] if split is None else split.photos].reset_index()
    shown = np.zeros((0, classes.COUNT)) if split is None else split.probabilities
    whole = pd.concat([rows[["photo", "person", "class"]], pd.DataFrame(shown, columns=COLUMNS)], axis=1)
    tables.write(path, whole, COMBINED)


def folds_of(split: Predictions, manifest: pd.DataFrame) -> npt.NDArray[np.int64]:
    """(N,) fold of each photo of ``split``; -1 in the hold-out."""
    return manifest.set_index("photo").loc[split.photos, "fold"].to_numpy(np.int64)


def _remedy(fold: int) -> str:
    return f"run `dvc repro train@{fold}`"


def _read(path: Path, fold: int, manifest: pd.DataFrame, chosen: pd.Series[bool]) -> pd.DataFrame:
    """Read one fold's table; all readable photos among the ``chosen`` rows of the manifest must be there."""
    if not path.parent.is_dir():
        raise UserError(f"{path.parent}: no such folder, but train.folds lists fold {fold}; {_remedy(fold)}")
    table = tables.read(path, tables.PROBABILITIES)
    _check(path, table, manifest, chosen, _remedy(fold))
    readable = manifest["photo"][chosen & (manifest["status"] == "ok")]
    lacking = sorted(set(readable) - set(table["photo"]))
    if lacking:
        raise UserError(
            f"{path}: {len(lacking)} photos are lacking, the first is {lacking[0]!r}; {_remedy(fold)}"
        )
    return table


def _check(
    path: Path, table: pd.DataFrame, manifest: pd.DataFrame, chosen: pd.Series[bool], remedy: str
) -> None:
    """Hold a table against the ``chosen`` rows of the manifest."""
    for photo in table["photo"][~sound(table[COLUMNS].to_numpy())]:
        raise UserError(f"{path}: photo {photo!r}: p0..p17 are no probabilities that sum to 1; {remedy}")
    expected, place = manifest[chosen], manifest.set_index("photo")
    for photo in table["photo"][~table["photo"].isin(expected["photo"])]:
        where = _place(place.loc[photo]) if photo in place.index else "nowhere"
        raise UserError(
            f"{path}: photo {photo!r} does not belong there, the manifest has it {where}; {remedy}"
        )
    truth = expected.set_index("photo")
    true = truth.loc[table["photo"], ["person", "class"]].reset_index(drop=True)
    for column in ("person", "class"):
        for row in table.index[table[column] != true[column]]:
            said = f"photo {table['photo'][row]!r}: {column} {table[column][row]}"
            raise UserError(f"{path}: {said}, but the manifest says {true[column][row]}; {remedy}")


def sound(values: npt.NDArray[np.float64]) -> npt.NDArray[np.bool_]:
    """(N,) whether each row of (N, 18) is a probability distribution, to a rounded file's tolerance."""
    # So written that NaN is unsound too.
    return np.asarray((values >= 0).all(1) & (np.abs(values.sum(1) - 1) <= TOLERANCE))


def apart(manifest: pd.DataFrame) -> None:
    """Check that nobody is on both sides: a model that knows the face would predict it.

    Parameters
    ----------
    manifest
        Rows of the set ``labelled``, with those of ``extra`` or without.

    Raises
    ------
    UserError
        If a person is in two folds, or in a fold and in the hold-out.
    """
    # Photos of further data sets only ever train; they must stay with their person all the same.
    extra, held = manifest["split"] == "extra", manifest["fold"] == -1
    split = manifest["split"].mask(extra, "train").mask(extra & held, "holdout")
    places = manifest[["person", "fold"]].assign(split=split).drop_duplicates()
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
