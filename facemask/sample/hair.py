"""Hair: what hangs behind the head and what lies on it, strand by strand."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from facemask.masks.raster import bell, normal, pick, ramp, spot, stretch, wave
from facemask.sample import canvas, hairstyle, identity
from facemask.sample.canvas import Floats, Layer, Stencil, linear
from facemask.sample.identity import Identity

AREA = canvas.box(-1.9, -2.05, 1.9, 3.4)


@dataclass(frozen=True)
class Hair:
    """``behind`` goes under neck and head (None when nothing hangs there), ``front`` over the face."""

    behind: Layer | None
    front: Layer


def _strands(who: Identity, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Return two textures (h, w) of about unit deviation: tone and grey, both constant along a strand."""
    x, y = canvas.grid(AREA)
    top = -1.5 - 0.22 * who.volume
    fall = np.clip((y - top) / 1.75, 0.0, 1)
    outer = 0.16 + 1.08 * np.sqrt(np.clip(1 - (1 - fall) ** 2, 0, 1))
    waves = 0.05 * wave(3.2 * y + 2 * np.sign(x)) * ramp(y, -0.2, 1.0)
    u = (x - who.part * ramp(y, 0.3, -1.3) + waves) / outer
    columns, rows = 300, 12
    fine, other = normal(rng, (2, rows, columns))
    broad = stretch(normal(rng, (rows, columns // 7)), (rows, columns))
    tone, white = 0.65 * fine + 0.8 * broad, other + 0.6 * broad
    map_u = ((u * 0.33 + 0.5) * columns).astype(np.float32)
    map_v = ((y + 2.05) * 0.9).astype(np.float32)
    sheets = [pick(sheet, map_u, map_v, cv2.BORDER_REFLECT_101) for sheet in (tone, white)]
    if who.hair_style == identity.PERM:
        curls = canvas.noise(rng, (x.shape[0], x.shape[1]), 15, 2)
        sheets[0] = 0.5 * sheets[0] + 0.9 * curls
    if who.hair_style == identity.CROP:
        sheets[0] = 0.5 * sheets[0] + 0.8 * canvas.noise(rng, (x.shape[0], x.shape[1]), 2.2)
    return sheets[0], sheets[1]


def _colour(who: Identity, tone: Floats, white: Floats, lit: Floats) -> Floats:
    grey = np.clip(0.5 + (white * 0.33 + (who.grey - 0.5) * 1.75), 0, 1)[..., None]
    if who.grey < 0.02:
        grey = grey * 0
    pale = linear(212, 211, 210) * (1 + 0.12 * tone[..., None])
    dark = who.hair_colour * np.clip(1 + 0.42 * tone, 0.3, 2.4)[..., None] + 0.006
    shine = np.clip(0.75 + 0.45 * tone, 0, 2) * lit
    mixed = dark * (1 - grey) + pale * grey
    mixed = mixed + shine[..., None] * (0.10 * mixed + 0.045)
    return np.asarray(np.clip(mixed, 0, 1), np.float32)


def _cover(who: Identity, shape: hairstyle.Cut, tone: Floats, rng: np.random.Generator) -> Floats:
    """Return how much of each pixel is hair in front of the face, (h, w) in 0..1."""
    x, y = canvas.grid(AREA)
    stencil = Stencil(AREA, 2)
    mass, opening = stencil.fill(*shape.outer), stencil.fill(shape.window)
    low_fringe = who.hair_style in hairstyle.LOW_FRINGE
    soft = canvas.blur(opening, 0.015 if low_fringe else 0.045)
    bare = ramp(soft + 0.1 * tone * canvas.blur(opening, 0.06), 0.3, 0.75)
    near = canvas.blur(mass, 0.02)
    alpha = ramp(near + 0.13 * tone * near, 0.32, 0.62) * (1 - bare)
    frayed = stencil.strokes(hairstyle.frays(who, shape, rng), 0.008) * (0.75 if low_fringe else 0.5)
    alpha = np.maximum(alpha, frayed * ramp(canvas.blur(mass, 0.05), 0.2, 0.5))
    if who.hair_style == identity.RECEDING:
        thin = spot(x, y + 1.12, 0.62, 0.3) * (0.35 + 0.4 * who.wrinkles)
        alpha = alpha * np.clip(1 - thin * ramp(tone, 0.9, -0.9), 0, 1)
    if who.hair_style == identity.CROP:
        fade = ramp(np.abs(x) - 0.25 * (y + 0.6), 1.06, 0.8) + ramp(y, -0.35, -0.75)
        alpha = alpha * np.clip(0.72 + 0.4 * fade, 0, 1)
    return np.asarray(alpha, np.float32)


def _behind(who: Identity, end: float) -> tuple[Floats, float] | None:
    """Return cover and brightness of the hair behind neck and head, or None."""
    stencil = Stencil(AREA, 2)
    if who.hair_style == identity.PERM:
        return stencil.fill(canvas.both((0, 1.0, 1.15, 1.0, 0.7, 0), (-1.3, -0.8, 0, 0.62, 0.85, 0.9))), 0.5
    if end > 0.8:
        ys = (-1.3, -1, 0, end - 0.3, end, end - 0.02)
        return stencil.fill(canvas.both((0, 0.9, 1.02, 1.06, 0.85, 0), ys)), 0.5
    if who.hair_style == identity.TIED and who.hair_length <= 0.5:
        tail = canvas.closed((0.3, 0.8, 0.95, 0.8, 0.55, 0.42), (0.6, 0.8, 1.5, 2.3, 2.5, 1.6))
        return stencil.fill(tail), 0.75
    return None


def build(who: Identity, rng: np.random.Generator) -> Hair:
    """Return a person's hair; ``rng`` lays the strands."""
    x, y = canvas.grid(AREA)
    tone, white = _strands(who, rng)
    shape = hairstyle.cut(who, rng)
    alpha = _cover(who, shape, tone, rng)
    over = np.clip((0.1 - y) / 1.95, 0, 1)
    wide = np.abs(x / 1.36)
    dome = 1.05 * np.sqrt(np.clip(1 - wide**2 * np.sqrt(wide), 0.03, 1))
    dome = dome * np.sqrt(np.clip(1 - over**2 * np.sqrt(over), 0.03, 1))
    gx, gy = canvas.slopes((dome + 0.14 * canvas.blur(alpha, 0.07)).astype(np.float32), 2.5)
    curly = who.hair_style == identity.PERM
    sx, sy = canvas.slopes((tone * (0.05 if curly else 0.012)).astype(np.float32), 1.1)
    ring = bell(((y + 1.12 - 0.28 * x**2 + 0.05 * tone) / 0.13) ** 2)
    if shape.end > 0.8:
        ring = ring + 0.35 * bell(((y - 0.5 + 0.06 * tone) / 0.3) ** 2)
    colour = _colour(who, tone, white, (ring * (0.5 if curly else 1.0)).astype(np.float32))
    front = Layer(AREA, alpha, colour, (gx + sx, gy + sy), 0.12)
    back = _behind(who, shape.end)
    if back is None:
        return Hair(None, front)
    cover, bright = back
    return Hair(Layer(AREA, cover, colour * np.float32(bright), (gx * 0.4 + sx, sy), 0.05), front)
