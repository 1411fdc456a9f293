"""What differs between two revisions: answers, params and code."""

from __future__ import annotations

import subprocess
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np

from facemask.comparison.overlap import Overlap
from facemask.comparison.revisions import Revision
from facemask.ensemble import history
from facemask.records import classes
from facemask.scoring.predictions import COLUMNS

ABSENT: Final = "-"


@dataclass(frozen=True)
class Flip:
    """A photo of which one side was right and the other wrong.

    Attributes
    ----------
    truth, before, after
        Names of classes.
    sure
        The second side's probability for its answer.
    better
        Whether the second side is right.
    """

    photo: str
    person: str
    truth: str
    before: str
    after: str
    sure: float
    better: bool


@dataclass(frozen=True)
class Knob:
    """A key of params.yaml with two values; ``-`` where it is absent."""

    key: str
    before: Any
    after: Any


def flips(rows: Overlap) -> list[Flip]:
    """Photos that one side alone answered rightly; those that became wrong first, the surest of them first."""
    truth = rows.after["class"].to_numpy(np.int64)
    old, new = (side[COLUMNS].to_numpy(np.float64) for side in (rows.before, rows.after))
    before, after = old.argmax(1), new.argmax(1)
    photos, persons = rows.after.index.tolist(), rows.after["person"].tolist()
    found = [
        Flip(
            photo=str(photos[place]),
            person=str(persons[place]),
            truth=classes.NAMES[truth[place]],
            before=classes.NAMES[before[place]],
            after=classes.NAMES[after[place]],
            sure=round(float(new[place].max()), 4),
            better=bool(after[place] == truth[place]),
        )
        for place in np.flatnonzero((before == truth) != (after == truth))
    ]
    return sorted(found, key=lambda flip: (flip.better, -flip.sure, flip.photo))


def knobs(first: Revision, second: Revision) -> list[Knob]:
    """Params that differ, in the order of the second's file."""
    keys = dict.fromkeys((*second.params, *first.params))
    pairs = [Knob(key, first.params.get(key, ABSENT), second.params.get(key, ABSENT)) for key in keys]
    return [knob for knob in pairs if knob.before != knob.after]


def code(first: Revision, second: Revision) -> list[str]:
    """Files of stages and rooms that differ between the two, as git sees them."""
    ends = [end for end in (first.commit, second.commit) if end]
    if not ends:
        return []
    reverse = ["-R"] if first.commit is None else []
    command = [
        "git",
        "-C",
        history.root(),
        "diff",
        "--name-only",
        *reverse,
        *ends,
        "--",
        "facemask",
        "stages",
    ]
    told = subprocess.run(command, capture_output=True, text=True, check=False)
    return told.stdout.splitlines() if told.returncode == 0 else []


def other_than_seed(runs: Sequence[Revision]) -> dict[str, list[str]]:
    """Of each run after the first, the keys besides ``seed`` in which it differs from the first; none left out."""
    found = {run.title: [knob.key for knob in knobs(runs[0], run) if knob.key != "seed"] for run in runs[1:]}
    return {title: keys for title, keys in found.items() if keys}
