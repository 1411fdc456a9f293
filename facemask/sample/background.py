"""What is behind a person: rooms, walls, streets and leaves, out of focus."""

from __future__ import annotations

import cv2
import numpy as np

from facemask.masks import raster
from facemask.masks.raster import enlarge, ramp
from facemask.sample import canvas
from facemask.sample.canvas import Floats, linear

KINDS = ("wall", "gradient", "brick", "shelf", "window", "foliage", "bokeh", "office")
_WALLS = (
    (226, 222, 214),
    (198, 206, 212),
    (236, 232, 224),
    (176, 186, 178),
    (212, 196, 180),
    (120, 130, 142),
    (190, 200, 216),
    (88, 92, 98),
)


def draw(rng: np.random.Generator, kind: str, width: int, height: int) -> Floats:
    """Return a background (height, width, 3) of one of KINDS in linear light, drawn at half size."""
    w, h = width // 2, height // 2
    y, x = np.mgrid[0:h, 0:w].astype(np.float32)
    u, v = x / w, y / h
    tone = linear(*_WALLS[int(rng.integers(len(_WALLS)))])
    side = np.float32(rng.uniform(-0.35, 0.35))
    fall = 1 + side * (u - 0.5) + np.float32(rng.uniform(-0.3, 0.2)) * (v - 0.5)
    picture = np.broadcast_to(tone, (h, w, 3)) * fall[..., None]
    blur = rng.uniform(0.4, 2.2)
    if kind == "wall":
        picture = (
            picture
            * (1 + 0.02 * canvas.noise(rng, (h, w), 3, 2) + 0.03 * canvas.noise(rng, (h, w), 70))[..., None]
        )
    elif kind == "gradient":
        other = linear(*(int(c) for c in rng.integers(40, 235, 3)))
        t = ramp(u * float(rng.uniform(-0.6, 0.6)) + v, -0.2, 1.2)[..., None]
        picture = tone * (1 - t) + other * t
    elif kind == "brick":
        picture = _bricks(rng, x, y) * fall[..., None]
    elif kind == "shelf":
        picture, blur = _shelf(rng, w, h), rng.uniform(1.0, 3.0)
    elif kind == "window":
        picture, blur = _window(rng, picture, w, h), rng.uniform(1.0, 3.0)
    elif kind == "foliage":
        picture, blur = _foliage(rng, w, h), rng.uniform(1.5, 3.5)
    elif kind == "bokeh":
        picture, blur = _bokeh(rng, w, h), 1.0
    else:
        picture, blur = _office(rng, picture, w, h), rng.uniform(1.2, 3.0)
    return np.clip(enlarge(raster.blur(picture, float(blur)), 2), 0, 1)


def _bricks(rng: np.random.Generator, x: Floats, y: Floats) -> Floats:
    high = float(rng.uniform(11, 20))
    wide = high * 2.4
    row = np.floor(y / high)
    column = np.floor((x + row % 2 * wide / 2) / wide)
    palette = np.stack([linear(*c) for c in ((150, 82, 64), (166, 96, 74), (132, 72, 60), (176, 116, 92))])
    if rng.random() < 0.4:
        palette = palette * 0 + np.linspace(0.5, 0.72, 4, dtype=np.float32)[:, None]
    pick = ((row * 7 + column * 13 + row * column * 3) % 4).astype(int)
    inside = (np.minimum(y % high, high - y % high) > 0.9) & (
        np.minimum((x + row % 2 * wide / 2) % wide, wide) > 1.8
    )
    grain = 1 + 0.08 * canvas.noise(rng, (x.shape[0], x.shape[1]), 4, 2)
    return np.asarray(
        np.where(inside[..., None], palette[pick], linear(196, 188, 178)) * grain[..., None], np.float32
    )


def _shelf(rng: np.random.Generator, w: int, h: int) -> Floats:
    picture = np.empty((h, w, 3), np.float32)
    picture[:] = linear(70, 50, 38)
    top = int(rng.integers(-30, 0))
    while top < h:
        tall = int(rng.integers(52, 72))
        left = int(rng.integers(-8, 0))
        while left < w:
            wide = int(rng.integers(5, 15))
            if rng.random() > 0.1:
                colour = linear(*(int(c) for c in rng.integers(40, 220, 3)))
                shape = int(rng.integers(2, 14))
                cv2.rectangle(
                    picture,
                    (left, top + shape),
                    (left + wide - 1, top + tall - 6),
                    [float(c) for c in colour],
                    -1,
                )
                cv2.rectangle(
                    picture,
                    (left, top + shape + 8),
                    (left + wide - 1, top + shape + 11),
                    [float(min(1.0, c * 1.6 + 0.05)) for c in colour],
                    -1,
                )
            left += wide
        cv2.rectangle(
            picture, (0, top + tall - 6), (w, top + tall), [float(c) for c in linear(120, 88, 62)], -1
        )
        top += tall
    return picture


