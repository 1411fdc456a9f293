"""One face a photo: chosen among those found, or borrowed where none was; and the crop around it."""

from __future__ import annotations

import functools
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, assert_never

import numpy as np
import pandas as pd

from facemask.faces import alignment
from facemask.faces.finders import Detection, Finder
from facemask.photos import memo, photos
from facemask.pixels import boxes, codec
from facemask.records import left_out, roots, tables
from facemask.runtime import executor, hardware
from facemask.runtime.arrays import Floats
from facemask.runtime.errors import UserError
from facemask.settings import params
from facemask.settings.recipes import Nothing

Choice = Literal["largest", "most_confident", "most_central"]
STATUSES = ("found", "person", "median", "fixed", "frame", "unreadable")


def choose(detection: Detection, choice: Choice) -> int:
    """Row of ``detection.faces`` that is the photo's person; of equals the more confident."""
    x0, y0, x1, y1, score = detection.faces.T
    match choice:
        case "largest":
            return int(np.argmax((x1 - x0) * (y1 - y0)))
        case "most_confident":
            return int(np.argmax(score))
        case "most_central":
            height, width = detection.size
            return int(np.argmin((x0 + x1 - width) ** 2 + (y0 + y1 - height) ** 2))
        case _:
            assert_never(choice)


def place(
    cfg: params.FaceCrop, tried: Sequence[Finder], table: pd.DataFrame, seen: Mapping[str, Detection | None]
) -> pd.DataFrame:
    """Give every photo a face box and a crop box.

    Parameters
    ----------
    tried
        The finders, in order.
    table
        The photos, see :data:`facemask.records.tables.PHOTOS`.
    seen
        What they saw in each readable photo; None or no entry for an unreadable one.

    Returns
    -------
    pandas.DataFrame
        See :data:`facemask.records.tables.BOXES`; rows as in ``table``.

    Raises
    ------
    UserError
        If finders that search found no face in any photo.
    """
    chosen = {
        key: (detection, choose(detection, cfg.choose))
        for key, detection in seen.items()
        if detection is not None and len(detection.faces)
    }
    searched = sum(detection is not None for detection in seen.values())
    if any(finder.searches for finder in tried) and searched and not chosen:
        raise UserError(
            f"face_crop.finder: no face in any of {searched} photos; lower face_crop.finder's thresholds and min_face "
            "(mtcnn) or score (yunet), or set face_crop.finder.kind to none or fixed"
        )
    shares = {
        key: detection.faces[row, :4] / _scale(detection.size) for key, (detection, row) in chosen.items()
    }
    borrowed = _Borrowed(cfg, table, shares)
    rows = []
    for key, person, name in zip(table["photo"], table["person"], table["set"], strict=True):
        detection = seen.get(key)
        status, score, faces = "unreadable", np.nan, 0
        box = around = (np.nan,) * 4
        points, turn = np.full(len(tables.POINTS), np.nan), np.nan
        if key in chosen:
            detection, number = chosen[key]
            row, status, faces = detection.faces[number], tried[detection.by].status, len(detection.faces)
            box, score = boxes.written(row[:4]), float(row[4])
            points = points if detection.points is None else detection.points[number]
        elif detection is not None:
            status, relative = borrowed.box(person, _Borrowed.framing(name, key))
            box = boxes.written(relative * _scale(detection.size))
        if detection is not None:
            around, turn = _around(cfg, status, box, points, detection.size)
        rows.append([key, status, score, faces, *box, *points, *around, turn])
    return pd.DataFrame(rows, columns=list(tables.BOXES.columns)).astype({"faces": np.int64})


def _scale(size: tuple[int, int]) -> Floats:
    height, width = size
    return np.array([width, height, width, height], dtype=np.float64)


def _around(
    cfg: params.FaceCrop, status: str, box: boxes.Box, points: Floats, size: tuple[int, int]
) -> tuple[boxes.Box, float]:
    """Crop box and its turn, NaN where the crop is upright: there are no landmarks or they are not asked for."""
    match cfg.align:
        case params.Similarity():
            template = alignment.TEMPLATES[cfg.align.template]
            found = alignment.aligned(points.reshape(-1, 2), template, cfg.align.margin, cfg.size)
            if found is not None:
                return boxes.written(found[0]), found[1]
        case Nothing():
            pass
        case _:
            assert_never(cfg.align)
    if status == "frame":
        return boxes.written(boxes.inscribed(size, cfg.size)), np.nan
    # A fixed box is meant as it stands; a face is wanted with what surrounds it.
    around = box if status == "fixed" else boxes.grown(box, cfg.margin)
    return boxes.written(boxes.extended(around, cfg.size)), np.nan


class _Borrowed:
    """Boxes for photos without a face, as fractions of width and height.

    Nothing is borrowed from another data set, whose photos may be framed otherwise, nor from another set of photos,
    so that one more photo to answer moves no training crop.
    """

    def __init__(self, cfg: params.FaceCrop, table: pd.DataFrame, found: Mapping[str, Floats]) -> None:
        people: dict[str, list[Floats]] = defaultdict(list)
        framed: dict[tuple[str, str], list[Floats]] = defaultdict(list)
        for key, person, name in zip(table["photo"], table["person"], table["set"], strict=True):
            if key in found:
                framed[self.framing(name, key)].append(found[key])
                if person:
                    people[person].append(found[key])
        self._fallback = cfg.fallback
        self._people = {person: np.median(some, axis=0) for person, some in people.items()}
        self._medians = {name: np.median(some, axis=0) for name, some in framed.items()}

    @staticmethod
    def framing(name: str, key: str) -> tuple[str, str]:
        """Set and data set of a photo: those whose median box it may borrow."""
        return name, roots.dataset(key)

    def box(self, person: str, framing: tuple[str, str]) -> tuple[str, Floats]:
        """Status and box of a photo of ``person``."""
        for source in self._fallback:
            match source:
                case "person":
                    if person in self._people:
                        return "person", self._people[person]
                case "median":
                    if framing in self._medians:
                        return "median", self._medians[framing]
                case _:
                    assert_never(source)
        return "frame", np.array([0.0, 0.0, 1.0, 1.0])


