"""Arithmetic, filters and polygons of drawings that are the same bytes on every CPU.

NumPy's exp, sin and power, and OpenCV's filters of floats, round as the vector instructions at hand do. So bells and
waves are built here from +, -, * and /, which IEEE 754 rounds in one way; and what a filter or a product of matrices
adds up are multiples of 2**-16 with weights of 2**-12 at most, in float64: no sum has more than 53 bits, none is
rounded, and no order of adding can matter.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt

from facemask.runtime.arrays import Floats, Floats32

Real = npt.NDArray[np.floating]
Size = tuple[int, int]


def exact(values: Real) -> Floats:
    """Return the nearest multiples of 2**-16."""
    grid = values * np.float32(65536)
    return np.asarray(np.rint(grid, out=grid), np.float64) * 2**-16


def bell(square: Real) -> Floats32:
    """Return about exp(-``square``), 0 from 16 on."""
    low = np.clip(1 - square * 0.0625, 0, 1)
    for _ in range(4):
        low = low * low
    return np.asarray(low, np.float32)


def spot(x: Real, y: Real, wide: float, high: float) -> Floats32:
    """Return a bell around the origin of ``x`` and ``y``, e times lower at ``wide`` and ``high``."""
    return bell((x / np.float32(wide)) ** 2 + (y / np.float32(high)) ** 2)


def wave(t: Real) -> Floats32:
    """Return about sin(``t``): parabolas, -1..1."""
    turn = t * np.float32(1 / np.pi)
    turn = turn - 2 * np.floor(turn * 0.5) - 1
    return np.asarray(-4 * turn * (1 - np.abs(turn)), np.float32)


def ramp(values: Real, low: float, high: float) -> Floats32:
    """Return 0 below ``low``, 1 above ``high`` and a smooth step between; ``low`` > ``high`` falls."""
    t = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def normal(rng: np.random.Generator, shape: tuple[int, ...]) -> Floats32:
    """Draw nearly normal noise of unit deviation, within 3.45: sums of four bytes."""
    total = rng.integers(0, 256, (4, *shape), np.uint8).sum(axis=0, dtype=np.int16)
    return np.asarray((total - 510) / np.float32(147.8), np.float32)


@functools.lru_cache(maxsize=128)
def _cubic(pixels: int, cells: int) -> Floats:
    """Weights (pixels, cells) that interpolate ``cells`` values over ``pixels``."""
    far = np.abs((np.arange(pixels)[:, None] + 0.5) * cells / pixels - 0.5 - np.arange(cells))
    near, wide = (1.5 * far - 2.5) * far * far + 1, ((2.5 - 0.5 * far) * far - 4) * far + 2
    return np.asarray(np.rint(1024 * np.where(far < 1, near, np.where(far < 2, wide, 0))) / 1024)


def stretch(values: Real, shape: Size) -> Floats32:
    """Interpolate ``values`` (h, w) over ``shape`` by cubics."""
    rows, columns = _cubic(shape[0], values.shape[0]), _cubic(shape[1], values.shape[1])
    return np.asarray(rows @ exact(values) @ columns.T, np.float32)


def reduce(values: Real, factor: int) -> Floats32:
    """Average squares of ``factor`` pixels; height and width are multiples of it."""
    size = values.shape[1] // factor, values.shape[0] // factor
    return np.asarray(cv2.resize(exact(values), size, interpolation=cv2.INTER_AREA), np.float32)


def enlarge(values: Real, factor: int) -> Floats32:
    """Interpolate to ``factor``, a power of two, times the height and width, linearly."""
    size = values.shape[1] * factor, values.shape[0] * factor
    return np.asarray(cv2.resize(exact(values), size, interpolation=cv2.INTER_LINEAR), np.float32)


@functools.lru_cache(maxsize=128)
def _gaussian(sigma: float) -> Floats:
    reach = max(1, int(np.ceil(3 * sigma)))
    weights = bell(np.arange(-reach, reach + 1) ** 2 / (2 * sigma**2)).astype(np.float64)
    weights = np.rint(weights * (4096 / sum(weights.tolist())))
    weights[reach] += 4096 - weights.sum()
    return np.asarray(weights / 4096)


def blur(values: Real, sigma: float) -> Floats32:
    """Blur (h, w) or (h, w, channels) by a Gaussian of ``sigma`` pixels; wide ones, of (h, w), on a coarser grid."""
    if sigma >= 6:
        h, w = values.shape
        whole = np.pad(values, ((0, -h % 4), (0, -w % 4)), mode="edge")
        return enlarge(blur(reduce(whole, 4), sigma / 4), 4)[:h, :w]
    weights = _gaussian(max(round(sigma, 2), 0.1))
    smooth = cv2.sepFilter2D(exact(values), cv2.CV_64F, weights, weights, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(smooth, np.float32)


def pick(values: Real, x: Real, y: Real, border: int = cv2.BORDER_REPLICATE) -> Floats32:
    """Interpolate (h, w) or (h, w, channels) at the pixels ``x``, ``y``, which are rounded to a 32nd."""
    px, py = (np.asarray(np.rint(axis * 32) / 32, np.float32) for axis in (x, y))
    return np.asarray(cv2.remap(exact(values), px, py, cv2.INTER_LINEAR, borderMode=border), np.float32)


def fill(shapes: Sequence[Real], size: Size, fine: int) -> Floats32:
    """Return the cover (h, w) 0..1 of the union of polygons (n, 2) in pixels, drawn ``fine`` times finer."""
    sheet = np.zeros((size[0] * fine, size[1] * fine), np.uint8)
    for shape in shapes:
        cv2.fillPoly(sheet, [_sixteenths(shape, fine)], 255, cv2.LINE_AA, 4)
    return _cover(sheet, size)


def stroke(
    lines: Sequence[Real], width: float, size: Size, fine: int, levels: npt.ArrayLike = 1.0
) -> Floats32:
    """Return the cover (h, w) of open lines (n, 2), ``width`` pixels wide, each at its own level in 0..1."""
    sheet = np.zeros((size[0] * fine, size[1] * fine), np.uint8)
    for line, level in zip(lines, np.broadcast_to(np.asarray(levels), (len(lines),)), strict=True):
        thick, value = max(1, round(width * fine)), float(round(255 * float(level)))
        cv2.polylines(sheet, [_sixteenths(line, fine)], False, value, thick, cv2.LINE_AA, 4)
    return _cover(sheet, size)


def _sixteenths(points: Real, fine: int) -> npt.NDArray[np.int32]:
    return np.asarray(np.rint((points * fine - 0.5) * 16), np.int32)


def _cover(sheet: npt.NDArray[np.uint8], size: Size) -> Floats32:
    small = cv2.resize(sheet, size[::-1], interpolation=cv2.INTER_AREA)
    return np.asarray(small, np.float32) / np.float32(255)
