"""Boxes (x0, y0, x1, y1 in pixels of a photo, which may be left), and cutting them out, upright or turned."""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from facemask.pixels import compose
from facemask.runtime.arrays import Pixels

Box = tuple[float, float, float, float]


def written(box: npt.ArrayLike) -> Box:
    """Round to the six digits that tables hold: a box means the same before and after it is stored."""
    x0, y0, x1, y1 = (float(f"{value:.6g}") for value in np.asarray(box, dtype=np.float64).ravel())
    return x0, y0, x1, y1


def grown(box: Box, margin: float) -> Box:
    """Move each side outwards by ``margin`` times the box's height."""
    x0, y0, x1, y1 = box
    step = margin * (y1 - y0)
    return x0 - step, y0 - step, x1 + step, y1 + step


def extended(box: Box, size: tuple[int, int]) -> Box:
    """Extend the box around its centre to the aspect of ``size`` (height, width)."""
    x0, y0, x1, y1 = box
    aspect = size[1] / size[0]
    wide, high = max(x1 - x0, (y1 - y0) * aspect), max(y1 - y0, (x1 - x0) / aspect)
    x, y = (x0 + x1) / 2, (y0 + y1) / 2
    return x - wide / 2, y - high / 2, x + wide / 2, y + high / 2


def inscribed(photo: tuple[int, int], size: tuple[int, int]) -> Box:
    """Largest centred box of the aspect of ``size`` inside a photo (both height, width)."""
    height, width = photo
    aspect = size[1] / size[0]
    wide, high = min(width, height * aspect), min(height, width / aspect)
    return (width - wide) / 2, (height - high) / 2, (width + wide) / 2, (height + high) / 2


def crop(pixels: Pixels, box: Box, size: tuple[int, int], turn: float = math.nan) -> Pixels:
    """Cut a box out of a photo or its matte and resize it.

    An upright box is rounded to whole pixels, a turned one is not; outside the photo its edge is repeated. A photo and
    its matte stay aligned when both are cut with the same box, turn and size.

    Parameters
    ----------
    pixels
        (H, W, 3) or (H, W).
    size
        Height and width of the result.
    turn
        Degrees by which the box is turned clockwise around its centre before it is cut out; NaN for an upright box.

    Returns
    -------
    (height, width, 3) or (height, width)

    Raises
    ------
    ValueError
        If the box is empty or not finite.
    """
    if not (np.isfinite(box).all() and box[0] < box[2] and box[1] < box[3]):
        raise ValueError(f"box {box} is empty")
    if not math.isnan(turn):
        return _turned(pixels, box, size, turn)
    height, width = pixels.shape[:2]
    x0, y0 = int(np.floor(box[0] + 0.5)), int(np.floor(box[1] + 0.5))
    x1, y1 = max(x0 + 1, int(np.floor(box[2] + 0.5))), max(y0 + 1, int(np.floor(box[3] + 0.5)))
    # A box wholly outside shows the nearest edge.
    left, right = min(max(x0, 0), width - 1), max(min(x1, width), 1)
    top, bottom = min(max(y0, 0), height - 1), max(min(y1, height), 1)
    part = pixels[top : max(bottom, top + 1), left : max(right, left + 1)]
    outside = (max(-y0, 0), max(y1 - height, 0), max(-x0, 0), max(x1 - width, 0))
    if any(outside):
        part = _padded(part, outside, (y1 - y0, x1 - x0))
    return np.ascontiguousarray(compose.fit(np.ascontiguousarray(part), size))


def _turned(pixels: Pixels, box: Box, size: tuple[int, int], turn: float) -> Pixels:
    """Cut out a turned box: sampled at least as finely as the photo, then reduced by area, which leaves no aliases."""
    x0, y0, x1, y1 = box
    high, wide = size
    finer = max(1, math.ceil(max((y1 - y0) / high, (x1 - x0) / wide)))
    rows, columns = high * finer, wide * finer
    across, down = (x1 - x0) / columns, (y1 - y0) / rows
    cos, sin = math.cos(math.radians(turn)), math.sin(math.radians(turn))
    # From the centre of a fine pixel to the photo, in which pixel 0 has its centre at 0.
    matrix = np.array([[cos * across, -sin * down], [sin * across, cos * down]])
    centre = np.array([(x0 + x1) / 2 - 0.5, (y0 + y1) / 2 - 0.5])
    offset = centre - matrix @ [(columns - 1) / 2, (rows - 1) / 2]
    fine = cv2.warpAffine(
        pixels,
        np.column_stack([matrix, offset]),
        (columns, rows),
        flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
        borderMode=cv2.BORDER_REPLICATE,
    )
    return np.ascontiguousarray(compose.fit(np.asarray(fine, dtype=np.uint8), size))


def _padded(part: Pixels, outside: tuple[int, int, int, int], shape: tuple[int, int]) -> Pixels:
    high, wide = shape
    above, left = min(outside[0], high - 1), min(outside[2], wide - 1)
    below, right = high - above - part.shape[0], wide - left - part.shape[1]
    padded = cv2.copyMakeBorder(part, above, below, left, right, cv2.BORDER_REPLICATE)
    return np.asarray(padded, dtype=np.uint8)