def _window(rng: np.random.Generator, wall: Floats, w: int, h: int) -> Floats:
    picture = np.array(wall * 0.7, np.float32)
    left, top = int(rng.integers(-40, w // 2)), int(rng.integers(-40, 40))
    wide, tall = int(rng.integers(90, 150)), int(rng.integers(120, 190))
    v = np.linspace(0, 1, tall, dtype=np.float32)[:, None, None]
    view = (linear(198, 222, 244) * (1 - v) + linear(226, 232, 226) * v) * np.ones((1, wide, 1), np.float32)
    green = ramp(v[..., 0] + 0.15 * canvas.noise(rng, (tall, wide), 20, 2), 0.6, 0.8)[..., None]
    view = view * (1 - green) + linear(120, 150, 110) * green
    x0, y0 = max(left, 0), max(top, 0)
    x1, y1 = min(left + wide, w), min(top + tall, h)
    picture[y0:y1, x0:x1] = view[y0 - top : y1 - top, x0 - left : x1 - left]
    frame = [float(c) for c in linear(238, 236, 230)]
    cv2.rectangle(picture, (left, top), (left + wide, top + tall), frame, 5)
    cv2.line(picture, (left + wide // 2, top), (left + wide // 2, top + tall), frame, 3)
    cv2.line(picture, (left, top + tall // 2), (left + wide, top + tall // 2), frame, 3)
    return picture


def _foliage(rng: np.random.Generator, w: int, h: int) -> Floats:
    deep, leaf, sun = linear(30, 52, 30), linear(84, 126, 58), linear(196, 214, 140)
    a = ramp(canvas.noise(rng, (h, w), 22, 3), -0.8, 1.0)[..., None]
    b = ramp(canvas.noise(rng, (h, w), 9, 2), 0.9, 1.9)[..., None]
    return np.asarray((deep * (1 - a) + leaf * a) * (1 - 0.7 * b) + sun * 0.7 * b, np.float32)


def _bokeh(rng: np.random.Generator, w: int, h: int) -> Floats:
    base = linear(*(int(c) for c in rng.integers(18, 80, 3)))
    picture = np.empty((h, w, 3), np.float32)
    picture[:] = base
    for _ in range(int(rng.integers(14, 30))):
        disc = np.zeros((h, w), np.uint8)
        cv2.circle(
            disc, (int(rng.integers(w)), int(rng.integers(h))), int(rng.integers(6, 22)), 255, -1, cv2.LINE_AA
        )
        hue = linear(
            *(
                int(c)
                for c in rng.choice(
                    ((250, 214, 150), (240, 160, 110), (170, 200, 250), (240, 240, 230), (230, 120, 120))
                )
            )
        )
        picture += (disc.astype(np.float32) / 255 * np.float32(rng.uniform(0.12, 0.5)))[..., None] * hue
    return picture


def _office(rng: np.random.Generator, wall: Floats, w: int, h: int) -> Floats:
    picture = np.array(wall, np.float32)
    for _ in range(int(rng.integers(2, 5))):
        x0, y0 = int(rng.integers(-20, w)), int(rng.integers(-20, h))
        size = (int(rng.integers(20, 90)), int(rng.integers(20, 110)))
        colour = [float(c) for c in linear(*(int(c) for c in rng.integers(60, 240, 3)))]
        cv2.rectangle(picture, (x0, y0), (x0 + size[0], y0 + size[1]), colour, -1)
        cv2.rectangle(picture, (x0, y0), (x0 + size[0], y0 + size[1]), [c * 0.5 for c in colour], 2)
    line = int(rng.integers(h // 2, h))
    cv2.rectangle(
        picture,
        (0, line),
        (w, h),
        [float(c) for c in linear(*_WALLS[int(rng.integers(len(_WALLS)))]) * 0.7],
        -1,
    )
    return picture
