"""Known wrong labels, and their correction.

Each row of ``data/label_fixes.csv`` belongs to one data set and states what it replaces. A row that does not
fit the data is an error: a fix that matches nothing would otherwise look as if it had been made.

=======  ==========================================  =============================================
field    old                                         new
=======  ==========================================  =============================================
gender   male or female                              the other one
age      years, or a bound such as >=30 or <60       years
photo    the kind in the file's name                 what is in it: mask, incorrect_mask or normal
swap     a kind                                      the kind whose file it was exchanged with
=======  ==========================================  =============================================
"""

from __future__ import annotations

import operator
import re
from collections import Counter
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal, assert_never, cast, get_args

import pandas as pd

from facemask.records import classes, csvfile, raw
from facemask.records.names import composed
from facemask.runtime.errors import UserError

Field = Literal["gender", "age", "photo", "swap"]
Status = Literal["confirmed", "unconfirmed"]
Trust = Literal["none", "confirmed", "all"]

FIELDS: Final[tuple[Field, ...]] = get_args(Field)
COLUMNS: Final = ("dataset", "id", "field", "old", "new", "status", "source", "note")
# A photo that turns out to show a worn mask has no number of its own.
CONTENTS: Final = {"mask": "mask1", "incorrect_mask": "incorrect_mask", "normal": "normal"}

# After a data set's name: only some of its people are here.
SUBSET: Final = "/subset"
_REMEDY: Final = "`git checkout` brings the shipped list back"
# Ids are often numbers from 1 on: a row for another data set may well find somebody.
_ANOTHERS: Final = (
    "correct or delete the row, or set fix_labels.dataset (an extra data set's is its folder's name) if these photos "
    "are another's"
)
_AGE: Final = re.compile(r"(?P<bound>>=|<)?(?P<years>[0-9]{1,3})")
_BOUNDS: Final = {">=": operator.ge, "<": operator.lt, None: operator.eq}


@dataclass(frozen=True)
class Fix:
    """One row of the list; ``where`` is its file and line."""

    where: str
    dataset: str
    id: str
    field: Field
    old: str
    new: str
    status: Status


def load(path: Path) -> tuple[Fix, ...]:
    """Read the whole list, whatever the data set.

    Raises
    ------
    UserError
        If the file is missing, or a row is incomplete, malformed, changes nothing or stands there twice.
    """
    frame = csvfile.text(path, _REMEDY)
    csvfile.require(path, frame, COLUMNS, _REMEDY)
    known: dict[tuple[str, ...], str] = {}
    fixes = []
    for line, row in zip(frame.index, frame.to_dict("records"), strict=True):
        where = f"{path}: line {line}"
        _check(where, cast(dict[str, str], row))
        fields = {name: composed(row[name]) for name in ("dataset", "id", "old", "new")}
        fix = Fix(where, field=cast(Field, row["field"]), status=cast(Status, row["status"]), **fields)
        values = sorted((fix.old, fix.new)) if fix.field == "swap" else [fix.old]
        key = (fix.dataset, fix.id, fix.field, *values)
        if key in known:
            raise UserError(
                f"{where}: {fix.field} of {fix.id!r} is fixed in {known[key]} already; keep one of the two"
            )
        known[key] = f"line {line}"
        fixes.append(fix)
    return tuple(fixes)


def _check(where: str, row: dict[str, str]) -> None:
    """Check what can be said of a row without its data set."""
    for column in ("dataset", "id", "source"):
        if not row[column].strip() or row[column] != row[column].strip():
            raise UserError(f"{where}: {column} {row[column]!r} is empty or has spaces around it; fill it in")
    for column, allowed in (("field", FIELDS), ("status", get_args(Status))):
        if row[column] not in allowed:
            raise UserError(f"{where}: {column} {row[column]!r} is not one of {', '.join(allowed)}")
    good: dict[str, Sequence[str]]
    match cast(Field, row["field"]):
        case "gender":
            good = {"old": classes.GENDERS, "new": classes.GENDERS}
        case "photo":
            good = {"old": raw.KINDS, "new": tuple(CONTENTS)}
        case "swap":
            good = {"old": raw.KINDS, "new": raw.KINDS}
        case "age":
            good = {}
            for column, wanted in (("old", "years or a bound such as >=30 or <60"), ("new", "years")):
                value = _AGE.fullmatch(row[column])
                if value is None or int(value["years"]) > raw.MAX_AGE or (column == "new" and value["bound"]):
                    raise UserError(f"{where}: {column} {row[column]!r} is not an age ({wanted})")
        case field:
            assert_never(field)
    for column, values in good.items():
        if row[column] not in values:
            raise UserError(f"{where}: {column} {row[column]!r} is not one of {', '.join(values)}")
    same = raw.MASK_OF[row["old"]] == raw.MASK_OF[CONTENTS[row["new"]]] if row["field"] == "photo" else False
    if row["old"] == row["new"] or same:
        raise UserError(f"{where}: new {row['new']!r} says the same as old; correct or delete the row")


