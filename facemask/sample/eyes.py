"""Eyes, brows and glasses, painted on the face."""

from __future__ import annotations

import numpy as np

from facemask.masks.raster import ramp, spot, wave
from facemask.sample import canvas
from facemask.sample.canvas import Canvas, Curve, Floats, Stencil, linear
from facemask.sample.face import Expression
from facemask.sample.identity import Identity

_INK = linear(26, 18, 17)


def _lids(who: Identity, side: int, mood: Expression) -> tuple[Curve, Curve]:
    """Return the upper and lower lid edge, each from the inner to the outer corner."""
    a, tilt = who.eye_size, who.eye_tilt
    up = who.eye_height * mood.lids
    low = who.eye_height * (0.62 - 0.22 * max(mood.smile, 0)) * min(1.0, 0.5 + 0.5 * mood.lids)
    upper = canvas.curve(
        (-a, -0.62 * a, -0.1 * a, 0.5 * a, a), (0.035, -0.55 * up, -up, -0.86 * up - 0.2 * tilt, -tilt)
    )
    lower = canvas.curve(
        (-a, -0.5 * a, 0.1 * a, 0.65 * a, a), (0.035, 0.75 * low + 0.015, low, 0.62 * low - 0.4 * tilt, -tilt)
    )
    place = np.asarray((side * who.eye_gap, 0.0))
    return upper * (side, 1.0) + place, lower * (side, 1.0) + place


def paint_eyes(surface: Canvas, who: Identity, mood: Expression, rng: np.random.Generator) -> None:
    """Paint both eyes."""
    lash_reach = rng.uniform(0.8, 1.2, 7)
    for side in (-1, 1):
        area = canvas.box(side * who.eye_gap - 0.36, -0.26, side * who.eye_gap + 0.36, 0.22)
        stencil = Stencil(area, 3)
        x, y = canvas.grid(area)
        upper, lower = _lids(who, side, mood)
        opening = stencil.fill(np.vstack([upper, lower[::-1]]))
        socket = spot(x - side * who.eye_gap, y + 0.07, 0.24, 0.075)
        surface.tint(area, 0.38 * socket, who.skin * (0.5, 0.38, 0.36))
        surface.tint(
            area, np.clip(1.2 * canvas.blur(opening, 0.02), 0, 1) * 0.35, who.skin * (0.55, 0.4, 0.38)
        )
        surface.tint(area, opening, linear(226, 220, 216), gloss=0.0)
        inner = spot(x - side * (who.eye_gap - who.eye_size * 0.95), y - 0.03, 0.04, 0.04)
        surface.tint(area, opening * inner * 0.8, linear(206, 138, 128))

        cx = side * who.eye_gap + mood.gaze[0]
        cy = mood.gaze[1] - 0.008
        radius = who.eye_height * 0.98 + 0.014
        far = np.sqrt((x - cx) ** 2 + (y - cy) ** 2)
        iris = ramp(far, radius + 0.006, radius - 0.006) * opening
        glow = ramp(y - cy, -0.2 * radius, 1.1 * radius)[..., None]
        rim = ramp(far, radius * 0.66, radius)[..., None]
        surface.tint(area, iris, who.iris * (0.75 + 0.9 * glow) * (1 - 0.65 * rim))
        surface.tint(area, ramp(far, radius * 0.5, radius * 0.42) * opening, linear(9, 7, 8))

        lid_shadow = stencil.strokes([upper], 0.07)
        surface.tint(area, canvas.blur(lid_shadow, 0.018) * opening * 0.62, _INK)
        self_glint = ramp(np.sqrt((x - cx + 0.3 * radius) ** 2 + (y - cy + 0.34 * radius) ** 2), 0.028, 0.014)
        small = ramp(np.sqrt((x - cx - 0.35 * radius) ** 2 + (y - cy - 0.4 * radius) ** 2), 0.02, 0.006)
        x0, y0, x1, y1 = area
        surface.glint[y0:y1, x0:x1] += opening * (0.8 * self_glint + 0.22 * small)

        thick = 0.018 + 0.02 * who.lashes
        swell = np.linspace(0.35, 1, len(upper))[:, None] * thick * np.asarray((side * 0.25, -1.0))
        line = stencil.fill(np.vstack([upper, (upper + swell)[::-1]]))
        surface.tint(area, 0.94 * line, _INK)
        surface.tint(area, 0.42 * stencil.strokes([lower], 0.014), who.skin * (0.35, 0.22, 0.2))
        if who.lashes > 0.45:
            flick = np.asarray([(0.0, 0.0), (side * 0.5, -0.55), (side, -1.0)])
            lashes = [
                upper[int(at * (len(upper) - 1))] + 0.065 * who.lashes * reach * at * flick
                for at, reach in zip(np.linspace(0.45, 0.98, 7), lash_reach, strict=True)
            ]
            surface.tint(area, 0.85 * stencil.strokes(lashes, 0.01), _INK)
        fold = upper + np.asarray((0.0, -1.0)) * (0.028 + 0.045 * who.crease)
        fold[:, 1] += 0.03 * who.bags * np.linspace(0, 1, len(fold))  # hooded with age
        surface.tint(
            area,
            canvas.blur(stencil.strokes([fold[2:]], 0.014), 0.006) * (0.35 + 0.4 * who.crease),
            who.skin * (0.3, 0.2, 0.19),
        )


