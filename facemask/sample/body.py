"""Neck, shoulders and clothes."""

from __future__ import annotations

import numpy as np

from facemask.masks.raster import bell, ramp, wave
from facemask.sample import canvas
from facemask.sample.canvas import Canvas, Floats, Layer, Stencil
from facemask.sample.identity import Identity

AREA = canvas.box(-9, 0.5, 9, 9)


# Heights of the neckline at the side and in the middle, and its half-width at the side.
_NECKLINES = {
    "tee": (1.86, 2.08, 0.66),
    "collar": (1.66, 2.3, 0.6),
    "vee": (1.8, 2.62, 0.68),
    "hood": (1.74, 2.05, 0.7),
    "turtle": (1.42, 1.5, 0.56),
}


def layers(who: Identity, rng: np.random.Generator) -> list[Layer]:
    """Return the bare neck, the clothes over it and the collar, if any; ``rng`` lays the folds."""
    clothes = [_neck(who), _dressed(who, rng)]
    return [*clothes, _collar(who)] if who.clothes == "collar" else clothes


def _neck(who: Identity) -> Layer:
    x, y = canvas.grid(AREA)
    half, stencil = 0.47 if who.gender else 0.56, Stencil(AREA, 1)
    xs, ys = (half, half * 0.97, half * 1.06, 0.86, 1.0, 0.7), (0.75, 1.35, 1.68, 1.98, 2.3, 2.9)
    alpha = stencil.fill(canvas.both((0, *xs, 0), (0.7, *ys, 3.1)))
    tube = np.sqrt(np.clip(1.02 - (x / (half * 1.25)) ** 2, 0.05, 1)) * 0.5 * ramp(y, 2.3, 1.5)
    cords = 0.02 * bell(((np.abs(x) - 0.42 + 0.2 * (y - 1.2)) / 0.06) ** 2) * who.sag
    rings = [canvas.curve((-0.45, 0, 0.45), (1.52 + d, 1.6 + d, 1.52 + d)) for d in (0, 0.14)]
    lines = canvas.blur(stencil.strokes(rings, 0.012), 0.012)[..., None]
    skin = who.skin * np.asarray((0.96, 0.93, 0.92), np.float32) * (1 - 0.25 * who.wrinkles * lines)
    return Layer(AREA, alpha, skin.astype(np.float32), canvas.slopes(tube + cords, 2.0), 0.08, 1.0)


def _dressed(who: Identity, rng: np.random.Generator) -> Layer:
    x, y = canvas.grid(AREA)
    shape, reach = (x.shape[0], x.shape[1]), who.shoulders
    top, dip, side = _NECKLINES[who.clothes]
    slant = (top + dip) / 2 + 0.06
    neckline = canvas.curve((-side, -side * 0.75, 0, side * 0.75, side), (top, slant, dip, slant, top))
    flank = canvas.curve(
        (side, side + 0.34, reach * 0.7, reach, reach + 0.28, reach + 0.45),
        (top, 1.86 if who.clothes == "turtle" else top + 0.14, 2.12, 2.38, 2.85, 4.2),
    )
    alpha = Stencil(AREA, 2).fill(np.vstack([neckline, flank, (flank * (-1, 1))[::-1]]))
    folds = 0.05 * canvas.noise(rng, shape, 60, 2) + 0.015 * canvas.noise(rng, shape, 14)
    chest = 0.7 * np.sqrt(np.clip(1 - (x / (reach + 0.5)) ** 2, 0.02, 1)) + 0.35 * ramp(y, top, top + 0.9)
    rim = canvas.blur(Stencil(AREA, 1).strokes([neckline], 0.07), 0.012)
    slope = canvas.slopes(canvas.blur(chest + 0.5 * folds, 0.02) + 0.03 * rim, 2.0)
    pattern, second = rng.random(), np.zeros_like(x)
    if pattern < 0.18:
        second = ramp(wave(y * 24.2 + 0.4 * wave(x + 1.6)), 0.2, 0.5)
    elif pattern < 0.3:
        second = np.float32(0.3) * ((wave(x * 20) > 0.3).astype(np.float32) + (wave(y * 20) > 0.3))
    dark = 0.18 * rim - 0.04 * canvas.noise(rng, shape, 1.4)
    if who.clothes == "turtle":
        dark = dark + 0.15 * ramp(wave(x * 60), -0.4, 0.6) * ramp(y, 1.95, 1.85)
    colour = who.cloth * (1 - second)[..., None] + who.cloth_second * second[..., None]
    return Layer(AREA, alpha, (colour * (1 - dark)[..., None]).astype(np.float32), slope, 0.04)


def _collar(who: Identity) -> Layer:
    """Return the two wings of a shirt collar, with an edge seam each."""
    top, _, side = _NECKLINES["collar"]
    xs = (side * 0.8, side * 1.02, side + 0.16, side + 0.02, side * 0.62, 0.05, side * 0.5)
    ys = (top - 0.16, top - 0.06, top + 0.24, top + 0.62, top + 0.5, 2.32, 1.98)
    wing, stencil = np.column_stack([xs, ys]), Stencil(AREA, 2)
    shape = stencil.fill(wing, wing * (-1, 1))
    seam = stencil.strokes([wing[2:6], wing[2:6] * (-1, 1)], 0.02)
    slope = canvas.slopes(0.16 * canvas.blur(shape, 0.05) - 0.02 * canvas.blur(seam, 0.02), 2.0)
    colour = np.clip(who.cloth * 1.05 + 0.01, 0, 1) * (1 - 0.25 * seam[..., None])
    return Layer(AREA, shape, colour.astype(np.float32), slope, 0.04)


def shadow_under_chin(surface: Canvas, head: Floats, head_area: canvas.Box) -> None:
    """Darken neck and chest below the head; ``head`` is the head's cover over ``head_area``."""
    whole = np.zeros((canvas.HEIGHT, canvas.WIDTH), np.float32)
    x0, y0, x1, y1 = head_area
    whole[y0:y1, x0:x1] = head
    near = canvas.blur(np.roll(whole, int(0.17 * canvas.SCALE), axis=0), 0.09)
    x0, y0, x1, y1 = AREA
    surface.dim(AREA, near[y0:y1, x0:x1], 0.66)
