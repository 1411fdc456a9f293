"""Contact sheets: many small pictures on one, framed and labelled, for a person to look over."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facemask.pixels import compose
from facemask.runtime import files
from facemask.runtime.arrays import Pixels

Colour = tuple[int, int, int]
Thing = TypeVar("Thing")

GREEN: Final[Colour] = (46, 160, 67)
AMBER: Final[Colour] = (230, 150, 20)
RED: Final[Colour] = (207, 34, 46)
GREY: Final[Colour] = (130, 136, 145)
_PAPER: Final[Colour] = (250, 250, 250)
_INK: Final[Colour] = (36, 41, 47)
_GAP: Final = 8
_FRAME: Final = 3
_LINE: Final = 13


class Tile(NamedTuple):
    """A picture (H, W, 3), the lines below it, and the colour of its frame."""

    picture: Pixels
    lines: tuple[str, ...]
    colour: Colour


def evenly_spaced(things: Sequence[Thing], count: int) -> list[Thing]:
    """At most ``count`` of ``things``, evenly spaced, in order."""
    if len(things) <= count:
        return list(things)
    return [things[place] for place in np.linspace(0, len(things) - 1, count).round().astype(int)]


def sheet(title: str, tiles: Sequence[Tile], *, columns: int, size: tuple[int, int]) -> Pixels:
    """Lay tiles out in rows under a title.

    Parameters
    ----------
    size
        Height and width that every picture is fitted into, pixels.
    """
    high, wide = size
    lines = max((len(tile.lines) for tile in tiles), default=0)
    step_x, step_y = wide + 2 * _FRAME + _GAP, high + 2 * _FRAME + lines * _LINE + _GAP + 4
    rows = max(1, -(-len(tiles) // columns))
    page = Image.new("RGB", (_GAP + columns * step_x, 34 + rows * step_y), _PAPER)
    draw = ImageDraw.Draw(page)
    draw.text((_GAP, 9), title, _INK, font=ImageFont.load_default(14))
    small = ImageFont.load_default(10)
    for place, tile in enumerate(tiles):
        x, y = _GAP + place % columns * step_x, 34 + place // columns * step_y
        draw.rectangle((x, y, x + wide + 2 * _FRAME - 1, y + high + 2 * _FRAME - 1), tile.colour)
        page.paste(Image.fromarray(_fitted(tile.picture, size)), (x + _FRAME, y + _FRAME))
        for number, line in enumerate(tile.lines):
            top = y + high + 2 * _FRAME + 2 + number * _LINE
            draw.text((x, top), _short(line, small, wide + 2 * _FRAME), _INK, font=small)
    return np.asarray(page, dtype=np.uint8)


def beside(*pictures: Pixels) -> Pixels:
    """Join pictures of equal height side by side; grey ones (H, W) become RGB."""
    return np.hstack([np.repeat(one[..., None], 3, axis=2) if one.ndim == 2 else one for one in pictures])


def chequered(photo: Pixels, matte: Pixels, cell: int = 16) -> Pixels:
    """Lay the photo's person on a chequerboard, so that the matte's faults show."""
    y, x = np.indices(matte.shape)
    board = np.where((y // cell + x // cell) % 2 == 0, 235, 190)[..., None]
    alpha = matte[..., None] / 255.0
    return np.rint(photo * alpha + board * (1 - alpha)).astype(np.uint8)


def write(path: Path, page: Pixels) -> None:
    """Write a sheet as PNG or JPEG, by the path's suffix; equal sheets give equal bytes.

    Raises
    ------
    ValueError
        If the suffix is another.
    """
    stream = io.BytesIO()
    match path.suffix:
        case ".png":
            Image.fromarray(page).save(stream, "PNG", optimize=True)
        case ".jpg":
            Image.fromarray(page).save(stream, "JPEG", quality=90, subsampling=0)
        case _:
            raise ValueError(f"{path}: a contact sheet is .png or .jpg")
    with files.replacing(path) as temporary:
        temporary.write_bytes(stream.getvalue())


def _fitted(picture: Pixels, size: tuple[int, int]) -> Pixels:
    """Scale into ``size``, keeping the aspect, on paper."""
    scale = min(size[0] / picture.shape[0], size[1] / picture.shape[1])
    high, wide = (max(1, round(side * scale)) for side in picture.shape[:2])
    page = np.full((*size, 3), _PAPER, dtype=np.uint8)
    top, left = (size[0] - high) // 2, (size[1] - wide) // 2
    page[top : top + high, left : left + wide] = compose.fit(picture, (high, wide))
    return page


def _short(line: str, font: ImageFont.FreeTypeFont | ImageFont.ImageFont, width: int) -> str:
    while line and font.getlength(line) > width:
        line = line[:-1]
    return line
