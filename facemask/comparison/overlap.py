"""Which rows two revisions both scored, and what about them could not be compared."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pandas as pd

from facemask.comparison.paired import Pair
from facemask.comparison.revisions import Revision
from facemask.runtime.errors import UserError
from facemask.scoring.predictions import COLUMNS

# More photos than this whose class differs are no corrected labels but other people.
OTHER_CLASSES: Final = 0.2


@dataclass(frozen=True)
class Overlap:
    """Rows that both sides scored.

    Attributes
    ----------
    before, after
        Their answers, by photo in one order.
    notes
        Sentences on what differs beside the answers.
    """

    before: pd.DataFrame
    after: pd.DataFrame
    notes: tuple[str, ...]

    def pair(self, persons: pd.Index[str]) -> Pair:
        """Return arrays of these rows, with each person's place in ``persons``."""
        return Pair(
            person=persons.get_indexer(pd.Index(self.after["person"])).astype(np.int64),
            official=self.after["class"].to_numpy(np.int64),
            before=self.before[COLUMNS].to_numpy(np.float64),
            after=self.after[COLUMNS].to_numpy(np.float64),
        )


def of(first: Revision, second: Revision) -> Overlap:
    """Find the rows that both scored; where their labels differ, the second's count for both.

    Raises
    ------
    UserError
        If there are none, or photos of one name are of other people.
    """
    photos = second.rows.index[second.rows.index.isin(first.rows.index)].sort_values()
    both = f"{first.title} and {second.title}"
    if not len(photos):
        raise UserError(
            f"compare: no photo was scored by both {both}; they are of other data sets ("
            f"{first.params.get('fix_labels.dataset')}, {second.params.get('fix_labels.dataset')}) or of other folds "
            f"(seed {first.params.get('seed')}, {second.params.get('seed')}; train.folds "
            f"{first.params.get('train.folds')}, {second.params.get('train.folds')}): train all folds of both"
        )
    before, after = first.rows.loc[photos], second.rows.loc[photos]
    changed = (before["class"] != after["class"]).to_numpy()
    if (before["person"] != after["person"]).any() or changed.mean() > OTHER_CLASSES:
        raise UserError(
            f"compare: {both} know other people under the same photo names; nothing can be compared"
        )
    notes = [
        _alone(first, photos),
        _alone(second, photos),
        _labels(after[changed], second),
        _folds(first, second),
    ]
    return Overlap(before, after, tuple(note for note in notes if note))


def _alone(one: Revision, photos: pd.Index[str]) -> str:
    left = one.rows[~one.rows.index.isin(photos)]
    if not len(left):
        return ""
    people = left["person"].nunique()
    return f"{len(left):,} photos of {people:,} people were scored by {one.title} alone and are left out."


def _labels(changed: pd.DataFrame, second: Revision) -> str:
    if not len(changed):
        return ""
    people = changed["person"].nunique()
    count = f"{len(changed):,} photos of {people:,} people"
    return f"{count} have another label in {second.title}; both are scored by its labels."


def _folds(first: Revision, second: Revision) -> str:
    """Both stay honest, but were trained on other people: part of the difference is that."""
    people = first.fold.index.intersection(second.fold.index)
    moved = int((first.fold[people] != second.fold[people]).sum())
    if not moved:
        return ""
    return (
        f"{moved:,} of {len(people):,} people are in another fold, so the networks that answered for them learnt from "
        "other people: a part of the difference comes from that."
    )
