"""Wrong labels, attribute by attribute, from predictions of networks that had not seen the person.

Over all 18 classes at once the doubts about age would drown the rest. A person's photos share gender and age: they
vote by the geometric mean of their probabilities. The mask state is each photo's own, but a person's files are
first looked at together, as they may have been exchanged.

Networks are less sure of some classes than of others. Each probability is taken relative to the mean one that photos
labelled so get for that class, the threshold of confident learning: without it, half of a rare class is suspect.

References
----------
Northcutt, Jiang and Chuang, "Confident Learning: Estimating Uncertainty in Dataset Labels", JAIR 2021,
https://arxiv.org/abs/1911.00068
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from cleanlab import count

from facemask.audit import swaps
from facemask.audit.suspects import Attribute, Suspect
from facemask.records import classes
from facemask.runtime.arrays import Floats, Ints

# Tables hold six digits.
_LEAST: Final = 1e-6
# How a photo's content is named in data/label_fixes.csv.
_CONTENT: Final = ("mask", "incorrect_mask", "normal")


@dataclass(frozen=True)
class Labelled:
    """Labels of one attribute and what the networks say.

    Attributes
    ----------
    rows
        One row a label: the photo or the folder's first photo; see :func:`collect`.
    given
        (N,) labels 0..K-1.
    probabilities
        (N, K), rows summing to 1.
    """

    rows: pd.DataFrame
    given: Ints
    probabilities: Floats

    def relative(self) -> Floats:
        """(N, K) probabilities over each class's mean one where it is given, rows summing to 1."""
        if len(np.unique(self.given)) < 2:
            return self.probabilities
        usual = np.asarray(count.get_confident_thresholds(self.given, self.probabilities), dtype=np.float64)
        over = self.probabilities / usual
        shares: Floats = over / over.sum(1, keepdims=True)
        return shares

    def scores(self) -> tuple[Ints, Floats]:
        """Best other label (N,), and how far it beats the given one: other / (other + given), 0..1."""
        place = np.arange(len(self.given))
        relative = self.relative()
        others = relative.copy()
        others[place, self.given] = -1
        best = others.argmax(1)
        other, given = relative[place, best], relative[place, self.given]
        return best.astype(np.int64), other / np.maximum(other + given, _LEAST)


def collect(rows: pd.DataFrame, probabilities: Floats) -> dict[Attribute, Labelled]:
    """Take the 18 classes apart: mask by photo, gender and age by folder.

    Parameters
    ----------
    rows
        Predicted photos, in the order of ``probabilities``: photo, person, folder, kind, mask, gender, age (years).
    probabilities
        (N, 18).
    """
    rows = rows.reset_index(drop=True)
    parts = {name: np.maximum(table, _LEAST) for name, table in classes.marginals(probabilities).items()}
    folders, first = np.unique(rows["folder"].to_numpy(dtype=str), return_index=True)
    member = np.searchsorted(folders, rows["folder"].to_numpy(dtype=str))
    heads = rows.iloc[first].reset_index(drop=True)
    given = {"gender": heads["gender"].to_numpy(np.int64), "age": classes.band(heads["age"])}
    mask = parts["mask"] / parts["mask"].sum(1, keepdims=True)
    found: dict[Attribute, Labelled] = {"mask": Labelled(rows, rows["mask"].to_numpy(np.int64), mask)}
    for name in ("gender", "age"):
        means = np.zeros((len(folders), parts[name].shape[1]))
        np.add.at(means, member, np.log(parts[name]))
        means = np.exp(means / np.bincount(member, minlength=len(folders))[:, None])
        found[name] = Labelled(heads, given[name], means / means.sum(1, keepdims=True))
    return found


def find(found: Mapping[Attribute, Labelled], least: float) -> list[Suspect]:
    """List labels that another one beats by a score of at least ``least``.

    Parameters
    ----------
    found
        What :func:`collect` returned.
    """
    rows = found["mask"].rows
    folders = rows.drop_duplicates("folder").groupby("person")["folder"].nunique()
    several = set(folders[folders > 1].index)
    listed = [*_masks(found["mask"]), *_people("gender", found["gender"]), *_people("age", found["age"])]
    return [
        replace(one, id=_id(rows, one.person, several)) if one.field else one
        for one in listed
        if one.score >= least
    ]


def _id(rows: pd.DataFrame, folder: str, several: set[str]) -> str:
    """How ``data/label_fixes.csv`` names the folder: by the person's id, if that is enough."""
    person = str(rows.loc[rows["folder"] == folder, "person"].iloc[0])
    return folder if person in several else person


def _people(name: Attribute, labelled: Labelled) -> Iterator[Suspect]:
    best, scores = labelled.scores()
    words = classes.ATTRIBUTES[name]
    for place, row in enumerate(labelled.rows.to_dict("records")):
        given = words[labelled.given[place]] if name == "gender" else f"{row['age']}"
        seen = words[best[place]]
        suspect = Suspect(row["photo"], row["folder"], name, "wrong label", float(scores[place]), given, seen)
        # The list would refuse a second correction of the same label.
        if name == "gender" and _in_name(row, "gender") == given:
            suspect = replace(suspect, field="gender", old=given, new=seen)
        # Nobody's age is known from a photo: a person has to say it.
        if name == "age" and _in_name(row, "age") == given:
            suspect = replace(suspect, field="age", old=given)
        yield suspect


def _in_name(row: Mapping[Any, Any], part: str) -> str:
    """What the folder's name says: the label as it came, before any correction."""
    _, gender, _, age = str(row["folder"]).rsplit("_", 3)
    return gender if part == "gender" else str(int(age))


def _masks(labelled: Labelled) -> Iterator[Suspect]:
    best, scores = labelled.scores()
    logs = np.log(labelled.relative())
    records = labelled.rows.to_dict("records")
    explained: set[int] = set()
    for places in labelled.rows.groupby("folder").indices.values():
        for swap in swaps.find(logs[places], labelled.given[places]):
            first, second = int(places[swap.first]), int(places[swap.second])
            explained |= {first, second}
            yield _swapped(records[first], records[second], swap.score)
    for place, row in enumerate(records):
        if place not in explained:
            given, seen = classes.MASKS[labelled.given[place]], classes.MASKS[best[place]]
            suspect = Suspect(
                row["photo"], row["folder"], "mask", "wrong label", float(scores[place]), given, seen
            )
            if _file(row) == row["kind"]:
                suspect = replace(suspect, field="photo", old=row["kind"], new=_CONTENT[best[place]])
            yield suspect


def _swapped(first: Mapping[Any, Any], second: Mapping[Any, Any], score: float) -> Suspect:
    kinds = first["kind"], second["kind"]
    suspect = Suspect(
        first["photo"], first["folder"], "mask", "swapped files", score, *kinds, other=second["photo"]
    )
    if all(_file(row) == row["kind"] for row in (first, second)):
        suspect = replace(suspect, field="swap", old=kinds[0], new=kinds[1])
    return suspect


def _file(row: Mapping[Any, Any]) -> str:
    """Kind in the file's name: the label as it came, before any correction."""
    return Path(str(row["photo"])).stem
