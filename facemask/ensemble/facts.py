"""What the ``model.json`` of trained folds says, read without torch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt
from pydantic import BaseModel, TypeAdapter, ValidationError

from facemask.records import classes
from facemask.runtime import files
from facemask.runtime.errors import UserError

REMEDY = "run `dvc repro train`"


@dataclass(frozen=True)
class Facts:
    """Of all folds together.

    Attributes
    ----------
    prior
        (18,) class frequencies of the training labels, mean of the folds.
    eval_photos_used
        Whether a fold learnt from the eval photos.
    """

    prior: npt.NDArray[np.float64]
    eval_photos_used: bool


class _Unlabelled(BaseModel):
    kind: str


class _Recipe(BaseModel):
    unlabelled: _Unlabelled
    pool: str


class _Model(BaseModel):
    prior: list[float]
    recipe: _Recipe


def read(models: Path, folds: Sequence[int]) -> Facts:
    """Read ``fold<k>/model.json`` of ``folds``.

    Raises
    ------
    UserError
        If one is missing, not what was written, or says less than is needed.
    """
    found = [_one(models / f"fold{fold}" / "model.json") for fold in folds]
    return Facts(
        prior=np.mean([one.prior for one in found], axis=0),
        eval_photos_used=any(
            one.recipe.unlabelled.kind != "none" and one.recipe.pool == "eval" for one in found
        ),
    )


def _one(path: Path) -> _Model:
    content = files.sealed(path, "oof.csv", "holdout.csv", remedy=REMEDY)
    try:
        model = TypeAdapter(_Model).validate_python(content)
    except ValidationError as error:
        told = " ".join(str(error).split())[:200]
        raise UserError(f"{path}: not a fold of this version: {told}; {REMEDY}") from None
    if len(model.prior) != classes.COUNT:
        raise UserError(f"{path}: prior holds {len(model.prior)} numbers, not {classes.COUNT}; {REMEDY}")
    return model
