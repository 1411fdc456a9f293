"""Labelled photos of bare faces, on which masks are to be drawn: what the folder ``data.faces`` holds.

::

    faces.csv                         path,gender,age and, if wanted, id,race; path lies below the folder

or the contest's layout (:mod:`facemask.records.raw`), whose ``normal`` photos are the faces then.
"""

from __future__ import annotations

import hashlib
import re
import unicodedata
from collections import Counter
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

from facemask.records import classes, csvfile, links, raw, tables
from facemask.records.names import composed, plain
from facemask.runtime.errors import UserError

KEY: Final = "data.faces"
UNKNOWN_RACE: Final = "unknown"
# What the usual file systems take, in bytes.
_LONGEST: Final = 255
_NEEDED: Final = ("path", "gender", "age")
_OPTIONAL: Final = ("id", "race")
_LAYOUT: Final = (
    "set data.faces in params.yaml to a folder with faces.csv (path,gender,age and, if wanted, id,race), or with "
    "train/train.csv and train/images/ in the contest's layout"
)

_REMEDY: Final = "stage synthesise writes it: run `dvc repro synthesise`"
TRAIN: Final = tables.Schema(
    "train.csv", {"id": str, "gender": str, "race": str, "age": int, "path": str}, "path", _REMEDY
)
PEOPLE: Final = tables.Schema("people.csv", {"folder": str, "source": str}, "folder", _REMEDY)
SKIPPED: Final = tables.Schema("skipped.csv", {"photo": str, "reason": str}, "photo", _REMEDY)


@dataclass(frozen=True)
class Face:
    """A photo of a bare face, and what is known of the person.

    Attributes
    ----------
    photo
        Path below the folder, with forward slashes.
    person
        Id that the person gets in the contest's layout; unique among the faces.
    source
        Id that the person has elsewhere: in the contest's layout it came from, or as the table says; else empty.
    gender
        ``male`` or ``female``.
    race
        Text without ``_``.
    age
        Years.
    """

    photo: str
    person: str
    source: str
    gender: str
    race: str
    age: int

    @property
    def folder(self) -> str:
        """Name of the person's folder in the contest's layout."""
        return f"{self.person}_{self.gender}_{self.race}_{self.age}"


def read(root: Path) -> tuple[Face, ...]:
    """List the faces of a folder, in the order of its table; photos are not opened.

    Raises
    ------
    UserError
        If the folder holds neither layout or both, or a row is wrong: names file and line.
    """
    table, contest = root / "faces.csv", root / "train" / "train.csv"
    if table.is_file() and contest.is_file():
        raise UserError(f"{root}: holds both faces.csv and train/train.csv; move one of them away")
    if contest.is_file():
        return _contest(root)
    if not table.is_file():
        raise UserError(f"{root}: no faces.csv and no train/train.csv there; {_LAYOUT}")
    links.refuse(root, KEY)
    return _listed(root, table)


def _contest(root: Path) -> tuple[Face, ...]:
    train = raw.scan(root, KEY).train
    bare = train[train["kind"] == "normal"]
    faces = []
    names = _Names()
    for photo, person, folder, age in zip(
        bare["photo"], bare["person"], bare["folder"], bare["age"], strict=True
    ):
        _, gender, race, _ = folder.split("_")
        faces.append(Face(photo, names.fresh(person), person, gender, race, int(age)))
    return tuple(faces)


def _listed(root: Path, path: Path) -> tuple[Face, ...]:
    frame = csvfile.text(path, _LAYOUT)
    csvfile.require(path, frame, _NEEDED, _LAYOUT)
    if unknown := [name for name in frame.columns if name not in _NEEDED + _OPTIONAL]:
        raise UserError(
            f"{path}: unknown column {unknown[0]!r}; known columns: {', '.join(_NEEDED + _OPTIONAL)}"
        )
    faces = []
    names = _Names()
    seen: dict[str, int] = {}
    for line, row in zip(frame.index, frame.to_dict("records"), strict=True):
        where = f"{path}: line {line}"
        photo = _photo(root, row["path"], where)
        if photo in seen:
            raise UserError(
                f"{where}: photo {row['path']!r} stands in line {seen[photo]} already; delete one row"
            )
        seen[photo] = line
        if row["gender"] not in classes.GENDERS:
            known = " or ".join(classes.GENDERS)
            raise UserError(f"{where}: gender {row['gender']!r} is not {known}; correct the row")
        if not re.fullmatch("[0-9]{1,3}", row["age"]) or int(row["age"]) > raw.MAX_AGE:
            wanted = f"a whole number of years from 0 to {raw.MAX_AGE}"
            raise UserError(f"{where}: age {row['age']!r} is not {wanted}; correct the row")
        source, race = (_name(row.get(column, ""), column, where) for column in _OPTIONAL)
        # A name made of the path stays when rows are added or moved.
        source = composed(source)
        own = source or "face-" + hashlib.sha256(photo.encode()).hexdigest()[:12]
        age = int(row["age"])
        face = Face(photo, names.fresh(own), source, row["gender"], race or UNKNOWN_RACE, age)
        if (length := len(face.folder.encode())) > _LONGEST:
            raise UserError(
                f"{where}: id and race make a folder's name of {length} bytes, more than {_LONGEST}; shorten them"
            )
        faces.append(face)
    return tuple(faces)


def _photo(root: Path, named: str, where: str) -> str:
    """Path of the row's photo below ``root``, which must be there."""
    if not plain(named):
        raise UserError(
            f"{where}: path {named!r} has control characters; rename the photo and correct the row"
        )
    inside = PurePosixPath(named.replace("\\", "/"))
    if not named or inside.is_absolute() or ".." in inside.parts:
        raise UserError(f"{where}: path {named!r} does not lie below {root}; copy the photo there")
    try:
        # The file may have been named on macOS, and the table not.
        spelt = (unicodedata.normalize(form, str(inside)) for form in ("NFC", "NFD"))
        there = next((one for one in (str(inside), *spelt) if (root / one).is_file()), None)
    except OSError as error:
        reason = error.strerror or error
        raise UserError(
            f"{where}: photo {named!r} cannot be looked for ({reason}); correct the row, or make it readable"
        ) from None
    if there is None:
        raise UserError(f"{where}: photo {named!r}: no such file in {root}; add it or delete the row")
    return PurePosixPath(there).as_posix()


def _name(value: str, column: str, where: str) -> str:
    if re.search(r"[_/\\]", value) or value != value.strip() or value.startswith(".") or not plain(value):
        wanted = (
            "a name without '_', '/', '\\', control characters, a leading dot and outer blanks, "
            "as folders are named after it"
        )
        raise UserError(f"{where}: {column} {value!r} is not {wanted}; correct the row")
    return value


class _Names:
    """Ids for the new people: of several photos of one person each becomes a person with the same source."""

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._count: Counter[str] = Counter()

    def fresh(self, wanted: str) -> str:
        name = wanted
        while name in self._taken:
            self._count[wanted] += 1
            name = f"{wanted}-{self._count[wanted] + 1}"
        self._taken.add(name)
        return name
