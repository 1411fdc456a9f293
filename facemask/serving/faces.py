"""From pixels to the crops that the networks were trained on: faces found, one or all taken, cut as face_crop cuts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final, NamedTuple

import cv2
import pandas as pd

from facemask.faces import faces, finders
from facemask.faces.finders import Detection
from facemask.mattes import mattes
from facemask.pixels import boxes, codec
from facemask.pixels.boxes import Box
from facemask.runtime.arrays import Pixels
from facemask.settings import params

# The set whose photos are answered; a single photo borrows no box from others.
_SET: Final = "eval"


class Face(NamedTuple):
    """One face of one photo.

    Attributes
    ----------
    photo
        Place of its photo in the batch.
    number, faces
        Which of how many faces in that photo.
    status
        ``found``; ``fixed``, a fixed box; ``frame``, no face was found and the photo's middle stands for it.
    score
        Of the finder, 0..1; NaN where none was found.
    box, around
        The face, and what the crop shows: x0, y0, x1, y1 in pixels of the photo.
    turn
        Degrees by which ``around`` is turned, NaN where it is upright.
    crop
        JPEG, as face_crop stores it.
    matte
        (H, W) of the whole photo, or None.
    """

    photo: int
    number: int
    faces: int
    status: str
    score: float
    box: Box
    around: Box
    turn: float
    crop: bytes
    matte: Pixels | None


class Cutter:
    """Finds and cuts faces by the params of a run.

    Parameters
    ----------
    cfg
        How faces are found and cut.
    matting
        What is person; None where the networks see the background.

    Raises
    ------
    UserError
        If a model's file is missing or another one.
    """

    def __init__(self, cfg: params.FaceCrop, matting: params.Matting | None) -> None:
        self._cfg = cfg
        self._tried = finders.in_order(cfg.finder)
        self._matting = None if matting is None else mattes.build(matting)

    def __call__(self, photos: Sequence[Pixels], *, every: bool = False) -> list[Face]:
        """Cut one face a photo, or ``every`` face; of a photo without faces its middle.

        Parameters
        ----------
        photos
            (H, W, 3) RGB each, of any sizes.
        """
        # Several photos at once keep all cores busy; OpenCV's own threads would fight over them.
        cv2.setNumThreads(1)
        detections = self._search(photos)
        seen: dict[str, Detection] = {}
        owner: dict[str, tuple[int, int, int]] = {}
        for photo, one in enumerate(detections):
            count = len(one.faces)
            parts = [_only(one, k) for k in range(count)] if every else [one]
            for number, part in enumerate(parts or [one]):
                key = f"{photo}/{number}"
                seen[key], owner[key] = part, (photo, number, count)
        cut_out = [self._matte(photo) for photo in photos]
        return [
            self._cut(row, photos[owner[row.photo][0]], cut_out[owner[row.photo][0]], *owner[row.photo])
            for row in self._placed(seen)
        ]

    def _search(self, photos: Sequence[Pixels]) -> list[Detection]:
        """What each photo's last finder saw; each finder is shown what those before it found nothing in."""
        sizes = [(photo.shape[0], photo.shape[1]) for photo in photos]
        found = [
            finders.seen(size, rows) for size, rows in zip(sizes, self._tried[0].find(photos), strict=True)
        ]
        for by, finder in enumerate(self._tried[1:], start=1):
            left = [place for place, one in enumerate(found) if not len(one.faces)]
            for place, rows in zip(left, finder.find([photos[i] for i in left]), strict=True):
                found[place] = finders.seen(sizes[place], rows, by)
        return found

    def _placed(self, seen: Mapping[str, Detection]) -> list[_Row]:
        """Boxes as face_crop's table gives them, in the order of ``seen``."""
        order = {key: place for place, key in enumerate(seen)}
        rows: list[_Row] = []
        for tried, some in (
            (self._tried, {key: one for key, one in seen.items() if len(one.faces)}),
            # Apart, and with no finder: there is nobody to borrow a box from.
            ((), {key: one for key, one in seen.items() if not len(one.faces)}),
        ):
            keys = list(some)
            table = pd.DataFrame({"photo": keys, "person": [""] * len(keys), "set": [_SET] * len(keys)})
            placed = faces.place(self._cfg, tried, table, some) if keys else None
            rows += [] if placed is None else [_row(one) for _, one in placed.iterrows()]
        return sorted(rows, key=lambda row: order[row.photo])

    def _matte(self, photo: Pixels) -> Pixels | None:
        return None if self._matting is None else mattes.cut_out(self._matting, photo)[2]

    def _cut(
        self, row: _Row, photo: Pixels, matte: Pixels | None, place: int, number: int, count: int
    ) -> Face:
        data = codec.encode_jpeg(boxes.crop(photo, row.around, self._cfg.size, row.turn))
        return Face(place, number, count, row.status, row.score, row.box, row.around, row.turn, data, matte)


class _Row(NamedTuple):
    photo: str
    status: str
    score: float
    box: Box
    around: Box
    turn: float


def _only(one: Detection, k: int) -> Detection:
    """The photo as if its face ``k`` were alone."""
    points = None if one.points is None else one.points[k : k + 1]
    return one._replace(faces=one.faces[k : k + 1], points=points)


def _row(record: pd.Series[Any]) -> _Row:
    def box(prefix: str) -> Box:
        x0, y0, x1, y1 = (float(record[f"{prefix}{name}"]) for name in ("x0", "y0", "x1", "y1"))
        return x0, y0, x1, y1

    return _Row(
        record["photo"], record["status"], float(record["score"]), box(""), box("c"), float(record["turn"])
    )
