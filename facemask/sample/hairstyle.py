"""Haircuts: outlines of the hair, the window it leaves for the face, and its frayed edges."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facemask.masks.raster import wave
from facemask.sample import canvas, identity
from facemask.sample.canvas import Curve
from facemask.sample.identity import Identity

LOW_FRINGE = (identity.FRINGE, identity.BANGS, identity.PIXIE)
_SHORT = (identity.SHORT, identity.CROP, identity.RECEDING, identity.FRINGE, identity.PIXIE)


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


def _top(who: Identity) -> float:
    return -1.5 - 0.17 * who.volume


def _short(who: Identity) -> Cut:
    style, line, w = who.hair_style, who.hairline, who.width
    top = _top(who) + (0.13 if style == identity.CROP else 0.0)
    snug = 0.0 if style in (identity.CROP, identity.RECEDING) else 0.05
    burn = 0.22 if who.gender == identity.MALE else 0.12
    outer = canvas.both(
        (0, 0.5, 0.88, 1 + 0.09 * who.volume + snug, 1.05 * w + snug, w, 0.95 * w, 0.86 * w, 0.6, 0),
        (top, top + 0.07, -1.18, -0.72, -0.28, 0.02, burn, burn - 0.05, -0.2, -0.3),
    )
    inner = 0.875 * w
    if style in LOW_FRINGE:
        brow = -0.42 if style == identity.FRINGE else -0.5
        window = canvas.closed(
            (inner, inner, 0.84, 0.55, 0.15, -0.2, -0.55, -0.84, -inner, -inner),
            (0.6, -0.1, -0.36, brow + 0.03, brow, brow - 0.03, brow + 0.02, -0.34, -0.1, 0.6),
        )
    else:
        back = 0.26 if style == identity.RECEDING else 0.03
        sweep = float(0.1 * np.sign(who.part or 1)) if style == identity.SHORT else 0.0
        temple, bay, peak = line + 0.1 - back * 0.8, line - back + 0.06, line + 0.02 - 0.15 * back
        window = canvas.closed(
            (inner, inner, 0.83, 0.7, 0.45, 0.0, -0.45, -0.7, -0.83, -inner, -inner),
            (0.6, -0.2, -0.5, temple + sweep, bay, peak, bay, temple - sweep, -0.5, -0.2, 0.6),
        )
    return Cut([outer], window, 0.3)


def _tied(who: Identity) -> Cut:
    top, line, w, part = _top(who), who.hairline, who.width, who.part
    shapes = [
        canvas.both(
            (0, 0.5, 0.9, 1.04 * w, 1.03 * w, 0.98 * w, 0.9 * w, 0.6, 0),
            (top + 0.08, top + 0.14, -1.14, -0.6, -0.2, 0.05, 0.1, -0.2, -0.3),
        )
    ]
    if who.hair_length > 0.5:
        shapes.append(canvas.ring((0.1 * part, top - 0.02), 0.4, 0.3))
    window = canvas.closed(
        (0.9 * w, 0.9 * w, 0.83, 0.62, 0.3, part * 0.6, -0.3, -0.62, -0.83, -0.9 * w, -0.9 * w),
        (0.6, -0.15, -0.5, line + 0.12, line, line - 0.03, line, line + 0.12, -0.5, -0.15, 0.6),
    )
    return Cut(shapes, window, 0.4)


def _perm(who: Identity, rng: np.random.Generator) -> Cut:
    line, w, full = who.hairline, who.width, who.volume
    t = np.arange(110) * (2 * np.pi / 110)
    curls = [np.abs(wave(t * waves + rng.uniform(0, 3))) for waves in (9, 5)]
    bumps = 0.05 * curls[0] + 0.03 * curls[1]
    outer = canvas.ring((0, -0.5), 1.128 + 0.072 * full + bumps, 1.0416 + 0.0784 * full + bumps, 110)
    window = canvas.closed(
        (0.9 * w, 0.91 * w, 0.86, 0.66, 0.25, -0.25, -0.66, -0.86, -0.91 * w, -0.9 * w),
        (0.9, 0.1, -0.3, -0.66, line + 0.2, line + 0.17, -0.62, -0.3, 0.1, 0.9),
    )
    return Cut([outer], window, 0.7)


def _hanging(who: Identity) -> Cut:
    style, line, w = who.hair_style, who.hairline, who.width
    top, wide, bob = _top(who), 1.0 + 0.09 * who.volume, style == identity.BOB
    end = 1.08 + 0.35 * who.hair_length if bob else 2.1 + 0.8 * who.hair_length
    flare = wide + (0.16 if bob else 0.1)
    outer = canvas.both(
        (0, 0.46, 0.84, wide + 0.05, flare, flare + 0.06, flare + 0.02, flare - 0.12, 0.86, 0.3, 0),
        (top, top + 0.08, -1.2, -0.68, -0.1, 0.6, end - 0.25, end, end - 0.02, 0.6, 0.3),
    )
    cheek, drape = 0.9 * w if who.hair_length > 0.3 else 0.84 * w, 0.86 if bob else 0.7
    xs = np.asarray((drape, drape + 0.02, cheek - 0.02, cheek + 0.02, cheek))
    ys = np.asarray((end + 0.3, 1.5, 0.9, 0.3, -0.2))
    brow = (
        np.asarray((0.78, 0.5, 0.15, -0.2, -0.5, -0.78)),
        np.asarray((-0.42, -0.36, -0.38, -0.36, -0.38, -0.42)),
    )
    if style not in LOW_FRINGE:
        aside = float(np.sign(who.part)) if abs(who.part) >= 0.05 else 0.0
        brow = (
            np.asarray((0.8, 0.5, 0.16, -0.06 * abs(aside), -0.3, -0.55, -0.8)),
            np.asarray((-0.52, -0.8, line, line - 0.14, line - 0.06, -0.8, -0.52)),
        )
        if aside > 0:
            brow = -brow[0][::-1], brow[1][::-1]
    window = canvas.closed(np.concatenate([xs, brow[0], -xs[::-1]]), np.concatenate([ys, brow[1], ys[::-1]]))
    return Cut([outer], window, end)


def frays(who: Identity, shape: Cut, rng: np.random.Generator) -> list[Curve]:
    """Return short strokes that fray the hair's inner edge and its lower ends."""
    upper, low_fringe = shape.window[shape.window[:, 1] < -0.3], who.hair_style in LOW_FRINGE
    count, fall = (190, 1.0) if low_fringe else (150, 0.4)
    roots = upper[rng.integers(len(upper), size=count)] + rng.normal(0, 0.02, (count, 2))
    length = rng.uniform(*((0.04, 0.15) if low_fringe else (0.02, 0.08)), count)
    lean = (roots[:, 0] - who.part) * 0.35 + rng.normal(0, 0.1, count)
    before = roots - np.column_stack([0.3 * lean * length, np.full(count, 0.1)])
    tips = roots + length[:, None] * np.column_stack([lean, np.full(count, fall)])
    lines = list(np.stack([before, roots, tips], axis=1))
    if shape.end > 0.8:
        x, side = rng.uniform(0.72, 1.2, 120), rng.choice((-1, 1), 120)
        start = np.column_stack([side * x, shape.end - rng.uniform(0.05, 0.2, 120)])
        stop = np.column_stack(
            [side * (x + rng.uniform(-0.06, 0.02, 120)), shape.end + rng.uniform(0, 0.12, 120)]
        )
        lines += list(np.stack([start, stop], axis=1))
    return lines
