"""Small pictures as data URIs, and contact sheets of photos with their boxes and mattes, the worst first."""

from __future__ import annotations

import base64
import io
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pandas as pd
from PIL import Image

from facemask.photos import contact, photos
from facemask.pixels import archive, codec, compose
from facemask.records.roots import Roots
from facemask.runtime.arrays import Pixels

# Pixels of the longer side of a photo, and the quality of its JPEG: sharp on a phone, 5 kB each.
LONGEST: Final = 168
QUALITY: Final = 78
OWN_BOX: Final = ("found", "fixed")


@dataclass(frozen=True)
class Box:
    """Left, top, width and height in percent of a photo, and by how many degrees it is turned around its centre."""

    left: float
    top: float
    width: float
    height: float
    turn: float = 0.0


@dataclass(frozen=True)
class Tile:
    """One photo of a contact sheet.

    Attributes
    ----------
    picture
        Data URI.
    title
        The photo's key.
    lines
        What stands below it.
    good
        Whether nothing was borrowed and nothing is lacking.
    face, crop
        Boxes to draw; None for none.
    """

    picture: str
    title: str
    lines: tuple[str, ...]
    good: bool
    face: Box | None = None
    crop: Box | None = None


def uri(pixels: Pixels, longest: int = LONGEST) -> str:
    """Shrink (H, W, 3) until its longer side has ``longest`` pixels at most; equal pixels give equal text."""
    scale = min(1.0, longest / max(pixels.shape[:2]))
    size = max(1, round(pixels.shape[0] * scale)), max(1, round(pixels.shape[1] * scale))
    stream = io.BytesIO()
    Image.fromarray(compose.fit(pixels, size)).save(stream, "JPEG", quality=QUALITY, optimize=True)
    return f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"


def boxes(table: pd.DataFrame, where: Roots, count: int) -> list[Tile]:
    """Photos with face and crop drawn: borrowed boxes first, then by the detector's doubt.

    Parameters
    ----------
    table
        Columns of :data:`facemask.records.tables.BOXES`, and ``sha256`` and ``kind``.
    count
        Photos at most.
    """
    seen = table[table["status"] != "unreadable"]
    worst = seen.assign(own=seen["status"].isin(OWN_BOX)).sort_values(
        ["own", "score", "photo"], kind="stable"
    )

    def tile(row: Any, photo: Pixels) -> Tile:
        own = row.status in OWN_BOX
        said = f"{row.status} {row.score:.3f}" if row.status == "found" else row.status
        face = (row.x0, row.y0, row.x1, row.y1)
        crop = _box((row.cx0, row.cy0, row.cx1, row.cy1), photo, row.turn)
        return Tile(uri(photo), row.photo, (_name(row), said), own, _box(face, photo), crop)

    return _tiles(worst, where, count, tile)


def mattes(table: pd.DataFrame, where: Roots, stored: archive.Sets, count: int) -> list[Tile]:
    """Persons on a chequerboard: photos without a matte first, then by how unusual its share of person is.

    Parameters
    ----------
    table
        Columns of :data:`facemask.records.tables.MATTES`, and ``set``, ``sha256`` and ``kind``.
    """
    seen = table[~table["status"].isin(["unreadable", "none"])]
    unusual = (seen["coverage"] - seen["coverage"].median()).abs()
    worst = seen.assign(whole=seen["status"] == "ok", unusual=-unusual)
    worst = worst.sort_values(["whole", "unusual", "photo"], kind="stable")

    def tile(row: Any, photo: Pixels) -> Tile:
        if row.status != "ok":
            return Tile(uri(photo), row.photo, (_name(row), row.status), good=False)
        matte = codec.decode_matte(stored.of(row.set).read(f"{row.photo}.png"))
        said = f"{row.coverage:.0%} person"
        return Tile(uri(contact.chequered(photo, matte)), row.photo, (_name(row), said), good=True)

    return _tiles(worst, where, count, tile)


def _tiles(worst: pd.DataFrame, where: Roots, count: int, tile: Callable[[Any, Pixels], Tile]) -> list[Tile]:
    found = []
    for row in worst.head(count).itertuples():
        key = photos.Photo(str(row.photo), str(row.sha256))
        found.append(tile(row, codec.decode(photos.read(where, key))))
    return found


def _name(row: Any) -> str:
    return f"{photos.short(row.photo)} {row.kind.removesuffix('_mask')}".strip()


def _box(corners: tuple[float, float, float, float], photo: Pixels, turn: float = math.nan) -> Box | None:
    """Corners in pixels of the photo as percent of it; None where there is no box."""
    if not np.isfinite(corners).all():
        return None
    height, width = photo.shape[:2]
    x0, x1 = (float(100 * x / width) for x in corners[::2])
    y0, y1 = (float(100 * y / height) for y in corners[1::2])
    return Box(x0, y0, x1 - x0, y1 - y0, 0.0 if math.isnan(turn) else turn)
