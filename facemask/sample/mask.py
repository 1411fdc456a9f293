"""The face mask: its look, which knows nothing of its wearer, and how it sits."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facemask.sample import canvas, face
from facemask.sample.canvas import Canvas, Floats, Layer, Stencil, linear
from facemask.sample.face import Curve
from facemask.sample.identity import Identity

WEAR, BELOW_NOSE, UNDER_CHIN, NONE = "wear", "below nose", "under chin", "none"
SHAPES = ("surgical", "fold", "beak", "cloth")
PATTERNS = ("plain", "stripes", "dots", "check", "blots", "print")
_COLOURS = {
    "white": (240, 241, 242),
    "black": (30, 30, 33),
    "blue": (152, 190, 214),
    "sky": (120, 168, 206),
    "pink": (232, 178, 186),
    "grey": (132, 136, 142),
    "navy": (44, 54, 88),
    "mint": (166, 210, 190),
    "beige": (216, 196, 166),
    "red": (168, 44, 50),
    "violet": (150, 128, 186),
    "yellow": (230, 208, 120),
}
_WEIGHTS = np.asarray((9, 6, 5, 3, 2.5, 2, 2, 1.5, 1.5, 1, 1, 1)) / 35.5
COLOURS = tuple(_COLOURS)


@dataclass(frozen=True)
class MaskLook:
    """A mask by itself: one of SHAPES, COLOURS (and a second for the pattern) and PATTERNS."""

    shape: str
    colour: str
    second: str
    pattern: str


def draw(rng: np.random.Generator) -> MaskLook:
    """Draw the look of a mask; it depends on nothing but ``rng``."""
    shape = str(rng.choice(SHAPES, p=(0.36, 0.24, 0.14, 0.26)))
    colour, second = (str(name) for name in rng.choice(COLOURS, 2, replace=False, p=_WEIGHTS))
    chance = (
        (0.85, 0.03, 0.03, 0.03, 0.03, 0.03)
        if shape in ("surgical", "fold")
        else (0.45, 0.11, 0.11, 0.11, 0.11, 0.11)
    )
    return MaskLook(shape, colour, second, str(rng.choice(PATTERNS, p=chance)))


@dataclass(frozen=True)
class _Seat:
    """Where a mask sits: heights of its top and bottom at the middle and at the sides, and its half-width."""

    top: float
    top_side: float
    bottom: float
    bottom_side: float
    wide: float
    wide_low: float


def _seat(who: Identity, state: str, rng: np.random.Generator) -> _Seat:
    shift = rng.uniform(-0.04, 0.04)
    chin = who.chin
    if state == WEAR:
        return _Seat(0.2 + shift, 0.36 + shift, chin + 0.07, 0.98, 0.86 * who.width, 0.66)
    if state == BELOW_NOSE:
        return _Seat(
            who.nose_base + 0.06 + 0.5 * shift, 0.62 + shift, chin + 0.12, 1.06, 0.83 * who.width, 0.6
        )
    return _Seat(1.13 + shift, 0.98 + shift, chin + 0.42, 1.32, 0.8 * who.width, 0.52)


def _outline(look: MaskLook, seat: _Seat) -> Curve:
    peak = {"surgical": 0.03, "fold": 0.0, "beak": -0.05, "cloth": -0.02}[look.shape]
    low = {"surgical": 0.0, "fold": -0.01, "beak": 0.03, "cloth": 0.02}[look.shape]
    dip = 0.05 if look.shape in ("fold", "cloth") else -0.02
    middle = (seat.top_side + seat.bottom_side) / 2
    return canvas.spline(
        canvas.mirrored(
            [
                (0, seat.top + peak),
                (0.16, seat.top + peak + 0.015),
                (0.42, seat.top * 0.55 + seat.top_side * 0.45 + dip),
                (seat.wide - 0.03, seat.top_side),
                (seat.wide, seat.top_side + 0.03),
                (seat.wide * 0.98, middle),
                (seat.wide * 0.62 + seat.wide_low * 0.38, seat.bottom_side - 0.05),
                (seat.wide_low, seat.bottom_side + 0.06),
                (0.36, seat.bottom - 0.06 + low),
                (0, seat.bottom + low),
            ]
        )
    )


def _pattern(look: MaskLook, x: Floats, y: Floats, rng: np.random.Generator) -> Floats:
    """Return how much of the second colour shows, (h, w) in 0..1."""
    phase = rng.uniform(0, 6)
    if look.pattern == "stripes":
        return (
            canvas.ramp(np.sin(x * 22 + phase), 0.1, 0.5)
            if phase > 3
            else canvas.ramp(np.sin(y * 22 + phase), 0.1, 0.5)
        )
    if look.pattern == "dots":
        return canvas.ramp(np.sin(x * 17 + phase) * np.sin(y * 17), 0.55, 0.75)
    if look.pattern == "check":
        return 0.5 * canvas.ramp(np.sin(x * 16 + phase), -0.1, 0.2) + 0.5 * canvas.ramp(
            np.sin(y * 16), -0.1, 0.2
        )
    if look.pattern == "blots":
        return canvas.ramp(canvas.noise(rng, (x.shape[0], x.shape[1]), 13), 0.3, 0.6)
    if look.pattern == "print":
        side = 0.4 if phase > 3 else -0.4
        return canvas.ramp(((x - side) / 0.12) ** 2 + ((y - 0.8) / 0.07) ** 2, 1.1, 0.8)
    return np.zeros_like(x)


def wear(
    surface: Canvas, who: Identity, look: MaskLook, state: str, resting: Floats, rng: np.random.Generator
) -> None:
    """Put a mask of ``look`` on the face; ``resting`` is the bare head's relief over ``face.AREA``."""
    if state == NONE:
        return
    seat = _seat(who, state, rng)
    area = canvas.box(-1.35, 0.0, 1.35, 2.0)
    x, y = canvas.grid(area)
    stencil = Stencil(area, 2)
    edge = _outline(look, seat)
    alpha = stencil.fill(edge)

    x0, y0, x1, y1 = area
    fx0, fy0, _, fy1 = face.AREA
    below = np.zeros((y1 - fy0, x1 - x0), np.float32)
    rows = min(fy1, y1) - fy0
    below[:rows] = resting[:rows, x0 - fx0 : x1 - fx0]
    under = canvas.blur(below, 0.1)[y0 - fy0 :]
    under = under * canvas.ramp(y, 1.9, 1.2) + 0.35 * canvas.ramp(y, 1.2, 1.9)
    middle = (seat.top + seat.bottom) / 2
    bulge = 0.13 * np.exp(-((x / 0.5) ** 2) - ((y - middle + 0.05) / 0.42) ** 2)
    z = (under + bulge).astype(np.float32)
    span = seat.bottom - seat.top
    ease = 1 - np.clip(np.abs(x) / seat.wide, 0, 1) ** 2
    crease = np.zeros_like(x)
    if look.shape == "surgical":
        sag = y - 0.07 * ease * (y - seat.top) / span
        for place in (0.26, 0.48, 0.7):
            at = (
                seat.top_side
                + (seat.bottom_side + 0.1 - seat.top_side) * place
                + (seat.bottom - seat.bottom_side) * 0.42 * ease * place
            )
            step = sag - at
            z += (0.028 * np.exp(-np.clip(step, 0, None) / 0.09) * (step > 0)).astype(np.float32)
            crease = crease + np.exp(-((step / 0.014) ** 2))
        z += (
            0.015
            * np.exp(
                -(
                    (
                        (y - seat.top - 0.07 - 0.35 * (seat.top_side - seat.top) * (x / seat.wide) ** 2 * 2)
                        / 0.02
                    )
                    ** 2
                )
            )
        ).astype(np.float32)
    elif look.shape == "fold":
        z += (0.1 * np.clip(1 - np.abs(x) / 0.7, 0, 1)).astype(np.float32)
        crease = crease + 0.8 * np.exp(-((x / 0.012) ** 2))
    elif look.shape == "beak":
        upper = seat.top + 0.36 * span + 0.1 * (1 - ease)
        lower = seat.top + 0.68 * span - 0.02 * (1 - ease)
        z += (0.12 * np.clip(1 - np.abs(y - (upper + lower) / 2) / (0.5 * span), 0, 1)).astype(np.float32)
        crease = crease + np.exp(-(((y - upper) / 0.013) ** 2)) + np.exp(-(((y - lower) / 0.013) ** 2))
    else:
        z += (0.012 * canvas.noise(rng, (x.shape[0], x.shape[1]), 22, 2) * ease).astype(np.float32)
    wrinkle = canvas.noise(rng, (x.shape[0], x.shape[1]), 26, 2) * 0.006
    z = canvas.blur((z + wrinkle).astype(np.float32), 0.012)

    base, other = linear(*_COLOURS[look.colour]), linear(*_COLOURS[look.second])
    part = (_pattern(look, x, y, rng) * 0.85)[..., None]
    weave = 1 + 0.03 * canvas.noise(rng, (x.shape[0], x.shape[1]), 1.5)
    colour = (
        (base * (1 - part) + other * part) * weave[..., None] * (1 - 0.3 * np.clip(crease, 0, 1))[..., None]
    )
    hem = stencil.strokes([np.vstack([edge, edge[:1]])], 0.045)
    inset = canvas.blur(hem, 0.01)
    colour = colour * (1 - 0.12 * inset[..., None]) + 0.01

    surface.dim(area, canvas.blur(np.roll(alpha, 5, axis=0), 0.05) * (1 - alpha), 0.5)
    _loops(surface, who, seat, state, base)
    surface.put(
        Layer(area, alpha, np.clip(colour, 0, 1).astype(np.float32), canvas.slopes(z, 1.8), 0.03, 0.25)
    )


