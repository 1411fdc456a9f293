"""Two revisions, or one and several seeds of another, compared: all that is told about them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Final

import numpy as np
import pandas as pd

from facemask.comparison import changes, overlap, paired, power
from facemask.comparison.changes import Flip, Knob
from facemask.comparison.paired import Difference
from facemask.comparison.revisions import Revision
from facemask.records import classes
from facemask.runtime.errors import UserError
from facemask.scoring import metrics
from facemask.settings import params

LABELS: Final = {key: metrics.LABELS[key] for key in paired.SCORES}


@dataclass(frozen=True)
class Comparison:
    """What is told.

    Attributes
    ----------
    part
        Which people were answered: a key of :data:`facemask.comparison.revisions.ANSWERS`.
    first
        Title of the side that is compared with.
    second
        Titles of the runs of the other side, one a seed.
    confidence
        Coverage of the intervals.
    people, photos
        Scored by both sides.
    scores
        By the keys of ``LABELS``.
    classes
        By name: those that occur.
    flips
        Of the first run; see :func:`facemask.comparison.changes.flips`.
    knobs, code
        What differs beside the answers.
    notes
        Sentences on what could not be compared.
    """

    part: str
    first: str
    second: tuple[str, ...]
    confidence: float
    people: int
    photos: int
    scores: Mapping[str, Difference]
    classes: Mapping[str, Difference]
    flips: Sequence[Flip]
    knobs: Sequence[Knob]
    code: Sequence[str]
    notes: Sequence[str]

    @property
    def after(self) -> str:
        """The second side in a few words."""
        return (
            self.second[0]
            if len(self.second) == 1
            else f"{len(self.second)} seeds ({', '.join(self.second)})"
        )

    @property
    def moved(self) -> dict[str, Difference]:
        """Classes whose F1 changed by more than chance."""
        return {name: one for name, one in self.classes.items() if one.beyond_chance}

    @property
    def still(self) -> str:
        """What is to be said of classes where none moved; empty if one did."""
        few = sum(one.people < metrics.FEW for one in self.classes.values())
        judged = (
            f"; {few} of {len(self.classes)} have fewer than {metrics.FEW} people and are not judged"
            if few
            else ""
        )
        return "" if self.moved else f"No class moved by more than chance{judged}."

    @property
    def coverage(self) -> str:
        """How the intervals were made."""
        seeds = " and the spread of the seeds" if len(self.second) > 1 else ""
        return (
            f"Intervals: paired bootstrap over people{seeds}; macro-F1 and log loss hold together at "
            f"{100 * self.confidence:g} %, and so do all classes."
        )

    @property
    def sentences(self) -> tuple[str, ...]:
        """What the numbers say, first of macro-F1, then of log loss."""
        return _said(self, "macro_f1"), _said(self, "log_loss")

    def to_json(self) -> dict[str, Any]:
        """Plain content for JSON; what is undefined is None."""
        scores = {name: self._plain(one) for name, one in self.scores.items()}
        each = {name: self._plain(one) for name, one in self.classes.items()}
        told = asdict(self) | {"scores": scores, "classes": each, "sentences": self.sentences}
        return told | {"power": power.POWER, "level": power.LEVEL}

    @staticmethod
    def _plain(one: Difference) -> dict[str, Any]:
        numbers = {name: None if np.isnan(value) else round(value, 6) for name, value in asdict(one).items()}
        return numbers | {"beyond_chance": one.beyond_chance, "people_needed": one.people_needed}


def compare(first: Revision, second: Sequence[Revision], cfg: params.Evaluate, *, seed: int) -> Comparison:
    """Compare ``first`` with one run, or with several that differ in nothing but their seed.

    Raises
    ------
    UserError
        If the runs differ in more, or a run has no row in common with ``first``.
    """
    for title, keys in changes.other_than_seed(second).items():
        raise UserError(
            f"compare: {title} differs from {second[0].title} in {', '.join(keys[:5])}, not in its seed alone; --seeds "
            "takes runs of one recipe"
        )
    shared = [overlap.of(first, run) for run in second]
    persons = pd.Index(sorted({person for rows in shared for person in rows.after["person"]}))
    pairs = [rows.pair(persons) for rows in shared]
    found = paired.differences(pairs, len(persons), cfg, seed=seed)
    return Comparison(
        part=first.part,
        first=first.title,
        second=tuple(run.title for run in second),
        confidence=cfg.confidence,
        people=len(persons),
        photos=len({photo for rows in shared for photo in rows.after.index}),
        scores={key: found[key][0] for key in LABELS},
        classes={
            name: one for name, one in zip(classes.NAMES, found["f1"], strict=True) if not np.isnan(one.value)
        },
        flips=changes.flips(shared[0]),
        knobs=changes.knobs(first, second[0]),
        code=changes.code(first, second[0]),
        notes=tuple(dict.fromkeys(note for rows in shared for note in rows.notes)),
    )


def _said(found: Comparison, key: str) -> str:
    one, name = found.scores[key], "macro-F1" if key == "macro_f1" else "log loss"
    if not one.value:
        return f"No difference in {name}: {one.after:.3f} on both sides."
    good = (one.value > 0) == (key == "macro_f1")
    said = (
        f"{'Better' if good else 'Worse'} by {abs(one.value):.3f} {name} ({one.before:.3f} → {one.after:.3f})"
    )
    if np.isnan(one.low):
        return f"{said}; there are too few people, or resamples, to say whether that is chance."
    limits = f"difference {one.low:+.3f} to {one.high:+.3f}"
    if one.beyond_chance:
        once = "" if one.seeds > 1 else " It is of one training each: another seed may undo it, see --seeds."
        return f"{said}: more than chance ({limits}).{once}"
    return f"{said}: within chance ({limits}). {_needed(one)}"


def _needed(one: Difference) -> str:
    wanted = one.people_needed
    stated = f"power {power.POWER:g}, level {power.LEVEL:g}"
    if wanted is None:
        return f"More people alone would not tell a difference of this size; more seeds might ({stated})."
    if wanted <= one.people:
        return f"A true difference of this size is about what {one.people:,} people can tell ({stated})."
    more = f"about {wanted - one.people:,} more people would be needed"
    return f"To tell a true difference of this size, {more} ({stated})."
