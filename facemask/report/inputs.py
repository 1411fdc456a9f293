"""Everything the page is made of, read from what the stages wrote."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from facemask.records import tables
from facemask.records.roots import Roots
from facemask.report import omissions, slices
from facemask.runtime import files
from facemask.runtime.errors import UserError
from facemask.scoring import predictions
from facemask.scoring.predictions import Predictions

# Sets that the page shows: what the scores are of, and what is to be answered.
SHOWN: Final = ("labelled", "eval")


@dataclass(frozen=True)
class Places:
    """Where the stages' outputs and the photos lie.

    Attributes
    ----------
    labels, faces, mattes, manifest, combined, evaluated, answered
        Folders of fix_labels, face_crop, background_removal, build_manifest, combine, evaluate and infer.
    models
        Folder of the trained folds.
    metrics
        Folder of the curves and charts that git keeps.
    photos
        Roots of the photos.
    """

    labels: Path
    faces: Path
    mattes: Path
    manifest: Path
    models: Path
    combined: Path
    evaluated: Path
    answered: Path
    metrics: Path
    photos: Roots


@dataclass(frozen=True)
class Inputs:
    """What was read.

    Attributes
    ----------
    photos
        All photos: :data:`facemask.records.tables.PHOTOS`.
    manifest, eval
        Rows of the sets ``labelled`` and ``eval``.
    boxes, mattes
        Table by set.
    splits
        Out-of-fold (``oof``) and hold-out predictions (``holdout``, where people are held out).
    details
        What evaluate tells: scores with limits by split.
    answers
        Probabilities of the eval photos, by image id; no rows without eval photos.
    known
        Their classes where they are known.
    counts
        What stages counted, by stage.
    quarantine
        Photos that could not be read or were passed over, with the reason.
    reliability
        Data of the reliability diagrams: a split's bins.
    curves
        Fold to its tables ``loss`` and ``scores``.
    models
        Fold to what its model.json tells.
    extras
        Further columns of train.csv by labelled photo.
    """

    photos: pd.DataFrame
    manifest: pd.DataFrame
    eval: pd.DataFrame
    boxes: Mapping[str, pd.DataFrame]
    mattes: Mapping[str, pd.DataFrame]
    splits: Mapping[str, Predictions]
    details: Mapping[str, Any]
    answers: pd.DataFrame
    known: pd.DataFrame
    counts: Mapping[str, Mapping[str, Any]]
    quarantine: pd.DataFrame
    reliability: pd.DataFrame
    curves: Mapping[int, Mapping[str, pd.DataFrame]]
    models: Mapping[int, Mapping[str, Any]]
    extras: pd.DataFrame


def read(places: Places, folds: tuple[int, ...]) -> Inputs:
    """Read all of it.

    Raises
    ------
    UserError
        If a file is missing, damaged or out of step with the others.
    """
    photos = tables.read(places.labels / tables.PHOTOS.name, tables.PHOTOS)
    rows, listed = (
        tables.read(places.manifest / name / schema.name, schema)
        for name, schema in zip(SHOWN, (tables.MANIFEST, tables.UNLABELLED_MANIFEST), strict=True)
    )
    return Inputs(
        photos=photos,
        manifest=rows,
        eval=listed,
        boxes={name: tables.read(places.faces / name / tables.BOXES.name, tables.BOXES) for name in SHOWN},
        mattes={
            name: tables.read(places.mattes / name / tables.MATTES.name, tables.MATTES) for name in SHOWN
        },
        splits=predictions.combined(places.combined, rows),
        details=files.read_json(places.evaluated / "details.json", "run `dvc repro evaluate`"),
        answers=tables.read(places.answered / tables.EVAL_PROBABILITIES.name, tables.EVAL_PROBABILITIES),
        known=tables.read(places.labels / tables.ANSWERS.name, tables.ANSWERS),
        counts=omissions.read(places.labels, places.faces, places.mattes, places.manifest, places.answered),
        quarantine=tables.read(places.labels / "about" / tables.QUARANTINE.name, tables.QUARANTINE),
        reliability=_chart(places.metrics / "evaluate" / "reliability.csv", "evaluate"),
        curves={
            fold: {
                name: _chart(places.metrics / "train" / f"fold{fold}" / f"{name}.csv", f"train@{fold}")
                for name in ("loss", "scores")
            }
            for fold in folds
        },
        models={
            fold: files.read_json(
                places.models / f"fold{fold}" / "model.json", f"run `dvc repro train@{fold}`"
            )
            for fold in folds
        },
        extras=slices.columns(places.photos.main / "train" / "train.csv", photos),
    )


def _chart(path: Path, stage: str) -> pd.DataFrame:
    """Read a table that is drawn."""
    try:
        return pd.read_csv(path)
    except (OSError, ValueError) as error:
        raise UserError(
            f"{path}: cannot be read ({' '.join(str(error).split())}); run `dvc repro {stage}`"
        ) from None