@dataclass(frozen=True)
class Selection:
    """What of the list concerns one data set.

    Attributes
    ----------
    dataset
        Name of the data set.
    applied
        Rows for it that are trusted.
    distrusted
        Rows for it that are not.
    absent
        Rows for it about people who are not there, where a subset is said to be read.
    unused
        Other data set -> number of its rows, sorted by name.
    """

    dataset: str
    applied: tuple[Fix, ...]
    distrusted: tuple[Fix, ...]
    absent: tuple[Fix, ...]
    unused: Mapping[str, int]

    def counts(self) -> dict[str, Any]:
        """Count rows, for the metrics."""
        fields = Counter(fix.field for fix in self.applied)
        return {
            "applied": {field: fields[field] for field in FIELDS},
            "not_trusted": len(self.distrusted),
            "absent": len(self.absent),
            "unused": dict(self.unused),
        }

    def __str__(self) -> str:
        others = ", ".join(f"{name} {count}" for name, count in self.unused.items()) or "none"
        ours = len(self.applied) + len(self.distrusted) + len(self.absent)
        if not ours:
            return f"no label fixes for {self.dataset!r}; there are some for: {others}"
        used = f"label fixes for {self.dataset!r}: {len(self.applied)} of {ours} applied"
        if self.absent:
            used += f", {len(self.absent)} about people who are not there"
        return f"{used}; unused, for other data sets: {others}"


def base(dataset: str) -> str:
    """Name of the data set that ``fix_labels.dataset`` names, whole or a subset.

    Raises
    ------
    UserError
        If something else than :data:`SUBSET` stands after a slash.
    """
    name = dataset.removesuffix(SUBSET)
    if "/" in name:
        raise UserError(
            f"fix_labels.dataset: {dataset!r}: a name has no slash; NAME{SUBSET} means some of NAME's people"
        )
    return composed(name)


def select(
    fixes: Sequence[Fix],
    dataset: str,
    trust: Trust,
    *,
    people: Collection[str] = (),
    beside: Collection[str] = (),
) -> Selection:
    """Pick a data set's rows: none, the confirmed ones or all of them are applied.

    Parameters
    ----------
    dataset
        Its name; with :data:`SUBSET` after it, rows about others than ``people`` are set apart, not refused.
    people
        Ids and folders of those who are there.
    beside
        Other data sets that are read: rows for them are theirs to apply and so not unused.

    Raises
    ------
    UserError
        See :func:`base`.
    """
    statuses: dict[Trust, set[Status]] = {
        "none": set(),
        "confirmed": {"confirmed"},
        "all": set(get_args(Status)),
    }
    name = base(dataset)
    every = [fix for fix in fixes if fix.dataset == name]
    there = set(people)
    ours = [fix for fix in every if name == composed(dataset) or fix.id in there]
    read = {name, *map(composed, beside)}
    return Selection(
        dataset,
        applied=tuple(fix for fix in ours if fix.status in statuses[trust]),
        distrusted=tuple(fix for fix in ours if fix.status not in statuses[trust]),
        absent=tuple(fix for fix in every if fix not in ours),
        unused=dict(sorted(Counter(fix.dataset for fix in fixes if fix.dataset not in read).items())),
    )


def known(labels: pd.DataFrame) -> set[str]:
    """Ids and folders of the people of ``labels``, by which a fix may name one."""
    return {*labels["person"], *labels["folder"]}


