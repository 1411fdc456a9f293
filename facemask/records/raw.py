"""The contest's folder layout, read into rows.

::

    train/train.csv                                     id,gender,race,age,path
    train/images/<id>_<gender>_<race>_<age>/<kind>.jpg  path names the folder; jpg or another of EXTENSIONS
    eval/info.csv                                       ImageID,... (the whole of eval/ may be absent)
    eval/images/<ImageID>
    eval/answers.csv                                    ImageID,ans (where they are known; any part of the photos)

Ids are text; composed and decomposed letters are equal (:func:`facemask.records.names.composed`). One id may stand in
several rows, each with its own folder: a photo belongs to a folder, and the folders of one id are one person, who must
not be split.
"""

from __future__ import annotations

import difflib
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import pandas as pd

from facemask.records import classes, csvfile, links
from facemask.records.names import Notes, composed, plain, visible
from facemask.runtime.errors import UserError

MASK_OF: Final = {f"mask{n}": 0 for n in range(1, 6)} | {"incorrect_mask": 1, "normal": 2}
KINDS: Final = tuple(MASK_OF)
# Of what pixels.codec opens; what a file is, its bytes say.
EXTENSIONS: Final = (
    ".jpg", ".jpeg", ".png", ".webp", ".heic", ".heif", ".avif", ".tif", ".tiff", ".bmp", ".gif", ".jp2", ".jfif",
)  # fmt: skip
MAX_AGE: Final = 120
COLUMNS: Final = ("photo", "person", "folder", "kind", "mask", "gender", "age")

_FOLDER: Final = re.compile(r"(?P<id>[^_/\\]+)_(?P<gender>[^_/\\]+)_(?P<race>[^_/\\]+)_(?P<age>[^_/\\]+)")
_LAYOUT: Final = (
    "set data.root in params.yaml to a folder with train/train.csv (id,gender,race,age,path), "
    f"train/images/<id>_<gender>_<race>_<age>/{{{','.join(KINDS)}}}.jpg and, for answers, "
    "eval/info.csv (ImageID) and eval/images/"
)


@dataclass(frozen=True)
class Layout:
    """What a folder in the contest's layout holds.

    Attributes
    ----------
    train
        One row a photo, sorted by photo: photo, person, folder, kind, mask 0..2, gender 0..1, age in years.
    eval
        One row an eval photo, in the order of ``info.csv``: photo, image_id.
    answers
        Eval photos whose class is known, in the order of ``info.csv``: ImageID, ans 0..17.
    notes
        What was passed over or is not there, sorted by photo: photo, reason.
    """

    train: pd.DataFrame
    eval: pd.DataFrame
    answers: pd.DataFrame
    notes: pd.DataFrame


def scan(root: Path, key: str = "data.root") -> Layout:
    """Read the layout below ``root``, which the param ``key`` names; photos are listed, not opened.

    Raises
    ------
    UserError
        If a part of the layout is missing or contradicts another, or is a link that is not taken
        (:func:`facemask.records.links.refuse`); names the file and the line or folder.
    """
    if not root.is_dir():
        raise UserError(f"{root}: no such folder; {_LAYOUT}")
    links.refuse(root, key)
    notes: Notes = []
    train = labelled(root, notes, _LAYOUT)
    listed = _eval(root, notes)
    return Layout(
        train=train,
        eval=pd.DataFrame(listed, columns=["photo", "image_id"], dtype=str),
        answers=_answers(root, [name for _, name in listed]),
        notes=pd.DataFrame(sorted(notes), columns=["photo", "reason"], dtype=str),
    )


def labelled(root: Path, notes: Notes, remedy: str) -> pd.DataFrame:
    """Read ``train/`` below ``root`` alone, as :func:`scan` does.

    Parameters
    ----------
    notes
        Takes up what was passed over or is not there: place below ``root`` and reason.
    remedy
        What a user can do about a missing part; the end of such errors.

    Returns
    -------
    pandas.DataFrame
        See ``Layout.train``.
    """
    people = _people(root, remedy)
    photos = _photos(root, people, notes, remedy)
    train = people.merge(photos, on="folder", validate="one_to_many")
    return train[list(COLUMNS)].sort_values("photo", ignore_index=True)


