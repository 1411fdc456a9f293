"""What is behind a person: rooms, walls, streets and leaves, out of focus."""

from __future__ import annotations

import cv2
import numpy as np

from facemask.masks.raster import blur, enlarge, ramp
from facemask.sample import canvas
from facemask.sample.canvas import Floats, linear

# The least and the most that each is out of focus, in pixels of half the photo's size.
_FOCUS = {
    "wall": (0.4, 2.2),
    "gradient": (0.4, 2.2),
    "brick": (0.4, 2.2),
    "shelf": (1.0, 3.0),
    "window": (1.0, 3.0),
    "foliage": (1.5, 3.5),
    "bokeh": (1.0, 1.1),
    "office": (1.2, 3.0),
}
KINDS = tuple(_FOCUS)
_WALLS = ("e2ded6", "c6ced4", "ece8e0", "b0bab2", "d4c4b4", "78828e", "bec8d8", "585c62")
_LAMPS = ("fad696", "f0a06e", "aac8fa", "f0f0e6", "e67878")


def draw(rng: np.random.Generator, kind: str, width: int, height: int) -> Floats:
    """Return a background (height, width, 3) of one of KINDS in linear light, drawn at half size."""
    w, h = width // 2, height // 2
    v, u = np.mgrid[0:h, 0:w].astype(np.float32) / np.asarray((h, w), np.float32)[:, None, None]
    tone = _one(rng, _WALLS)
    fall = 1 + rng.uniform(-0.35, 0.35) * (u - 0.5) + rng.uniform(-0.3, 0.2) * (v - 0.5)
    wall = (tone * fall[..., None]).astype(np.float32)
    match kind:
        case "wall":
            picture = (
                wall
                * (1 + 0.02 * canvas.noise(rng, (h, w), 3, 2) + 0.03 * canvas.noise(rng, (h, w), 70))[
                    ..., None
                ]
            )
        case "gradient":
            picture = _mixed(tone, _any(rng, 40, 235), ramp(u * rng.uniform(-0.6, 0.6) + v, -0.2, 1.2))
        case "brick":
            picture = _bricks(rng, w, h) * fall[..., None]
        case "shelf":
            picture = _shelf(rng, w, h)
        case "window":
            picture = _window(rng, wall * np.float32(0.7), w, h)
        case "foliage":
            leaves = ramp(canvas.noise(rng, (h, w), 22, 3), -0.8, 1.0)
            sun = 0.7 * ramp(canvas.noise(rng, (h, w), 9, 2), 0.9, 1.9)
            picture = _mixed(
                _mixed(linear(30, 52, 30), linear(84, 126, 58), leaves), linear(196, 214, 140), sun
            )
        case "bokeh":
            picture = _bokeh(rng, w, h)
        case _:
            picture = _office(rng, wall, w, h)
    return np.clip(enlarge(blur(picture, float(rng.uniform(*_FOCUS[kind]))), 2), 0, 1)


def _one(rng: np.random.Generator, colours: tuple[str, ...]) -> Floats:
    return linear(*bytes.fromhex(colours[int(rng.integers(len(colours)))]))


def _any(rng: np.random.Generator, low: int, high: int) -> Floats:
    return linear(*rng.integers(low, high, 3).tolist())


def _mixed(one: Floats, other: Floats, share: Floats) -> Floats:
    return np.asarray(one * (1 - share)[..., None] + other * share[..., None], np.float32)


def _block(
    picture: Floats, corner: tuple[int, int], size: tuple[int, int], colour: Floats, line: int = -1
) -> None:
    """Draw a rectangle, filled or its outline only."""
    end = corner[0] + size[0] - 1, corner[1] + size[1] - 1
    cv2.rectangle(picture, corner, end, [float(c) for c in colour], line)


