"""Nostrils and lips, painted on the face."""

from __future__ import annotations

import numpy as np

from facemask.masks.raster import ramp, spot
from facemask.sample import canvas
from facemask.sample.canvas import Canvas, Stencil, linear
from facemask.sample.face import Expression
from facemask.sample.identity import Identity

_AREA = canvas.box(-0.62, 0.3, 0.62, 1.3)


def paint_nose(surface: Canvas, who: Identity) -> None:
    """Paint nostrils, the wings' edges and the shadow under the tip."""
    stencil = Stencil(_AREA, 2)
    base, wide = who.nose_base, who.nose_width
    holes, wings = [], []
    for side in (-1, 1):
        hole = canvas.closed((0.05, 0.1, 0.155, 0.12), (0.0, -0.028, -0.008, 0.014))
        holes.append(hole * (side * wide / 0.24, 1) + np.asarray((0, base - 0.012)))
        wings.append(
            canvas.curve(
                (side * wide * 0.93, side * wide * 1.06, side * wide * 0.9, side * wide * 0.66),
                (base - 0.15, base - 0.07, base - 0.005, base + 0.005),
            )
        )
    x, y = canvas.grid(_AREA)
    under = spot(x, y - base - 0.03, wide * 0.95, 0.055)
    surface.dim(_AREA, under, 0.36)
    surface.tint(
        _AREA, 0.55 * canvas.blur(stencil.strokes(wings, 0.02), 0.012), who.skin * (0.36, 0.22, 0.19)
    )
    surface.tint(_AREA, 0.85 * canvas.blur(stencil.fill(*holes), 0.007), who.skin * (0.13, 0.07, 0.06))


def paint_lips(surface: Canvas, who: Identity, mood: Expression) -> None:
    """Paint lips, the line between them, and teeth when they part."""
    stencil = Stencil(_AREA, 2)
    smile, wide = mood.smile, who.mouth_width * (1 + 0.16 * mood.smile)
    up, low, y0 = who.lip_upper * (1 - 0.25 * max(smile, 0)), who.lip_lower, 0.93
    corner, part = y0 - 0.012 - 0.085 * smile, 0.1 * mood.lips
    seam_up = canvas.curve(
        (-wide, -wide * 0.5, 0, wide * 0.5, wide),
        (corner, y0 - 0.012 - 0.012 * smile, y0 + 0.012, y0 - 0.012 - 0.012 * smile, corner),
    )
    sink = part * np.clip(1 - (seam_up[:, :1] / wide) ** 2, 0, 1)
    seam_low = seam_up + sink * (0, 1)
    top = canvas.curve(
        (-wide, -wide * 0.5, -0.085, 0, 0.085, wide * 0.5, wide),
        (corner, y0 - up * 0.72, y0 - up, y0 - up * 0.8, y0 - up, y0 - up * 0.72, corner),
    )
    bottom = canvas.curve(
        (-wide, -wide * 0.55, 0, wide * 0.55, wide),
        (corner, y0 + part + low * 0.72, y0 + part + low, y0 + part + low * 0.72, corner),
    )
    upper = stencil.fill(np.vstack([top, seam_up[::-1]]))
    lower = stencil.fill(np.vstack([seam_low, bottom[::-1]]))
    x, y = canvas.grid(_AREA)
    surface.dim(
        _AREA,
        spot(x, y - y0 - part - low - 0.05, wide * 0.7, 0.045),
        0.22,
    )
    if part > 0.004:
        gap = stencil.fill(np.vstack([seam_up, seam_low[::-1]]))
        surface.tint(_AREA, gap, linear(58, 22, 22))
        teeth = gap * ramp(y, y0 + 0.012 + 0.75 * part, y0 + 0.5 * part)
        surface.tint(_AREA, teeth * ramp(np.abs(x), wide * 0.9, wide * 0.5), linear(226, 220, 208), gloss=0.4)
    surface.tint(_AREA, 0.92 * canvas.blur(upper, 0.007), who.lip_colour * (0.72, 0.66, 0.66), gloss=0.15)
    fullness = ramp(y, y0 + part, y0 + part + 0.5 * low)[..., None]
    surface.tint(
        _AREA, 0.9 * canvas.blur(lower, 0.007), who.lip_colour * (0.85 + 0.25 * fullness), gloss=0.35
    )
    line = stencil.strokes([seam_up], 0.016)
    surface.tint(
        _AREA,
        0.8 * canvas.blur(line, 0.006) * (1 - 0.5 * min(1.0, 12 * part)),
        who.lip_colour * (0.22, 0.14, 0.14),
    )
    ends = spot(np.abs(x) - wide, y - corner, 0.035, 0.03)
    surface.dim(_AREA, ends, 0.45)