def _people(root: Path, remedy: str) -> pd.DataFrame:
    """Rows of train.csv: person, folder, gender (0..1), age."""
    path = root / "train" / "train.csv"
    frame = csvfile.text(path, remedy)
    csvfile.require(path, frame, ("id", "gender", "race", "age", "path"), remedy)
    if frame.empty:
        raise UserError(f"{path}: has no rows; {remedy}")
    seen: dict[str, int] = {}
    rows = []
    for line, row in zip(frame.index, frame.to_dict("records"), strict=True):
        where = f"{path}: line {line}"
        if row["gender"] not in classes.GENDERS:
            known = " or ".join(classes.GENDERS)
            raise UserError(f"{where}: gender {row['gender']!r} is not {known}; correct the row")
        if not re.fullmatch("[0-9]{1,3}", row["age"]) or int(row["age"]) > MAX_AGE:
            wanted = f"a whole number of years from 0 to {MAX_AGE}"
            raise UserError(f"{where}: age {row['age']!r} is not {wanted}; correct the row")
        if not plain(row["path"]):
            raise UserError(
                f"{where}: path {row['path']!r} has control characters; rename the folder and correct the row"
            )
        name = _FOLDER.fullmatch(row["path"])
        if name is None:
            wanted = "<id>_<gender>_<race>_<age>"
            raise UserError(
                f"{where}: path {row['path']!r} is not {wanted}; rename the folder and correct the row"
            )
        for part, said in name.groupdict().items():
            if composed(said) != composed(row[part]):
                clash = f"path {row['path']!r} says {part} {said!r}, but column {part} says {row[part]!r}"
                zeros = said.lstrip("0") == row[part].lstrip("0")
                hint = " (a spreadsheet drops leading zeros: read the column as text)" if zeros else ""
                raise UserError(f"{where}: {clash}; make them agree{hint}")
        folder = composed(row["path"])
        if folder in seen:
            raise UserError(
                f"{where}: folder {folder!r} stands in line {seen[folder]} already; delete one row"
            )
        seen[folder] = line
        rows.append((composed(row["id"]), folder, classes.GENDERS.index(row["gender"]), int(row["age"])))
    return pd.DataFrame(rows, columns=["person", "folder", "gender", "age"])


def _photos(root: Path, people: pd.DataFrame, notes: Notes, remedy: str) -> pd.DataFrame:
    """List the photos of every folder: photo, folder, kind, mask."""
    images = root / "train" / "images"
    if not images.is_dir():
        raise UserError(f"{images}: no such folder; {remedy}")
    folders = {}
    for entry in visible(root, images, notes):
        if not entry.is_dir():
            raise UserError(f"{entry.path}: only folders of photos belong here; move the file away")
        folders[composed(entry.name)] = Path(entry.path)
    csv = root / "train" / "train.csv"
    wanted = set(people["folder"])
    if without := sorted(wanted - folders.keys()):
        raise UserError(f"{csv}: {_first(without)}: no such folder in {images}; add it or delete the row")
    if strays := sorted(folders.keys() - wanted):
        raise UserError(f"{images}: {_first(strays)}: folder has no row in {csv}; add a row or move it away")
    rows = []
    for folder, path in sorted(folders.items()):
        found: dict[str, str] = {}
        for entry in visible(root, path, notes):
            kind = _kind(entry)
            if kind in found:
                twice = f"{found[kind]} and {entry.name} are both {kind}"
                raise UserError(f"{path}: {twice}; keep one of them")
            found[kind] = entry.name
            rows.append((f"train/images/{path.name}/{entry.name}", folder, kind, MASK_OF[kind]))
        for kind in KINDS:
            if kind not in found:
                notes.append(
                    (f"train/images/{path.name}/{kind}", "missing: the person has no photo of this kind")
                )
    if not rows:
        raise UserError(f"{images}: there are no photos in its folders; {remedy}")
    return pd.DataFrame(rows, columns=["photo", "folder", "kind", "mask"])


