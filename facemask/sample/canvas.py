"""The drawing surface: a frontal portrait held as colour, slope, gloss and cover, to be lit later.

Everything is drawn once, seen from the front, in face units: the origin lies between the eyes, x grows to the
right, y downwards, and 1 is half the width of an average face. Light and pose come afterwards.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float32]
Box = tuple[int, int, int, int]

SCALE = 96.0  # pixels a face unit
WIDTH, HEIGHT = 540, 584
ORIGIN = (270.0, 200.0)  # pixel of the point between the eyes
CHANNELS = 8  # red, green, blue, slope x, slope y, gloss, skin, cover; all premultiplied by cover

_Y, _X = np.mgrid[0:HEIGHT, 0:WIDTH].astype(np.float32)
_X = ((_X + 0.5 - ORIGIN[0]) / SCALE).astype(np.float32)
_Y = ((_Y + 0.5 - ORIGIN[1]) / SCALE).astype(np.float32)


def box(x0: float, y0: float, x1: float, y1: float) -> Box:
    """Return the pixel box (x0, y0, x1, y1) that covers a rectangle in face units, cut to the canvas."""
    return (
        max(0, int(np.floor(x0 * SCALE + ORIGIN[0]))),
        max(0, int(np.floor(y0 * SCALE + ORIGIN[1]))),
        min(WIDTH, int(np.ceil(x1 * SCALE + ORIGIN[0]))),
        min(HEIGHT, int(np.ceil(y1 * SCALE + ORIGIN[1]))),
    )


def grid(area: Box) -> tuple[Floats, Floats]:
    """Return x and y in face units of each pixel of ``area``, each of shape (h, w)."""
    x0, y0, x1, y1 = area
    return _X[y0:y1, x0:x1], _Y[y0:y1, x0:x1]


def spline(points: ArrayLike, *, closed: bool = True, steps: int = 8) -> NDArray[np.float64]:
    """Return a Catmull-Rom curve through ``points`` (n, 2), with ``steps`` points a span."""
    knots = np.asarray(points, np.float64)
    if closed:
        padded = np.vstack([knots[-1:], knots, knots[:2]])
    else:
        padded = np.vstack([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    before, start, end, after = padded[:-3, None], padded[1:-2, None], padded[2:-1, None], padded[3:, None]
    t = np.linspace(0, 1, steps, endpoint=False)[None, :, None]
    curve = 0.5 * (
        2 * start
        + (end - before) * t
        + (2 * before - 5 * start + 4 * end - after) * t**2
        + (3 * start - before - 3 * end + after) * t**3
    )
    flat: NDArray[np.float64] = curve.reshape(-1, 2)
    return flat if closed else np.vstack([flat, knots[-1:]])


def mirrored(points: ArrayLike) -> NDArray[np.float64]:
    """Close a right-hand outline, given downwards, by its mirror image; points on the axis stay single."""
    right = np.asarray(points, np.float64)
    left = right[::-1] * (-1.0, 1.0)
    return np.vstack([right, left[np.abs(left[:, 0]) > 1e-9]])


def noise(rng: np.random.Generator, shape: tuple[int, int], cell: float, octaves: int = 1) -> Floats:
    """Return smooth noise of roughly unit deviation; ``cell`` is the pixel size of its coarsest blotch."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        size = max(cell / 2**octave, 1.0)
        small = rng.standard_normal((int(shape[0] / size) + 3, int(shape[1] / size) + 3), dtype=np.float32)
        total += cv2.resize(small, (shape[1], shape[0]), interpolation=cv2.INTER_CUBIC) * np.float32(
            0.6**octave
        )
    return total


