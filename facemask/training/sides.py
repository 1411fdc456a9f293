"""A fold's photos out of the manifest: who trains, who validates, who is held out, decoded once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from facemask.network import reader
from facemask.records import bands, tables
from facemask.runtime.arrays import Pixels
from facemask.runtime.errors import UserError
from facemask.scoring import predictions
from facemask.settings import recipes
from facemask.training.batches import Side
from facemask.training.pixels import decoded


@dataclass(frozen=True)
class Rows:
    """Readable rows of the manifest, see :data:`facemask.records.tables.MANIFEST`.

    Attributes
    ----------
    train
        Photos of people of other folds and of extra data sets, seen at least once an epoch.
    val
        Photos of the fold's own people.
    held
        Photos of the people held out.
    unlabelled
        Photos for self-training and UDA; empty where the recipe wants none.
    unreadable
        How many rows of labelled and extra photos are none of these, as they cannot be read.
    cuts
        Where the bands of the training targets begin.
    """

    train: pd.DataFrame
    val: pd.DataFrame
    held: pd.DataFrame
    unlabelled: pd.DataFrame
    unreadable: int
    cuts: bands.Cuts


class Photos(NamedTuple):
    """The decoded photos of :class:`Rows`, but for those held out."""

    train: Side
    val: Side
    unlabelled: Pixels | None


def rows(recipe: recipes.Recipe, fold: int, manifest: Path) -> Rows:
    """Choose the rows of ``fold`` from the folder ``manifest``, which holds a folder a set.

    Raises
    ------
    UserError
        If the fold has no people, or a person is on both sides.
    """
    paths = [manifest / name / tables.MANIFEST.name for name in ("labelled", "extra")]
    whole = pd.concat([tables.read(path, tables.MANIFEST) for path in paths], ignore_index=True)
    predictions.apart(whole)
    readable = whole["status"] == "ok"
    unreadable, whole = int((~readable).sum()), whole[readable]
    ours = (whole["split"] == "train") & (whole["fold"] == fold)
    if not ours.any():
        raise UserError(f"fold {fold} has no photos in {paths[0]}; set build_manifest.folds above {fold}")
    apart = ~whole["fold"].isin([fold, tables.HOLDOUT])
    other = pd.DataFrame()
    if not isinstance(recipe.unlabelled, recipes.Nothing):
        schema = tables.UNLABELLED_MANIFEST
        other = tables.read(manifest / recipe.pool / schema.name, schema)
        other = other[other["status"] == "ok"]
    return Rows(
        train=whole[apart & (whole["repeats"] > 0)],
        val=whole[ours],
        held=whole[whole["split"] == "holdout"],
        unlabelled=other,
        unreadable=unreadable,
        cuts=bands.read(manifest / "labelled"),
    )


@contextlib.contextmanager
def opened(recipe: recipes.Recipe, chosen: Rows, photos: reader.PhotoReader) -> Iterator[Photos]:
    """Decode the photos of ``chosen``; they are gone when the block ends."""
    parts = [part for part in (chosen.train, chosen.val, chosen.unlabelled) if len(part)]
    listed = [row for part in parts for row in reader.rows(part)]
    swapped = isinstance(recipe.swap, recipes.Swap)
    with decoded(photos, listed, label="photos decoded", mattes=swapped) as (pixels, mattes):
        left, right = len(chosen.train), len(chosen.train) + len(chosen.val)
        yield Photos(
            train=_side(chosen.train, pixels[:left], None if mattes is None else mattes[:left], chosen.cuts),
            val=_side(chosen.val.assign(repeats=1), pixels[left:right], None, chosen.cuts),
            unlabelled=pixels[right:] if len(chosen.unlabelled) else None,
        )


def _side(part: pd.DataFrame, pixels: Pixels, mattes: Pixels | None, cuts: bands.Cuts) -> Side:
    return Side(
        pixels=pixels,
        mattes=mattes,
        targets=part["target"].to_numpy(np.int64),
        ages=part["age"].to_numpy(np.int64),
        labels=part["class"].to_numpy(np.int64),
        repeats=part["repeats"].to_numpy(np.int64),
        cuts=cuts,
        people=pd.factorize(part["person"], sort=True)[0].astype(np.int64),
    )
