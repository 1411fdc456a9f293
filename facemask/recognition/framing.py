"""How a face network is shown a face: a square cut out of a stored crop."""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
import pandas as pd

from facemask.pixels import boxes as boxes_
from facemask.runtime.arrays import Pixels

# A face network's window: its side over the face box's height, how far its centre lies above the box's, and its pixels.
_FRAMED: Final = 0.95
_RAISED: Final = 6 / 112
_SQUARE: Final = 112


class Job(NamedTuple):
    """One crop: its set, the photo's key, and the face in it (x0, y0, x1, y1 as parts of its width and height)."""

    photos: str
    photo: str
    face: tuple[float, float, float, float]


def jobs(boxes: pd.DataFrame, photos: str) -> list[Job]:
    """List the crops of one set; without a face of its own the whole crop stands for it.

    Parameters
    ----------
    boxes
        See :data:`facemask.records.tables.BOXES`; unreadable photos are left out.
    """
    read = boxes[boxes["status"] != "unreadable"]
    wide, high = read["cx1"] - read["cx0"], read["cy1"] - read["cy0"]
    faces = np.column_stack(
        [
            (read["x0"] - read["cx0"]) / wide,
            (read["y0"] - read["cy0"]) / high,
            (read["x1"] - read["cx0"]) / wide,
            (read["y1"] - read["cy0"]) / high,
        ]
    )
    faces = np.where((read["status"] == "found").to_numpy()[:, None], faces, [0.0, 0.0, 1.0, 1.0])
    return [Job(photos, key, tuple(face)) for key, face in zip(read["photo"], faces.tolist(), strict=True)]


def square(image: Pixels, face: tuple[float, float, float, float]) -> Pixels:
    """Cut the face out as networks are shown it: eyes and mouth about where ArcFace's template has them."""
    high, wide = image.shape[:2]
    x0, y0, x1, y1 = np.array(face) * [wide, high, wide, high]
    side = _FRAMED * max(float(y1 - y0), 1.0)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2 - _RAISED * side
    box = (float(x - side / 2), float(y - side / 2), float(x + side / 2), float(y + side / 2))
    return boxes_.crop(image, box, (_SQUARE, _SQUARE))