def _kind(entry: os.DirEntry[str]) -> str:
    kind, extension = Path(entry.name).stem, Path(entry.name).suffix
    if not entry.is_file():
        raise UserError(f"{entry.path}: not a file (a folder or a broken link?); only photos belong here")
    if extension.lower() not in EXTENSIONS:
        raise UserError(f"{entry.path}: not a photo ({', '.join(EXTENSIONS)}); convert it or move it away")
    if kind not in MASK_OF:
        near = difflib.get_close_matches(kind.lower(), KINDS, n=1)
        hint = f"did you mean {near[0]}? " if near else ""
        raise UserError(f"{entry.path}: unknown photo kind {kind!r}; {hint}known kinds: {', '.join(KINDS)}")
    return kind


def _eval(root: Path, notes: Notes) -> list[tuple[str, str]]:
    """List the photos of info.csv, in its order: photo, image id."""
    if not (root / "eval").is_dir():
        return []
    path = root / "eval" / "info.csv"
    images = root / "eval" / "images"
    remedy = "add it, or remove eval/ if no answers are wanted"
    frame = csvfile.text(path, remedy)
    csvfile.require(
        path, frame, ("ImageID",), "a column ImageID with the file names of eval/images is wanted"
    )
    names = frame["ImageID"]
    for line, name in names[~names.map(plain).astype(bool)].items():
        raise UserError(
            f"{path}: line {line}: ImageID {name!r} has control characters; rename the file and correct the row"
        )
    for line, name in names[names.map(composed).duplicated()].items():
        raise UserError(f"{path}: line {line}: ImageID {name!r} occurs twice; delete one row")
    if not images.is_dir():
        raise UserError(f"{images}: no such folder; {remedy}")
    files = {composed(entry.name): entry.name for entry in visible(root, images, notes) if entry.is_file()}
    absent = [f"line {line}: ImageID {name!r}" for line, name in names.items() if composed(name) not in files]
    if absent:
        raise UserError(f"{path}: {_first(absent)}: no such file in {images}; add it or delete the row")
    unlisted = files.keys() - set(map(composed, names))
    notes.extend((f"eval/images/{files[name]}", "ignored: not listed in eval/info.csv") for name in unlisted)
    return [(f"eval/images/{files[composed(name)]}", name) for name in names]


def _answers(root: Path, listed: list[str]) -> pd.DataFrame:
    """Read answers.csv, if there is one: ImageID, ans."""
    path = root / "eval" / "answers.csv"
    found: dict[str, int] = {}
    if path.exists():
        remedy = f"wanted is ImageID,ans with ans 0 to {classes.COUNT - 1}"
        frame = csvfile.text(path, remedy)
        csvfile.require(path, frame, ("ImageID", "ans"), remedy)
        known = {composed(name): name for name in listed}
        for line, given, ans in zip(frame.index, frame["ImageID"], frame["ans"], strict=True):
            where = f"{path}: line {line}"
            name = known.get(composed(given))
            if name is None:
                raise UserError(f"{where}: ImageID {given!r} is not in eval/info.csv; delete the row")
            if name in found:
                raise UserError(f"{where}: ImageID {name!r} occurs twice; delete one row")
            if not re.fullmatch("[0-9]{1,2}", ans) or int(ans) >= classes.COUNT:
                raise UserError(f"{where}: ans {ans!r} is no class; {remedy}")
            found[name] = int(ans)
    rows = [(name, found[name]) for name in listed if name in found]
    return pd.DataFrame(rows, columns=["ImageID", "ans"]).astype({"ImageID": str, "ans": "int64"})


def _first(items: Iterable[str]) -> str:
    """Return the first of several, and how many more there are."""
    first, *others = items
    return f"{first} (and {len(others)} more)" if others else first
