"""The rows that trainer and predictor read: labels, faces and mattes joined, classes, split and repeats."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd

from facemask.manifest import balancing, folds, kinship
from facemask.records import classes, left_out, tables
from facemask.runtime.errors import UserError
from facemask.settings import params

STRATA: Final = tuple(f"{gender} {band}" for gender in classes.GENDERS for band in classes.AGES)
UNREADABLE: Final = "unreadable"
EXTRA: Final = "extra"


@dataclass(frozen=True)
class Findings:
    """One stage's table about photos, to be joined.

    Attributes
    ----------
    rows
        Columns photo and ``status``, and what else is to be joined.
    status
        Name of the column with the stage's verdict; ``unreadable`` there makes the photo unreadable.
    path, stage
        Where the table came from, for errors.
    """

    rows: pd.DataFrame
    status: str
    path: Path
    stage: str


def joined(photos: pd.DataFrame, faces: Path, mattes: Path) -> dict[str, pd.DataFrame]:
    """Split :data:`facemask.records.tables.PHOTOS` by set, and add each photo's face and matte.

    Parameters
    ----------
    faces, mattes
        Folders with a folder a set, of face_crop and background_removal.

    Raises
    ------
    UserError
        If a table is missing, damaged, or was made from other labels.
    """
    found = {}
    for name in tables.SETS:
        boxes, cutouts = faces / name / "boxes.csv", mattes / name / "mattes.csv"
        face = tables.read(boxes, tables.BOXES).rename(columns={"status": "face"})
        matte = tables.read(cutouts, tables.MATTES).rename(columns={"status": "matte"})
        findings = (
            Findings(face, "face", boxes, "face_crop"),
            Findings(matte, "matte", cutouts, "background_removal"),
        )
        found[name] = join(photos[photos["set"] == name].reset_index(drop=True), findings)
    return found


def join(photos: pd.DataFrame, findings: Sequence[Findings]) -> pd.DataFrame:
    """Add each photo's face and matte; rows, their order and their number stay.

    Raises
    ------
    UserError
        If a table knows nothing of a photo: it was made from other labels.
    """
    damaged = photos["status"] == UNREADABLE
    for one in findings:
        absent = photos.loc[~photos["photo"].isin(one.rows["photo"]), "photo"]
        if len(absent):
            what = f"no row for {absent.iloc[0]}" + (
                f" (and {len(absent) - 1} more)" if len(absent) > 1 else ""
            )
            raise UserError(f"{one.path}: {what}; it was made from other labels: run `dvc repro {one.stage}`")
        photos = photos.merge(one.rows, on="photo", how="left", validate="one_to_one")
        damaged = damaged | (photos[one.status] == UNREADABLE)
    return photos.assign(status=photos["status"].mask(damaged, UNREADABLE))


def train(
    cfg: params.BuildManifest,
    bands: params.Bands,
    joined: pd.DataFrame,
    extra: pd.DataFrame,
    listed: pd.DataFrame,
    *,
    seed: int,
) -> pd.DataFrame:
    """Give each labelled photo its classes, split, fold and repeats; those of extra data sets come last.

    Split, fold and ``class`` come from official bands; only ``target``, and through it the balance, from
    ``bands``. A person with several folders has the stratum of the first, as have people with a photo in common.
    People are dealt to folds without regard to extra data sets, whose photos then follow (see
    :func:`facemask.manifest.kinship.assign`) as split ``extra``.

    Parameters
    ----------
    joined, extra, listed
        Labels, labels of extra data sets and eval photos after :func:`join`.

    Raises
    ------
    UserError
        If there are fewer people than folds.
    """
    rows = _classified(joined, bands)
    who = rows["person"].map(kinship.same(rows))
    people = rows[rows["person"] == who].drop_duplicates("person")
    strata = dict(zip(people["person"], people["stratum"].to_list(), strict=True))
    fold = who.map(folds.assign(strata, folds=cfg.folds, holdout=cfg.holdout, seed=seed))
    rows = rows.assign(fold=fold, split=np.where(fold == tables.HOLDOUT, "holdout", "train"), copy=False)
    if len(extra):
        taken = listed.loc[listed["status"] == "ok", "sha256"]
        more = kinship.assign(rows, _classified(extra, bands), taken).assign(split=EXTRA)
        rows = pd.concat([rows, more], ignore_index=True)
    seen = _seen(rows)
    rows.loc[seen, "repeats"] = balancing.repeats(cfg.balance, rows[seen], seed=seed)
    return rows


def _classified(labels: pd.DataFrame, bands: params.Bands) -> pd.DataFrame:
    age, mask, gender = labels["age"], labels["mask"], labels["gender"]
    official = classes.band(age)
    shifted = classes.band(age, bands.young_cut, bands.age_cut)
    return labels.assign(
        **{"class": classes.encode(mask, gender, official)},
        target=classes.encode(mask, gender, shifted),
        stratum=gender * len(classes.AGES) + official,
        repeats=0,
    )


def _seen(rows: pd.DataFrame) -> pd.Series[bool]:
    """Tell the photos that some fold trains."""
    return (rows["fold"] != tables.HOLDOUT) & (rows["status"] == "ok") & ~rows["copy"]


def unlabelled(photos: pd.DataFrame, *others: pd.DataFrame) -> pd.DataFrame:
    """Leave out photos whose bytes are a photo's of ``others`` or of an earlier row: nothing is known of the rest.

    Parameters
    ----------
    photos, others
        Photos after :func:`join`.
    """
    known = set().union(*(other["sha256"] for other in others))
    return photos[~photos["sha256"].isin(known) & ~photos["sha256"].duplicated()]


def class_counts(rows: pd.DataFrame) -> dict[str, list[int]]:
    """Count readable photos of people who are not held out, a list of 18 each.

    ``official`` counts official classes, ``target`` the classes that the trainer sees, ``extra`` those of extra data
    sets (absent without any), ``balanced`` how often it sees all of them in an epoch of all folds.
    """
    seen = rows[_seen(rows)]
    more = seen["split"] == EXTRA

    def count(column: str, part: pd.DataFrame, weights: pd.Series[Any] | None = None) -> list[int]:
        counts = np.bincount(part[column], weights=weights, minlength=classes.COUNT)
        return [int(value) for value in counts]

    return {
        "official": count("class", seen[~more]),
        "target": count("target", seen[~more]),
        **({"extra": count("target", seen[more])} if more.any() else {}),
        "balanced": count("target", seen, seen["repeats"]),
    }


def told(rows: pd.DataFrame, listed: pd.DataFrame, found: pd.DataFrame, kept: pd.DataFrame) -> str:
    """Say which photos neither train nor are scored, and why.

    Parameters
    ----------
    rows, listed
        See :func:`train`; the eval photos.
    found, kept
        Photos without labels before and after :func:`unlabelled`.
    """
    readable = rows["status"] == "ok"
    apart = {
        "unreadable, neither trained on nor scored": int((~readable).sum()),
        "unreadable eval photos, to be answered by a constant": int((listed["status"] != "ok").sum()),
        "never trained on (build_manifest.balance, copies, relatives of people held out)": int(
            (readable & (rows["repeats"] == 0) & (rows["split"] != "holdout")).sum()
        ),
        "copies without labels": len(found) - len(kept),
    }
    return left_out.line("build_manifest", len(rows) + len(listed) + len(found), "photos", apart)


def counts(rows: pd.DataFrame, eval_photos: int, unlabelled: int, left_out: int) -> dict[str, Any]:
    """Count people and photos by split, fold, stratum and class, for the metrics.

    Parameters
    ----------
    rows
        See :func:`train`.
    eval_photos, unlabelled, left_out
        Eval photos, photos without labels, and such that :func:`unlabelled` left out.
    """
    per_class = class_counts(rows)
    more = rows[rows["split"] == EXTRA]
    rows = rows[rows["split"] != EXTRA]
    people = rows.drop_duplicates("person")
    held = people["split"] == "holdout"
    same = kinship.same(rows)
    return {
        "people": _per_fold(people),
        "photos": _per_fold(rows),
        "people_under_two_names": sum(name != person for person, name in same.items()),
        "unreadable": int((rows["status"] != "ok").sum()),
        "eval_photos": eval_photos,
        "strata": {
            name: {
                "train": int((people.loc[~held, "stratum"] == number).sum()),
                "holdout": int((people.loc[held, "stratum"] == number).sum()),
            }
            for number, name in enumerate(STRATA)
        },
        "classes": {
            name: {what: values[number] for what, values in per_class.items()}
            for number, name in enumerate(classes.NAMES)
        },
        "extra": _lent(more),
        "unlabelled": {"photos": unlabelled, "copies": left_out},
    }


def _lent(more: pd.DataFrame) -> dict[str, int]:
    people = more.drop_duplicates("person")["fold"]
    return {
        "people": len(people),
        "people_of_a_fold": int((people >= 0).sum()),
        "people_barred": int((people == tables.HOLDOUT).sum()),
        "photos": len(more),
        "unreadable": int((more["status"] != "ok").sum()),
        "copies": int(more["copy"].sum()),
        "trained": int(_seen(more).sum()),
    }


def _per_fold(rows: pd.DataFrame) -> dict[str, int]:
    names = {fold: f"fold{fold}" for fold in range(int(rows["fold"].max()) + 1)} | {tables.HOLDOUT: "holdout"}
    return {"total": len(rows)} | {name: int((rows["fold"] == fold).sum()) for fold, name in names.items()}