def blur(image: Floats, sigma: float) -> Floats:
    """Return ``image`` blurred by a Gaussian of ``sigma`` face units; wide ones on a coarser grid."""
    pixels = sigma * SCALE
    if pixels < 6:
        return np.asarray(
            cv2.GaussianBlur(image, (0, 0), pixels, borderType=cv2.BORDER_REPLICATE), np.float32
        )
    h, w = image.shape
    coarse = cv2.resize(image, (-(-w // 4), -(-h // 4)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(coarse, (0, 0), pixels / 4, borderType=cv2.BORDER_REPLICATE)
    return np.asarray(cv2.resize(small, (w, h), interpolation=cv2.INTER_LINEAR), np.float32)


def ramp(values: Floats, low: float, high: float) -> Floats:
    """Return 0 below ``low``, 1 above ``high`` and a smooth step between; ``low`` > ``high`` falls."""
    t = np.clip((values - np.float32(low)) / np.float32(high - low), 0, 1)
    return np.asarray(t * t * (3 - 2 * t), np.float32)


def slopes(relief: Floats, limit: float = 3.0) -> tuple[Floats, Floats]:
    """Return dz/dx and dz/dy of a height map in face units, cut at ±``limit``."""
    gx = cv2.Sobel(relief, cv2.CV_32F, 1, 0, ksize=3, scale=SCALE / 8, borderType=cv2.BORDER_REPLICATE)
    gy = cv2.Sobel(relief, cv2.CV_32F, 0, 1, ksize=3, scale=SCALE / 8, borderType=cv2.BORDER_REPLICATE)
    return np.clip(gx, -limit, limit), np.clip(gy, -limit, limit)


class Stencil:
    """Rasteriser of curves over ``area``, ``factor`` times finer than the canvas and averaged down.

    Parameters
    ----------
    area : Box
        Pixels of the canvas it covers.
    factor : int
        Supersampling; 1 relies on the lines' own anti-aliasing.
    """

    def __init__(self, area: Box, factor: int = 2) -> None:
        self.area = area
        self.factor = factor
        self.shape = ((area[3] - area[1]), (area[2] - area[0]))

    def _pixels(self, points: ArrayLike) -> NDArray[np.int32]:
        scaled = np.asarray(points, np.float64) * SCALE + ORIGIN - self.area[:2]
        return np.round((scaled * self.factor - 0.5) * 16).astype(np.int32)

    def _blank(self) -> NDArray[np.uint8]:
        return np.zeros((self.shape[0] * self.factor, self.shape[1] * self.factor), np.uint8)

    def _finish(self, fine: NDArray[np.uint8]) -> Floats:
        if self.factor > 1:
            fine = cv2.resize(fine, self.shape[::-1], interpolation=cv2.INTER_AREA)  # type: ignore[assignment]
        return fine.astype(np.float32) / np.float32(255)

    def fill(self, *shapes: ArrayLike) -> Floats:
        """Return the cover (h, w) in 0..1 of the union of closed ``shapes``, each (n, 2) in face units."""
        fine = self._blank()
        for shape in shapes:
            cv2.fillPoly(fine, [self._pixels(shape)], 255, cv2.LINE_AA, 4)
        return self._finish(fine)

    def strokes(self, lines: list[NDArray[np.float64]], width: float, values: ArrayLike = 1.0) -> Floats:
        """Return the cover of open ``lines``, ``width`` face units wide, each at its own value in 0..1."""
        fine = self._blank()
        thickness = max(1, round(width * SCALE * self.factor))
        levels = np.broadcast_to(np.asarray(values, np.float64), (len(lines),))
        for line, level in zip(lines, levels, strict=True):
            cv2.polylines(
                fine, [self._pixels(line)], False, float(round(255 * level)), thickness, cv2.LINE_AA, 4
            )
        return self._finish(fine)


@dataclass(frozen=True)
class Layer:
    """A piece of the portrait with a surface of its own, over the pixels ``area`` of the canvas.

    ``alpha`` is (h, w) in 0..1, ``colour`` (h, w, 3) or (3,) linear light in 0..1, ``slope`` dz/dx and dz/dy,
    ``gloss`` and ``skin`` 0..1.
    """

    area: Box
    alpha: Floats
    colour: Floats
    slope: tuple[Floats, Floats]
    gloss: float | Floats = 0.1
    skin: float | Floats = 0.0

    @cached_property
    def cut(self) -> tuple[Box, Floats, Floats]:
        """Return the box it covers, its transparency (h, w) and premultiplied planes (8, h, w) there."""
        x, y, w, h = cv2.boundingRect((self.alpha > 0).astype(np.uint8))
        alpha = np.ascontiguousarray(self.alpha[y : y + h, x : x + w])
        planes = np.empty((CHANNELS, h, w), np.float32)
        colour = np.broadcast_to(self.colour, (*self.alpha.shape, 3))
        parts = (*np.moveaxis(colour, 2, 0), *self.slope, self.gloss, self.skin, 1.0)
        for plane, part in zip(planes, parts, strict=True):
            plane[:] = np.broadcast_to(np.asarray(part, np.float32), self.alpha.shape)[y : y + h, x : x + w]
        planes *= alpha
        left, top = self.area[0] + x, self.area[1] + y
        return (left, top, left + w, top + h), 1 - alpha, planes


class Canvas:
    """The portrait: ``data`` (CHANNELS, HEIGHT, WIDTH) and ``glint`` (HEIGHT, WIDTH), highlights to add."""

    def __init__(self) -> None:
        self.data: Floats = np.zeros((CHANNELS, HEIGHT, WIDTH), np.float32)
        self.glint: Floats = np.zeros((HEIGHT, WIDTH), np.float32)

    def put(self, layer: Layer) -> None:
        """Lay ``layer`` over what is there."""
        (x0, y0, x1, y1), through, planes = layer.cut
        under = self.data[:, y0:y1, x0:x1]
        under *= through
        under += planes

    def tint(self, area: Box, alpha: Floats, colour: ArrayLike, gloss: float | None = None) -> None:
        """Paint ``colour``, (3,) or (h, w, 3), on the surface that is there, following its relief."""
        x0, y0, x1, y1 = area
        under = self.data[:, y0:y1, x0:x1]
        paint = np.asarray(colour, np.float32)
        for channel in range(3):
            under[channel] += alpha * (paint[..., channel] * under[7] - under[channel])
        if gloss is not None:
            under[5] += alpha * (np.float32(gloss) * under[7] - under[5])

    def dim(self, area: Box, shadow: Floats, strength: float) -> None:
        """Darken what is there by a shadow (h, w) in 0..1; reds are kept longest, as in skin."""
        x0, y0, x1, y1 = area
        for channel, hue in enumerate((0.85, 1.0, 1.05)):
            self.data[channel, y0:y1, x0:x1] *= 1 - np.float32(strength * hue) * shadow


def linear(red: float, green: float, blue: float) -> Floats:
    """Return an 8-bit display colour as linear light in 0..1 (gamma 2, which the camera undoes by a root)."""
    return np.asarray(((red / 255) ** 2, (green / 255) ** 2, (blue / 255) ** 2), np.float32)
