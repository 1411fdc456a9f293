"""Neck, shoulders and clothes."""

from __future__ import annotations

import numpy as np

from facemask.sample import canvas
from facemask.sample.canvas import Canvas, Floats, Layer, Stencil
from facemask.sample.identity import Identity

AREA = canvas.box(-9, 0.5, 9, 9)


def layers(who: Identity, rng: np.random.Generator) -> list[Layer]:
    """Return the bare neck and the clothes over it; ``rng`` lays the folds."""
    x, y = canvas.grid(AREA)
    shape = (x.shape[0], x.shape[1])
    half = 0.47 if who.gender else 0.56
    reach = who.shoulders
    neck = canvas.spline(
        canvas.mirrored(
            [
                (0, 0.7),
                (half, 0.75),
                (half * 0.97, 1.35),
                (half * 1.06, 1.68),
                (0.86, 1.98),
                (1.0, 2.3),
                (0.7, 2.9),
                (0, 3.1),
            ]
        )
    )
    tube = np.sqrt(np.clip(1.02 - (x / (half * 1.25)) ** 2, 0.05, 1)) * 0.5 * canvas.ramp(y, 2.3, 1.5)
    cords = 0.02 * np.exp(-(((np.abs(x) - 0.42 + 0.2 * (y - 1.2)) / 0.06) ** 2)) * who.sag
    skin = np.broadcast_to(who.skin * np.asarray((0.96, 0.93, 0.92), np.float32), (*shape, 3))
    lines = Stencil(AREA, 1).strokes(
        [canvas.spline([(-0.45, 1.52 + d), (0, 1.6 + d), (0.45, 1.52 + d)], closed=False) for d in (0, 0.14)],
        0.012,
    )
    bare = Layer(
        AREA,
        Stencil(AREA, 1).fill(neck),
        skin * (1 - 0.25 * who.wrinkles * canvas.blur(lines, 0.012)[..., None]),
        canvas.slopes((tube + cords).astype(np.float32), 2.0),
        0.08,
        1.0,
    )

    top = {"executor": 1.86, "collar": 1.66, "vee": 1.8, "hood": 1.74, "turtle": 1.42}[who.clothes]
    side = {"executor": 0.66, "collar": 0.6, "vee": 0.68, "hood": 0.7, "turtle": 0.56}[who.clothes]
    dip = {"executor": 2.08, "collar": 2.3, "vee": 2.62, "hood": 2.05, "turtle": 1.5}[who.clothes]
    right = [
        (side, top),
        (side + 0.34, top + 0.14 if who.clothes != "turtle" else 1.86),
        (reach * 0.7, 2.12),
        (reach, 2.38),
        (reach + 0.28, 2.85),
        (reach + 0.45, 4.2),
    ]
    neckline = canvas.spline(
        [
            (-side, top),
            (-side * 0.75, (top + dip) / 2 + 0.06),
            (0, dip),
            (side * 0.75, (top + dip) / 2 + 0.06),
            (side, top),
        ],
        closed=False,
    )
    flank = canvas.spline(right, closed=False)
    cloth = np.vstack([neckline, flank, (flank * (-1, 1))[::-1]])
    alpha = Stencil(AREA, 2).fill(cloth)
    folds = 0.05 * canvas.noise(rng, shape, 60, 2) + 0.015 * canvas.noise(rng, shape, 14)
    chest = 0.7 * np.sqrt(np.clip(1 - (x / (reach + 0.5)) ** 2, 0.02, 1)) + 0.35 * canvas.ramp(
        y, top, top + 0.9
    )
    z = canvas.blur((chest + 0.5 * folds).astype(np.float32), 0.02)
    rim = canvas.blur(Stencil(AREA, 1).strokes([neckline], 0.07), 0.012)
    weave = 1 + 0.04 * canvas.noise(rng, shape, 1.4)
    colour = np.broadcast_to(who.cloth, (*shape, 3)) * weave[..., None]
    pattern = rng.random()
    if pattern < 0.18:
        stripes = canvas.ramp(np.sin(y * 2 * np.pi / 0.26 + 0.4 * np.cos(x)), 0.2, 0.5)[..., None]
        colour = colour * (1 - stripes) + stripes * who.cloth_second
    elif pattern < 0.3:
        check = (0.5 * (np.sin(x * 20) > 0.3) + 0.5 * (np.sin(y * 20) > 0.3)).astype(np.float32)[
            ..., None
        ] * 0.6
        colour = colour * (1 - check) + check * who.cloth_second
    if who.clothes == "turtle":
        colour = (
            colour
            * (1 - 0.15 * canvas.ramp(np.sin(x * 60), -0.4, 0.6) * canvas.ramp(y, 1.95, 1.85))[..., None]
        )
    colour = colour * (1 - 0.18 * rim[..., None])
    dressed = Layer(
        AREA,
        alpha,
        colour.astype(np.float32),
        canvas.slopes((z + 0.03 * rim).astype(np.float32), 2.0),
        0.04,
        0.0,
    )
    out = [bare, dressed]
    if who.clothes == "collar":
        out.append(_collar(who, side, top))
    return out


def _collar(who: Identity, side: float, top: float) -> Layer:
    """Return the two wings of a shirt collar, with an edge seam each."""
    wing = np.asarray(
        [
            (side * 0.8, top - 0.16),
            (side * 1.02, top - 0.06),
            (side + 0.16, top + 0.24),
            (side + 0.02, top + 0.62),
            (side * 0.62, top + 0.5),
            (0.05, 2.32),
            (side * 0.5, 1.98),
        ]
    )
    stencil = Stencil(AREA, 2)
    shape = stencil.fill(wing, wing * (-1, 1))
    seam = stencil.strokes([wing[2:6], wing[2:6] * (-1, 1)], 0.02)
    z: Floats = 0.16 * canvas.blur(shape, 0.05) - 0.02 * canvas.blur(seam, 0.02)
    colour = np.clip(who.cloth * 1.05 + 0.01, 0, 1) * (1 - 0.25 * seam[..., None])
    return Layer(AREA, shape, colour.astype(np.float32), canvas.slopes(z, 2.0), 0.04)


def shadow_under_chin(surface: Canvas, head: Floats, head_area: canvas.Box) -> None:
    """Darken neck and chest below the head; ``head`` is the head's cover over ``head_area``."""
    whole = np.zeros((canvas.HEIGHT, canvas.WIDTH), np.float32)
    x0, y0, x1, y1 = head_area
    whole[y0:y1, x0:x1] = head
    near = canvas.blur(np.roll(whole, int(0.17 * canvas.SCALE), axis=0), 0.09)
    x0, y0, x1, y1 = AREA
    surface.dim(AREA, near[y0:y1, x0:x1], 0.66)