def paint_brows(surface: Canvas, who: Identity, mood: Expression, rng: np.random.Generator) -> None:
    """Paint both brows, hair by hair; ``rng`` lays the hairs."""
    thick, arch = who.brow_thickness, who.brow_arch
    along, offset, length = rng.random((3, 46))
    for side in (-1, 1):
        area = canvas.box(side * who.eye_gap - 0.42, -0.56, side * who.eye_gap + 0.42, -0.06)
        stencil = Stencil(area, 3)
        heights = (
            np.asarray((-0.2, -0.235 - 0.4 * arch, -0.235 - arch, -0.17 - 0.3 * arch)) - 0.035 * mood.brows
        )
        spine = canvas.curve((-0.25, -0.1, 0.1, 0.27), heights)
        width = np.interp(np.linspace(0, 1, len(spine)), (0, 0.12, 0.6, 1), (0.7, 1, 0.75, 0.12)) * thick / 2
        edge = np.column_stack([np.zeros_like(width), width])
        turn, place = np.asarray((side, 1.0)), np.asarray((side * who.eye_gap, 0.0))
        body = np.vstack([spine - edge, (spine + edge)[::-1]]) * turn + place
        soft = canvas.blur(stencil.fill(body), 0.012)
        at = (along * (len(spine) - 1)).astype(int)
        roots = spine[at] + edge[at] * (1.8 * offset - 0.9)[:, None]
        lean = np.interp(along, (0, 0.4, 1), (0.3, 0.9, 1.0)) * (0.05 + 0.04 * length)
        rise = np.interp(along, (0, 0.5, 1), (-0.06, -0.025, 0.02))
        lines = np.stack([roots, roots + np.column_stack([lean, rise])], axis=1) * turn + place
        strands = stencil.strokes(list(lines), 0.009)
        cover = np.clip(0.72 * soft + 0.55 * strands, 0, 1) * who.brow_dark
        surface.tint(area, cover.astype(np.float32), who.brow_colour * 0.8, gloss=0.02)


def paint_glasses(surface: Canvas, who: Identity) -> None:
    """Paint a pair of glasses over the eyes: frame, shadow and a pale reflection."""
    area = canvas.box(-1.15, -0.4, 1.15, 0.55)
    stencil = Stencil(area, 2)
    lens = canvas.ring((0, 0), 1, 1)
    lens = lens * (0.335, 0.25) / np.sqrt(np.sqrt(np.maximum(np.abs(lens), 0.01)))
    lens = np.vstack([lens, lens[:1]]) + np.asarray((who.eye_gap + 0.01, 0.04))
    arm = np.asarray([(who.eye_gap + 0.34, -0.04), (who.width, -0.07)])
    lenses = [lens, lens * (-1, 1)]
    rims = [*lenses, arm, arm * (-1, 1), canvas.curve((-0.1, 0, 0.1), (0.0, -0.035, 0.0))]
    frame = stencil.strokes(rims, 0.032)
    shadow = canvas.blur(np.roll(frame, 4, axis=0), 0.02)
    surface.dim(area, np.clip(shadow, 0, 1), 0.3)
    surface.tint(area, 0.95 * frame, linear(30, 27, 28), gloss=0.5)
    x, y = canvas.grid(area)
    sheen: Floats = ramp(wave(5 * (x + 0.6 * y)), 0.8, 1.0) * stencil.fill(*lenses)
    x0, y0, x1, y1 = area
    surface.glint[y0:y1, x0:x1] += 0.05 * sheen
