"""The drawing surface: a frontal portrait held as colour, slope, gloss and cover, to be lit later.

Everything is drawn once, seen from the front, in face units: the origin lies between the eyes, x grows to the
right, y downwards, and 1 is half the width of an average face. Light and pose come afterwards.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property

import cv2
import numpy as np
from numpy.typing import ArrayLike, NDArray

from facemask.masks import raster

Floats = NDArray[np.float32]
Curve = NDArray[np.float64]  # (n, 2) in face units
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


def curve(xs: ArrayLike, ys: ArrayLike) -> Curve:
    """Return an open Catmull-Rom curve through the points (``xs``, ``ys``), eight points a span."""
    knots = np.column_stack([np.asarray(xs, np.float64), np.asarray(ys, np.float64)])
    padded = np.vstack([2 * knots[:1] - knots[1:2], knots, 2 * knots[-1:] - knots[-2:-1]])
    return np.vstack([_spans(padded), knots[-1:]])


def closed(xs: ArrayLike, ys: ArrayLike) -> Curve:
    """Return a closed Catmull-Rom curve through the points (``xs``, ``ys``), eight points a span."""
    knots = np.column_stack([np.asarray(xs, np.float64), np.asarray(ys, np.float64)])
    return _spans(np.vstack([knots[-1:], knots, knots[:2]]))


def both(xs: Sequence[float], ys: Sequence[float]) -> Curve:
    """Return a closed curve through points and their mirror images, given downwards from axis to axis."""
    return closed([*xs, *(-x for x in xs[-2:0:-1])], [*ys, *ys[-2:0:-1]])


def _spans(knots: Curve) -> Curve:
    before, start, end, after = knots[:-3, None], knots[1:-2, None], knots[2:-1, None], knots[3:, None]
    t = np.linspace(0, 1, 8, endpoint=False)[None, :, None]
    bend = 2 * before - 5 * start + 4 * end - after + (3 * start - before - 3 * end + after) * t
    return np.asarray((start + 0.5 * t * (end - before + t * bend)).reshape(-1, 2))


def ring(centre: tuple[float, float], width: ArrayLike, height: ArrayLike, count: int = 48) -> Curve:
    """Return an ellipse (count, 2), half ``width`` and ``height`` given, or one of each point."""
    t = np.arange(count) * (2 * np.pi / count)
    # Rounded: the last bits of sine and cosine depend on the CPU.
    around = np.column_stack([np.cos(t).round(6) * width, np.sin(t).round(6) * height])
    return np.asarray(around + np.asarray(centre))


def noise(rng: np.random.Generator, shape: tuple[int, int], cell: float, octaves: int = 1) -> Floats:
    """Return smooth noise of roughly unit deviation; ``cell`` is the pixel size of its coarsest blotch."""
    total = np.zeros(shape, np.float32)
    for octave in range(octaves):
        size = cell / 2**octave
        cells = shape if size < 3 else (int(shape[0] / size) + 3, int(shape[1] / size) + 3)
        drawn = raster.normal(rng, cells)
        total += np.float32(0.6**octave) * (drawn if cells == shape else raster.stretch(drawn, shape))
    return total


def blur(image: raster.Real, sigma: float) -> Floats:
    """Return ``image`` (h, w) blurred by a Gaussian of ``sigma`` face units."""
    return raster.blur(image, sigma * SCALE)


def slopes(relief: raster.Real, limit: float = 3.0) -> tuple[Floats, Floats]:
    """Return dz/dx and dz/dy of a height map in face units, cut at ±``limit``."""
    z, scale = raster.exact(relief), SCALE / 8
    gx = cv2.Sobel(z, cv2.CV_64F, 1, 0, ksize=3, scale=scale, borderType=cv2.BORDER_REPLICATE)
    gy = cv2.Sobel(z, cv2.CV_64F, 0, 1, ksize=3, scale=scale, borderType=cv2.BORDER_REPLICATE)
    return np.clip(gx, -limit, limit).astype(np.float32), np.clip(gy, -limit, limit).astype(np.float32)


class Stencil:
    """Rasteriser of curves in face units over ``area``, ``factor`` times finer than the canvas and averaged down."""

    def __init__(self, area: Box, factor: int = 2) -> None:
        self.area = area
        self.factor = factor
        self.shape = ((area[3] - area[1]), (area[2] - area[0]))

    def _pixels(self, curve: ArrayLike) -> NDArray[np.float64]:
        return np.asarray(curve, np.float64) * SCALE + ORIGIN - self.area[:2]

    def fill(self, *shapes: ArrayLike) -> Floats:
        """Return the cover (h, w) in 0..1 of the union of closed ``shapes``, each (n, 2)."""
        return raster.fill([self._pixels(shape) for shape in shapes], self.shape, self.factor)

    def strokes(self, lines: Sequence[ArrayLike], width: float, values: ArrayLike = 1.0) -> Floats:
        """Return the cover of open ``lines``, ``width`` wide, each at its own value in 0..1."""
        pixels = [self._pixels(line) for line in lines]
        return raster.stroke(pixels, width * SCALE, self.shape, self.factor, values)


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