def _loops(surface: Canvas, who: Identity, seat: _Seat, state: str, colour: Floats) -> None:
    area = canvas.box(-1.35, -0.3, 1.35, 1.6)
    stencil = Stencil(area, 2)
    w = who.width
    lines = []
    hook_top, hook_low = (-0.06, 0.42)
    for side in (-1.0, 1.0):
        upper = [
            (seat.wide - 0.03, seat.top_side + 0.04),
            ((seat.wide + w) / 2 + 0.02, (seat.top_side + hook_top) / 2 + 0.05),
            (1.03 * w, hook_top),
        ]
        lower = [
            (seat.wide * 0.8 + seat.wide_low * 0.2, seat.bottom_side - 0.08),
            ((seat.wide + w) / 2 + 0.01, (seat.bottom_side + hook_low) / 2),
            (1.02 * w, hook_low),
        ]
        for points in (upper, lower):
            lines.append(canvas.spline(points, closed=False) * (side, 1))
    cord = stencil.strokes(lines, 0.026)
    surface.dim(area, canvas.blur(np.roll(cord, 3, axis=0), 0.02), 0.3)
    tone = np.clip(0.8 * colour + 0.15, 0, 1) if float(colour.mean()) > 0.1 else colour + 0.02
    surface.tint(area, 0.95 * cord, tone)