def apply(labels: pd.DataFrame, fixes: Sequence[Fix]) -> pd.DataFrame:
    """Correct ``labels`` (as in :class:`facemask.records.raw.Layout`); rows and their order stay.

    All fixes are matched against the labels as they came, then made at once. ``kind`` and ``mask`` agree.

    Raises
    ------
    UserError
        If a fix matches no person, does not find its old value, could mean two folders, or meets another fix.
    """
    people = labels.drop_duplicates("folder").set_index("folder")
    rows = {key: row for row, key in enumerate(zip(labels["folder"], labels["kind"], strict=True))}
    changed: dict[tuple[str, str], Fix] = {}
    values: dict[str, dict[str, int]] = {"gender": {}, "age": {}}
    kinds = labels["kind"].to_list()
    for fix in fixes:
        folder = _folder(fix, people, rows)
        match fix.field:
            case "gender":
                values["gender"][folder] = classes.GENDERS.index(fix.new)
                targets = [(folder, "gender")]
            case "age":
                values["age"][folder] = int(fix.new)
                targets = [(folder, "age")]
            case "photo":
                kinds[rows[folder, fix.old]] = CONTENTS[fix.new]
                targets = [(folder, f"photo {fix.old}")]
            case "swap":
                kinds[rows[folder, fix.old]], kinds[rows[folder, fix.new]] = fix.new, fix.old
                targets = [(folder, f"photo {fix.old}"), (folder, f"photo {fix.new}")]
            case _:
                assert_never(fix.field)
        for target in targets:
            if target in changed:
                other = changed[target].where.rpartition(": ")[2]
                raise UserError(
                    f"{fix.where}: {target[1]} of {folder} is changed in {other} too; keep one of the two"
                )
            changed[target] = fix
    fixed = {
        name: labels["folder"].map(new).fillna(labels[name]).astype("int64") for name, new in values.items()
    }
    return labels.assign(kind=kinds, mask=[raw.MASK_OF[kind] for kind in kinds], **fixed)


def _folder(fix: Fix, people: pd.DataFrame, rows: dict[tuple[str, str], int]) -> str:
    """Find the one folder that a fix means, by its id (or folder name) and its old value."""
    candidates = people[(people["person"] == fix.id) | (people.index == fix.id)]
    if candidates.empty:
        nobody = f"no person of data set {fix.dataset!r} has the id {fix.id!r}"
        subset = f"; if only some of its people are here, set fix_labels.dataset to {fix.dataset}{SUBSET}"
        raise UserError(f"{fix.where}: {nobody}; {_ANOTHERS}{subset}")
    fits, has = [], []
    for folder, gender, age in zip(candidates.index, candidates["gender"], candidates["age"], strict=True):
        fitting, now = _compare(fix, str(folder), int(gender), int(age), rows)
        has.append(f"{folder} has {now}")
        if fitting:
            fits.append(str(folder))
    if not fits:
        unlike = f"old {fix.field} {fix.old!r} does not match: {', '.join(has)}"
        raise UserError(f"{fix.where}: {unlike}; {_ANOTHERS}")
    if len(fits) > 1:
        raise UserError(
            f"{fix.where}: {fix.id!r} could be {' or '.join(fits)}; write the folder's name as id"
        )
    return fits[0]


def _compare(
    fix: Fix, folder: str, gender: int, age: int, rows: dict[tuple[str, str], int]
) -> tuple[bool, str]:
    """Whether a folder is as the fix says, and what it has instead."""
    match fix.field:
        case "gender":
            return classes.GENDERS[gender] == fix.old, classes.GENDERS[gender]
        case "age":
            old = _AGE.fullmatch(fix.old)
            assert old is not None
            return _BOUNDS[old["bound"]](age, int(old["years"])) and age != int(fix.new), str(age)
        case "photo" | "swap":
            wanted = [fix.old] if fix.field == "photo" else [fix.old, fix.new]
            absent = [kind for kind in wanted if (folder, kind) not in rows]
            return not absent, f"no photo {' or '.join(absent)}"
        case _:
            assert_never(fix.field)