@dataclass(frozen=True)
class _Cut:
    where: roots.Roots
    size: tuple[int, int]

    def __call__(self, some: Sequence[tuple[photos.Photo, boxes.Box, float]]) -> list[bytes]:
        return [
            codec.encode_jpeg(boxes.crop(codec.decode(photos.read(self.where, photo)), box, self.size, turn))
            for photo, box, turn in some
        ]

    def keys(self, some: Sequence[tuple[photos.Photo, boxes.Box, float]]) -> list[str]:
        """Keys in the memo: a crop follows from the photo, its box with its turn, and its size."""
        ours = memo.fingerprint(
            {"size": self.size},
            ["pixels"],
            ["opencv-python-headless", "pillow", "numpy"],
        )
        return [memo.key(f"{ours} {box} {turn}", photo.sha256) for photo, box, turn in some]


def crops(
    some: Sequence[photos.Photo],
    table: pd.DataFrame,
    where: roots.Roots,
    size: tuple[int, int],
    kept: memo.Memo,
    *,
    workers: int | None = None,
) -> Iterator[tuple[str, bytes]]:
    """Yield key and JPEG of every photo's crop, in order.

    Parameters
    ----------
    table
        The boxes, see :func:`place`; photos with status ``unreadable`` are left out.
    kept
        Crops that were cut before with the same box and size.
    workers
        Threads; by default one a core.
    """
    rows = table[table["status"] != "unreadable"]
    corners = (rows[name].tolist() for name in ("cx0", "cy0", "cx1", "cy1"))
    around: dict[str, tuple[boxes.Box, float]] = dict(
        zip(rows["photo"], zip(zip(*corners, strict=True), rows["turn"], strict=True), strict=True)
    )
    jobs = [(photo, *around[photo.key]) for photo in some if photo.key in around]
    cut = _Cut(where, size)
    pool = functools.partial(executor.threads, workers=workers or hardware.cores())
    made = photos.each(cut, jobs, cut.keys(jobs), kept, pool, chunk=16)
    for (photo, _, _), image in zip(jobs, made, strict=True):
        yield photo.key, image


def told(statuses: pd.Series[str]) -> str:
    """Say which photos have no face of their own, and what they got instead."""
    count = statuses.value_counts()
    instead = {
        "person": "without a face (box of the person's other photos)",
        "median": "without a face (median box of their set)",
        # Where no face is looked for, the whole frame is what was asked for.
        "frame": "without a face (whole photo)" if {"found", "person", "median"} & set(count.index) else "",
        "unreadable": "unreadable",
    }
    reasons = {reason: int(count.get(status, 0)) for status, reason in instead.items() if reason}
    return left_out.line("face_crop", len(statuses), "photos", reasons)


def report(
    boxed: pd.DataFrame, table: pd.DataFrame, tried: Sequence[Finder], seen: Mapping[str, Detection | None]
) -> dict[str, object]:
    """Count photos by status, and the share of readable photos with a found face, in all and by kind.

    Of several finders each one's part is told too: the photos that it was shown and gave a box, and the shares of all
    readable photos that these are.

    Parameters
    ----------
    boxed
        What :func:`place` made of ``table``, ``tried`` and ``seen``.
    """
    whole: dict[str, object] = {
        "photos": len(boxed),
        "status": {status: int((boxed["status"] == status).sum()) for status in STATUSES},
        "several_faces": int((boxed["faces"] > 1).sum()),
        "aligned": int(boxed["turn"].notna().sum()),
        "found": None,
    }
    kind = table["kind"][boxed["status"] != "unreadable"]
    if any(finder.searches for finder in tried):
        whole["found"] = _rates(boxed["status"] == "found", kind)
    if len(tried) > 1:
        by = boxed["photo"].map(
            {key: detection.by for key, detection in seen.items() if detection is not None}
        )
        parts = {name: (by == number) & (boxed["faces"] > 0) for number, name in enumerate(_names(tried))}
        whole["finders"] = {
            name: {
                "photos": int((by >= number).sum()),
                "boxes": int(found.sum()),
                "found": _rates(found, kind),
            }
            for number, (name, found) in enumerate(parts.items())
        }
    return whole


def _rates(found: pd.Series[bool], kind: pd.Series[str]) -> dict[str, float]:
    """Share of the readable photos (the rows of ``kind``), in all and by the kinds that are known."""
    read = found[kind.index]
    rates = read.groupby(kind[kind != ""]).mean().round(6)
    whole = {"all": round(float(read.mean()), 6)} if len(read) else {}
    return whole | {str(name): float(rate) for name, rate in rates.items()}


def _names(tried: Sequence[Finder]) -> list[str]:
    """Each finder's kind; further ones of the same kind are numbered."""
    kinds = [finder.kind for finder in tried]
    before = [kinds[:place].count(kind) for place, kind in enumerate(kinds)]
    return [f"{kind}_{count + 1}" if count else kind for kind, count in zip(kinds, before, strict=True)]
