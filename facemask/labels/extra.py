"""Data sets beside the main one: labelled people who only ever train, and photos without labels.

::

    <set>/train/               the contest's layout; label fixes apply by the set's name
    <set>/train/people.csv     folder,source (optional): which folders show a person of the main data set
    <set>/unlabelled/          photos at any depth

A person of an extra data set is called ``<set>/<id>``: ids of data sets that know nothing of each other collide
by chance, and no id has a slash.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import pandas as pd

from facemask.labels import fixes
from facemask.records import csvfile, links, raw
from facemask.records.names import Notes, composed, visible
from facemask.records.roots import PREFIX, SYNTHESISED, Roots
from facemask.runtime.errors import UserError

_LAYOUT: Final = (
    "an extra data set is a folder with train/ in the contest's layout (train.csv and images/), "
    "unlabelled/ with photos, or both"
)
_TABLES: Final = ("train.csv", "people.csv")
_NOBODY: Final = pd.DataFrame(columns=[*raw.COLUMNS, "source"], dtype=str).astype(
    dict.fromkeys(("mask", "gender", "age"), "int64")
)
_NOTHING: Final = pd.DataFrame(columns=["photo", "reason"], dtype=str)


@dataclass(frozen=True)
class DataSet:
    """What one extra data set holds.

    Attributes
    ----------
    name, folder
        What it is called and where it lies.
    labels
        One row a photo after label fixes, columns of :data:`facemask.records.raw.COLUMNS` and ``source``: a
        person's id in the main data set, or empty.
    unlabelled
        Keys of the photos without labels, sorted.
    notes
        What was passed over or is not there: photo, reason.
    chosen
        The label fixes that were applied.
    """

    name: str
    folder: Path
    labels: pd.DataFrame
    unlabelled: tuple[str, ...]
    notes: pd.DataFrame
    chosen: fixes.Selection

    def __str__(self) -> str:
        held = f"{self.labels['person'].nunique()} people, {len(self.labels)} labelled photos of them"
        fixed = (
            f"{len(self.chosen.applied)} of {len(self.chosen.applied) + len(self.chosen.distrusted)} fixes"
        )
        return f"extra data set {self.name!r}: {held}, {len(self.unlabelled)} without labels, {fixed} applied"

    def counts(self) -> dict[str, Any]:
        """Count people, photos and fixes, for the metrics."""
        fixed = self.chosen.counts()
        return {
            "people": int(self.labels["person"].nunique()),
            "photos": len(self.labels),
            "unlabelled": len(self.unlabelled),
            "of_the_main_set": int(self.labels.loc[self.labels["source"] != "", "person"].nunique()),
            "fixes": {"applied": fixed["applied"], "not_trusted": fixed["not_trusted"]},
        }


def names(roots: Roots, main: str) -> list[str]:
    """Name the extra data sets that hold something, sorted.

    Parameters
    ----------
    main
        Name of the main data set in the list of label fixes.

    Raises
    ------
    UserError
        If the folder of data sets is missing or holds photos of its own, or a data set is empty or has the name
        of the main or the synthesised one.
    """
    for folder, remedy in (
        (roots.extra, "create it, or set data.extra to a folder of data sets (an empty one for none)"),
        (roots.synthetic, "run `dvc repro synthesise`"),
    ):
        if not folder.is_dir():
            raise UserError(f"{folder}: no such folder; {remedy}")
    links.refuse(roots.extra, "data.extra")
    found = []
    for entry in visible(roots.extra, roots.extra, []):
        if not entry.is_dir():
            # A README, or what DVC writes beside a folder that it keeps.
            if Path(entry.name).suffix.lower() in raw.EXTENSIONS:
                raise UserError(f"{entry.path}: a photo outside a data set; {_LAYOUT}")
            continue
        if composed(entry.name) in (SYNTHESISED, composed(fixes.base(main))):
            other = "synthesised one" if entry.name == SYNTHESISED else "main one (fix_labels.dataset)"
            raise UserError(f"{entry.path}: has the name of the {other}; rename the folder")
        if not any((Path(entry.path) / part).is_dir() for part in ("train", "unlabelled")):
            raise UserError(f"{entry.path}: has neither train/ nor unlabelled/; {_LAYOUT}")
        found.append(entry.name)
    people = roots.synthetic / "train" / "train.csv"
    if people.exists() and len(csvfile.text(people, "run `dvc repro synthesise`")):
        found.append(SYNTHESISED)
    return sorted(found)


def read(
    roots: Roots, name: str, known: Sequence[fixes.Fix], trust: fixes.Trust, people: Collection[str]
) -> DataSet:
    """Read one of :func:`names`; photos are listed, not opened.

    Parameters
    ----------
    known, trust
        Label fixes and which of them are applied.
    people
        Ids of the main data set.

    Raises
    ------
    UserError
        If the layout or a label fix contradicts itself, a table lies where none is read, or ``people.csv`` names
        somebody who is not there.
    """
    folder = roots.folder(name)
    if name != SYNTHESISED:
        _no_other_tables(folder)
    notes: Notes = []
    labels = _NOBODY.drop(columns="source")
    if (folder / "train").is_dir():
        labels = raw.labelled(folder, notes, _LAYOUT)
    chosen = fixes.select(known, name, trust)
    labels = fixes.apply(labels, chosen.applied)
    source = _sources(name, folder / "train" / "people.csv", set(labels["folder"]), people)
    unlabelled = (
        sorted(_any(folder, folder / "unlabelled", notes)) if (folder / "unlabelled").is_dir() else []
    )
    if (folder / "eval").is_dir():
        notes.append(("eval", "ignored: photos of an extra data set are not answered"))
    prefix = f"{PREFIX}/{name}/"
    return DataSet(
        name,
        folder,
        labels=labels.assign(
            photo=prefix + labels["photo"],
            person=f"{name}/" + labels["person"],
            source=labels["folder"].map(lambda name: source.get(name, "")).astype(str),
        ),
        unlabelled=tuple(prefix + photo for photo in unlabelled),
        notes=pd.DataFrame(
            [(prefix + place, reason) for place, reason in notes], columns=["photo", "reason"], dtype=str
        ),
        chosen=chosen,
    )


@dataclass(frozen=True)
class Joined:
    """All extra data sets together; columns and order as in each."""

    labels: pd.DataFrame
    unlabelled: pd.DataFrame
    notes: pd.DataFrame


def joined(sets: Sequence[DataSet]) -> Joined:
    """Put data sets, or none, one below the other; ``unlabelled`` has the column photo."""
    photos = [photo for one in sets for photo in one.unlabelled]
    return Joined(
        labels=pd.concat([_NOBODY, *(one.labels for one in sets)], ignore_index=True),
        unlabelled=pd.DataFrame({"photo": photos}, dtype=str),
        notes=pd.concat([_NOTHING, *(one.notes for one in sets)], ignore_index=True),
    )


def _no_other_tables(folder: Path) -> None:
    """Refuse a CSV file that would be passed over: it may be the one that tells who is whom."""
    for place, known in ((folder, ()), (folder / "train", _TABLES)):
        for entry in visible(folder, place, []) if place.is_dir() else ():
            if Path(entry.name).suffix.lower() == ".csv" and entry.name not in known:
                wanted = " and ".join(f"train/{name}" for name in _TABLES)
                raise UserError(
                    f"{entry.path}: nothing reads this table; {wanted} are the tables of an extra data set: "
                    "rename it, or move it there or away"
                )


def _sources(name: str, path: Path, folders: Collection[str], people: Collection[str]) -> dict[str, str]:
    """Folder -> the person of the main data set whom it shows."""
    if not path.exists():
        return {}
    remedy = (
        "wanted is folder,source: a folder of train.csv and a person's id in the main data set, or nothing"
    )
    frame = csvfile.text(path, remedy)
    csvfile.require(path, frame, ("folder", "source"), remedy)
    bare = {person.lstrip("0"): person for person in sorted(people)}
    sources: dict[str, str] = {}
    for line, folder, source in zip(frame.index, frame["folder"], frame["source"], strict=True):
        where, folder, source = f"{path}: line {line}", composed(folder), composed(source)
        if folder not in folders:
            raise UserError(f"{where}: folder {folder!r} is not in train.csv; correct or delete the row")
        if folder in sources:
            raise UserError(f"{where}: folder {folder!r} stands there already; delete one row")
        if name == SYNTHESISED and source not in people:
            # A spreadsheet drops leading zeros, and this person would train the fold that validates them.
            if source and (twin := bare.get(source.lstrip("0"))) is not None:
                raise UserError(
                    f"{where}: the main data set has no person {source!r}, but {twin!r}: correct the id in data.faces' "
                    "faces.csv (or train.csv), as that keeps a person out of the fold that validates on them; "
                    "somebody else needs another id there, or none"
                )
            # Faces of another data set than the main one: equal bytes still tell who is the same person.
            source = ""
        # A source that matches nobody would let a person train the fold that validates on them.
        if source and source not in people:
            raise UserError(
                f"{where}: the main data set has no person {source!r}; correct it or leave it empty"
            )
        sources[folder] = source
    return sources


def _any(root: Path, folder: Path, notes: Notes) -> Iterator[str]:
    """Photos at any depth, as paths below ``root``."""
    for entry in visible(root, folder, notes):
        path = Path(entry.path)
        place = path.relative_to(root).as_posix()
        if entry.is_dir(follow_symlinks=False):
            yield from _any(root, path, notes)
        elif entry.is_file() and path.suffix.lower() in raw.EXTENSIONS:
            yield place
        else:
            notes.append((place, f"ignored: not a photo ({', '.join(raw.EXTENSIONS)})"))