def _bricks(rng: np.random.Generator, w: int, h: int) -> Floats:
    high = float(rng.uniform(11, 20))
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    row = np.floor(y / high)
    along = x + row % 2 * high * 1.2
    column = np.floor(along / (high * 2.4))
    palette = np.stack([linear(*c) for c in ((150, 82, 64), (166, 96, 74), (132, 72, 60), (176, 116, 92))])
    if rng.random() < 0.4:
        palette = np.repeat(np.linspace(0.5, 0.72, 4, dtype=np.float32)[:, None], 3, axis=1)
    bricks = palette[((row * 7 + column * 13 + row * column * 3) % 4).astype(int)]
    inside = (np.minimum(y % high, high - y % high) > 0.9) & (along % (high * 2.4) > 1.8)
    grain = 1 + 0.08 * canvas.noise(rng, (h, w), 4, 2)
    return np.asarray(
        np.where(inside[..., None], bricks, linear(196, 188, 178)) * grain[..., None], np.float32
    )


def _shelf(rng: np.random.Generator, w: int, h: int) -> Floats:
    picture = np.broadcast_to(linear(70, 50, 38), (h, w, 3)).copy()
    top = int(rng.integers(-30, 0))
    while top < h:
        tall, left = int(rng.integers(52, 72)), int(rng.integers(-8, 0))
        while left < w:
            wide, low = int(rng.integers(5, 15)), top + int(rng.integers(2, 14))
            if rng.random() > 0.1:
                colour = _any(rng, 40, 220)
                _block(picture, (left, low), (wide, top + tall - 5 - low), colour)
                _block(picture, (left, low + 8), (wide, 4), np.minimum(1.0, colour * 1.6 + 0.05))
            left += wide
        _block(picture, (0, top + tall - 6), (w + 1, 7), linear(120, 88, 62))
        top += tall
    return picture


def _window(rng: np.random.Generator, picture: Floats, w: int, h: int) -> Floats:
    left, top = int(rng.integers(-40, w // 2)), int(rng.integers(-40, 40))
    wide, tall = int(rng.integers(90, 150)), int(rng.integers(120, 190))
    down = np.linspace(0, 1, tall, dtype=np.float32)[:, None]
    green = ramp(down + 0.15 * canvas.noise(rng, (tall, wide), 20, 2), 0.6, 0.8)
    view = _mixed(_mixed(linear(198, 222, 244), linear(226, 232, 226), down), linear(120, 150, 110), green)
    x0, y0, x1, y1 = max(left, 0), max(top, 0), min(left + wide, w), min(top + tall, h)
    picture[y0:y1, x0:x1] = view[y0 - top : y1 - top, x0 - left : x1 - left]
    frame = linear(238, 236, 230)
    _block(picture, (left, top), (wide + 1, tall + 1), frame, 5)
    _block(picture, (left + wide // 2 - 1, top), (3, tall), frame)
    _block(picture, (left, top + tall // 2 - 1), (wide, 3), frame)
    return picture


def _bokeh(rng: np.random.Generator, w: int, h: int) -> Floats:
    picture = np.broadcast_to(_any(rng, 18, 80), (h, w, 3)).copy()
    for _ in range(int(rng.integers(14, 30))):
        disc = np.zeros((h, w), np.uint8)
        place, radius = (int(rng.integers(w)), int(rng.integers(h))), int(rng.integers(6, 22))
        cv2.circle(disc, place, radius, 255, -1, cv2.LINE_AA)
        picture += disc[..., None] * (_one(rng, _LAMPS) * np.float32(rng.uniform(0.12, 0.5) / 255))
    return picture


def _office(rng: np.random.Generator, picture: Floats, w: int, h: int) -> Floats:
    for _ in range(int(rng.integers(2, 5))):
        corner = int(rng.integers(-20, w)), int(rng.integers(-20, h))
        size, colour = (int(rng.integers(20, 90)), int(rng.integers(20, 110))), _any(rng, 60, 240)
        _block(picture, corner, size, colour)
        _block(picture, corner, size, colour * 0.5, 2)
    line = int(rng.integers(h // 2, h))
    _block(picture, (0, line), (w, h - line), _one(rng, _WALLS) * 0.7)
    return picture
