"""Haircuts: outlines of the hair, the window it leaves for the face, and its frayed edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facemask.sample import canvas, identity
from facemask.sample.face import Curve
from facemask.sample.identity import Identity

LOW_FRINGE = (identity.FRINGE, identity.BANGS, identity.PIXIE)
_SHORT = (identity.SHORT, identity.CROP, identity.RECEDING, identity.FRINGE, identity.PIXIE)
Points = list[tuple[float, float]]


@dataclass(frozen=True)
class Cut:
    """The union of ``outer`` outlines less ``window``; ``end`` is where it ends below, in face units."""

    outer: list[Curve]
    window: Curve
    end: float


def cut(who: Identity, rng: np.random.Generator) -> Cut:
    """Return the haircut of ``who``; ``rng`` lays the curls of a perm."""
    if who.hair_style in _SHORT:
        return _short(who)
    if who.hair_style == identity.TIED:
        return _tied(who)
    if who.hair_style == identity.PERM:
        return _perm(who, rng)
    return _hanging(who)


def _both(points: Points) -> Curve:
    return canvas.spline(canvas.mirrored(points))


def _top(who: Identity) -> float:
    return -1.5 - 0.17 * who.volume


def _short(who: Identity) -> Cut:
    style, line, w = who.hair_style, who.hairline, who.width
    wide = 1.0 + 0.09 * who.volume
    top = _top(who) + (0.13 if style == identity.CROP else 0.0)
    snug = 0.0 if style in (identity.CROP, identity.RECEDING) else 0.05
    burn = 0.22 if who.gender == identity.MALE else 0.12
    outer = _both(
        [
            (0, top),
            (0.5, top + 0.07),
            (0.88, -1.18),
            (wide + snug, -0.72),
            (1.05 * w + snug, -0.28),
            (1.0 * w, 0.02),
            (0.95 * w, burn),
            (0.86 * w, burn - 0.05),
            (0.6, -0.2),
            (0, -0.3),
        ]
    )
    inner = 0.875 * w
    if style in LOW_FRINGE:
        brow = -0.42 if style == identity.FRINGE else -0.5
        window = [
            (inner, 0.6),
            (inner, -0.1),
            (0.84, -0.36),
            (0.55, brow + 0.03),
            (0.15, brow),
            (-0.2, brow - 0.03),
            (-0.55, brow + 0.02),
            (-0.84, -0.34),
            (-inner, -0.1),
            (-inner, 0.6),
        ]
    else:
        back = 0.26 if style == identity.RECEDING else 0.03
        sweep = float(0.1 * np.sign(who.part or 1)) if style == identity.SHORT else 0.0
        temple = line + 0.1 - back * 0.8
        window = [
            (inner, 0.6),
            (inner, -0.2),
            (0.83, -0.5),
            (0.7, temple + sweep),
            (0.45, line - back + 0.06),
            (0.0, line + 0.02 - 0.15 * back),
            (-0.45, line - back + 0.06),
            (-0.7, temple - sweep),
            (-0.83, -0.5),
            (-inner, -0.2),
            (-inner, 0.6),
        ]
    return Cut([outer], canvas.spline(window), 0.3)


def _tied(who: Identity) -> Cut:
    top, line, w, part = _top(who), who.hairline, who.width, who.part
    shapes = [
        _both(
            [
                (0, top + 0.08),
                (0.5, top + 0.14),
                (0.9, -1.14),
                (1.04 * w, -0.6),
                (1.03 * w, -0.2),
                (0.98 * w, 0.05),
                (0.9 * w, 0.1),
                (0.6, -0.2),
                (0, -0.3),
            ]
        )
    ]
    if who.hair_length > 0.5:
        t = np.linspace(0, 2 * np.pi, 40)
        shapes.append(np.stack([0.1 * part + 0.4 * np.cos(t), top - 0.02 + 0.3 * np.sin(t)], axis=1))
    window = [
        (0.9 * w, 0.6),
        (0.9 * w, -0.15),
        (0.83, -0.5),
        (0.62, line + 0.12),
        (0.3, line),
        (part * 0.6, line - 0.03),
        (-0.3, line),
        (-0.62, line + 0.12),
        (-0.83, -0.5),
        (-0.9 * w, -0.15),
        (-0.9 * w, 0.6),
    ]
    return Cut(shapes, canvas.spline(window), 0.4)


def _perm(who: Identity, rng: np.random.Generator) -> Cut:
    line, w, full = who.hairline, who.width, who.volume
    t = np.linspace(0, 2 * np.pi, 110)
    bumps = 0.05 * np.abs(np.sin(t * 9 + rng.uniform(0, 3))) + 0.03 * np.abs(
        np.sin(t * 5 + rng.uniform(0, 3))
    )
    radii = 1.2 * (0.94 + 0.06 * full) + bumps, 1.12 * (0.93 + 0.07 * full) + bumps
    outer = np.stack([radii[0] * np.cos(t), -0.5 + radii[1] * np.sin(t)], axis=1)
    window = [
        (0.9 * w, 0.9),
        (0.91 * w, 0.1),
        (0.86, -0.3),
        (0.66, -0.66),
        (0.25, line + 0.2),
        (-0.25, line + 0.17),
        (-0.66, -0.62),
        (-0.86, -0.3),
        (-0.91 * w, 0.1),
        (-0.9 * w, 0.9),
    ]
    return Cut([outer], canvas.spline(window), 0.7)


def _hanging(who: Identity) -> Cut:
    style, line, w, part = who.hair_style, who.hairline, who.width, who.part
    top, wide = _top(who), 1.0 + 0.09 * who.volume
    end = 1.08 + 0.35 * who.hair_length if style == identity.BOB else 2.1 + 0.8 * who.hair_length
    flare = wide + (0.16 if style == identity.BOB else 0.1)
    outer = _both(
        [
            (0, top),
            (0.46, top + 0.08),
            (0.84, -1.2),
            (wide + 0.05, -0.68),
            (flare, -0.1),
            (flare + 0.06, 0.6),
            (flare + 0.02, end - 0.25),
            (flare - 0.12, end),
            (0.86, end - 0.02),
            (0.3, 0.6),
            (0, 0.3),
        ]
    )
    cheek = 0.9 * w if who.hair_length > 0.3 else 0.84 * w
    drape = 0.7 if style != identity.BOB else 0.86
    low: Points = [
        (drape, end + 0.3),
        (drape + 0.02, 1.5),
        (cheek - 0.02, 0.9),
        (cheek + 0.02, 0.3),
        (cheek, -0.2),
    ]
    brow: Points
    if style in LOW_FRINGE:
        brow = [(0.78, -0.42), (0.5, -0.36), (0.15, -0.38), (-0.2, -0.36), (-0.5, -0.38), (-0.78, -0.42)]
    elif abs(part) < 0.05:
        brow = [
            (0.78, -0.55),
            (0.48, -0.86),
            (0.12, line - 0.1),
            (0, line - 0.2),
            (-0.12, line - 0.1),
            (-0.48, -0.86),
            (-0.78, -0.55),
        ]
    else:
        brow = [
            (0.8, -0.5),
            (0.55, -0.74),
            (0.2, line + 0.04),
            (-0.14, line - 0.08),
            (-0.38, line - 0.06),
            (-0.64, -0.76),
            (-0.82, -0.48),
        ]
        if part > 0:
            brow = [(-x, y) for x, y in reversed(brow)]
    return Cut([outer], canvas.spline(low + brow + [(-x, y) for x, y in reversed(low)]), end)


def frays(who: Identity, shape: Cut, rng: np.random.Generator) -> list[Curve]:
    """Return short strokes that fray the hair's inner edge and its lower ends."""
    lines: list[Curve] = []
    upper = shape.window[shape.window[:, 1] < -0.3]
    low_fringe = who.hair_style in LOW_FRINGE
    for _ in range(190 if low_fringe else 150):
        root = upper[int(rng.integers(len(upper)))] + rng.normal(0, 0.02, 2)
        length = rng.uniform(0.04, 0.15) if low_fringe else rng.uniform(0.02, 0.08)
        pool = (root[0] - who.part) * 0.35 + rng.normal(0, 0.1)
        tip = root + length * np.asarray((pool, 1.0 if low_fringe else 0.4))
        lines.append(
            canvas.spline([root - np.asarray((0.3 * pool * length, 0.1)), root, tip], closed=False, steps=4)
        )
    if shape.end > 0.8:
        for _ in range(120):
            side = rng.choice((-1, 1))
            x = side * rng.uniform(0.72, 1.2)
            start = shape.end - rng.uniform(0.05, 0.2)
            lines.append(
                np.asarray(
                    [(x, start), (x + side * rng.uniform(-0.06, 0.02), shape.end + rng.uniform(0, 0.12))]
                )
            )
    return lines
