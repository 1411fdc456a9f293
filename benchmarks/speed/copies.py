"""As many photos as are wanted, out of few: copies with changed pixels, in the contest's layout.

Each copy differs from its original and from every other copy in brightness and place, so that no content hash and no
pixel comparison takes two of them for one.
"""

from __future__ import annotations

import hashlib
import os
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pandas as pd
from PIL import Image

from benchmarks.speed import material
from facemask.pixels import codec
from facemask.records import raw
from facemask.runtime import executor, hardware
from facemask.runtime.arrays import Pixels
from facemask.sample import contest
from facemask.settings import params

PHOTOS_A_PERSON: Final = len(raw.KINDS)
_DRAWN_PEOPLE: Final = 60
_PEOPLE_A_CHUNK: Final = 4
_QUALITY: Final = 88


class Wanted(NamedTuple):
    """One photo to write: the file it comes from, where it goes, and its number, which no other photo has."""

    source: Path
    target: Path
    number: int


class Sizes(NamedTuple):
    """Photos of labelled people and photos to answer."""

    labelled: int
    answers: int

    @property
    def photos(self) -> int:
        """All photos."""
        return self.labelled + self.answers


def sizes(labelled: int) -> Sizes:
    """Round ``labelled`` up to whole people, with two thirds as many to answer: the contest's 18,900 and 12,600."""
    whole = -(-labelled // PHOTOS_A_PERSON) * PHOTOS_A_PERSON
    return Sizes(whole, whole * 2 // 3)


def changed(pixels: Pixels, number: int) -> Pixels:
    """Another photo of the same person: lighter or darker by up to 12 levels and moved by up to 6 pixels.

    Parameters
    ----------
    pixels
        (H, W, 3) uint8.
    number
        Of this copy; 24 levels x 49 places make 1,176 copies that differ.
    """
    level = number % 24 - 12
    down, right = divmod(number // 24 % 49, 7)
    level += level >= 0
    lighter = np.clip(np.arange(256) + level, 0, 255).astype(np.uint8)
    return np.roll(lighter[pixels], (down, right), axis=(0, 1))


def write(root: Path, size: Sizes, *, workers: int | None = None) -> str:
    """Write a folder in the contest's layout; people of the originals take turns, in an order of chance.

    Returns
    -------
    str
        Whose faces these are, in words.
    """
    with tempfile.TemporaryDirectory(prefix="facemask-bench-") as folder:
        origin = material.REAL
        if not origin.is_dir():
            origin = Path(folder) / "drawn"
            cfg = params.SampleData(train_people=_DRAWN_PEOPLE, eval_people=1, seed=7)
            contest.write(cfg, origin)
        people = _people(origin)
        lists = [*_labelled(root, people, size.labelled), *_answers(root, people, size.answers)]
        # Photos of one original lie in one chunk: it is decoded once.
        lists.sort(key=lambda one: (one.source, one.number))
        chunks = list(_chunks(lists))
        for _ in executor.processes(_write, chunks, workers=workers or hardware.cores(), preload=[__name__]):
            pass
    return "copies of real faces" if origin == material.REAL else "copies of drawn people"


def part(whole: Path, root: Path, size: Sizes) -> None:
    """Make a folder of the first people and the first photos to answer of ``whole``; its files are links."""
    table = pd.read_csv(whole / "train" / "train.csv", dtype=str).head(size.labelled // PHOTOS_A_PERSON)
    (root / "train").mkdir(parents=True)
    table.to_csv(root / "train" / "train.csv", index=False)
    for name in table["path"]:
        _link(whole / "train" / "images" / name, root / "train" / "images" / name)
    answers = pd.read_csv(whole / "eval" / "info.csv", dtype=str).head(size.answers)
    (root / "eval").mkdir()
    answers.to_csv(root / "eval" / "info.csv", index=False)
    _link(whole / "eval" / "images", root / "eval" / "images", answers["ImageID"])


def _link(source: Path, target: Path, names: Iterable[str] | None = None) -> None:
    target.mkdir(parents=True)
    for name in [path.name for path in source.iterdir()] if names is None else names:
        os.link(source / name, target / name)


def _people(origin: Path) -> list[tuple[str, dict[str, Path]]]:
    """Folder name and photos by kind of every person who has all kinds, in an order of chance."""
    table = raw.scan(origin).train
    found = [
        (str(folder), {kind: origin / photo for kind, photo in zip(rows["kind"], rows["photo"], strict=True)})
        for folder, rows in table.groupby("folder", sort=True)
        if len(rows) == PHOTOS_A_PERSON
    ]
    order = np.random.default_rng(7).permutation(len(found))
    return [found[place] for place in order]


def _labelled(root: Path, people: Sequence[tuple[str, dict[str, Path]]], count: int) -> Iterator[Wanted]:
    rows = []
    for number in range(count // PHOTOS_A_PERSON):
        name, photos = people[number % len(people)]
        _, gender, race, age = name.split("_")
        folder = f"{number:06d}_{gender}_{race}_{age}"
        rows.append((f"{number:06d}", gender, race, age, folder))
        (root / "train" / "images" / folder).mkdir(parents=True)
        for kind, source in photos.items():
            yield Wanted(source, root / "train" / "images" / folder / f"{kind}.jpg", number // len(people))
    table = pd.DataFrame(rows, columns=["id", "gender", "race", "age", "path"])
    table.to_csv(root / "train" / "train.csv", index=False)


def _answers(root: Path, people: Sequence[tuple[str, dict[str, Path]]], count: int) -> Iterator[Wanted]:
    (root / "eval" / "images").mkdir(parents=True)
    names = []
    for number in range(count):
        person, kind = divmod(number, PHOTOS_A_PERSON)
        # Numbers that the labelled copies do not reach: no photo to answer has the bytes of a labelled one.
        turn = 1175 - person // len(people)
        source = people[person % len(people)][1][raw.KINDS[kind]]
        names.append(hashlib.sha1(f"answer {number}".encode(), usedforsecurity=False).hexdigest() + ".jpg")
        yield Wanted(source, root / "eval" / "images" / names[-1], turn)
    pd.DataFrame({"ImageID": names, "ans": 0}).to_csv(root / "eval" / "info.csv", index=False)


def _chunks(lists: Sequence[Wanted]) -> Iterator[Sequence[Wanted]]:
    start = 0
    for place in range(1, len(lists) + 1):
        ended = place == len(lists) or lists[place].source != lists[place - 1].source
        if ended and (place == len(lists) or place - start >= _PEOPLE_A_CHUNK * PHOTOS_A_PERSON):
            yield lists[start:place]
            start = place


def _write(wanted: Sequence[Wanted]) -> int:
    seen: tuple[Path, Pixels] | None = None
    for one in wanted:
        if seen is None or seen[0] != one.source:
            seen = one.source, codec.decode(one.source.read_bytes())
        Image.fromarray(changed(seen[1], one.number)).save(one.target, "JPEG", quality=_QUALITY)
    return len(wanted)
