"""Masks by themselves: which there are, where they sit, and what each point of their cloth looks like.

Coordinates are the face's own: half the distance of the eyes is one unit, the eyes lie at height 0, the mouth at 2, the
middle of the face at 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, assert_never

import cv2
import numpy as np

from facemask.masks.raster import bell, normal, pick, ramp, stretch, wave
from facemask.runtime.arrays import Floats32

Style = Literal["surgical", "cloth", "respirator"]
Pattern = Literal["plain", "stripes", "dots", "check", "marbled"]
Wearing = Literal["right", "below_nose", "below_mouth", "on_eyes"]

COLOURS: Final = {
    "white": (238, 240, 242),
    "black": (38, 38, 42),
    "blue": (142, 188, 220),
    "sky": (176, 212, 232),
    "mint": (164, 212, 196),
    "pink": (236, 184, 194),
    "grey": (136, 140, 146),
    "navy": (48, 58, 96),
    "beige": (216, 198, 172),
    "violet": (158, 142, 192),
    "red": (164, 50, 56),
    "olive": (106, 112, 82),
    "mustard": (206, 168, 84),
}
# How often each colour is worn, in the order of COLOURS.
_WORN: Final[dict[Style, tuple[float, ...]]] = {
    "surgical": (8, 4, 7, 3, 2, 2, 1, 0.5, 0.5, 1, 0, 0, 0),
    "cloth": (4, 6, 1, 1, 1, 2, 3, 3, 2, 1, 1.5, 1.5, 1),
    "respirator": (10, 6, 0.5, 0.5, 0.5, 1, 2, 1, 1, 0, 0, 0, 0),
}
# Chances on cloth; other masks are plain.
_PATTERNS: Final[dict[Pattern, float]] = {
    "plain": 0.6,
    "stripes": 0.1,
    "dots": 0.1,
    "check": 0.1,
    "marbled": 0.1,
}
# The right half of each outline, downwards: x, and heights as shares of the drop (the upper edge, 3 points) and then of
# the way from the upper edge's end to the bottom.
_OUTLINES: Final[dict[Style, tuple[tuple[float, ...], tuple[float, ...]]]] = {
    "surgical": (
        (0.0, 0.36, 0.95, 1.76, 1.83, 1.83, 1.64, 1.52, 1.38, 0.95),
        (0.0, 0.03, 0.55, 0.0, 0.02, 0.3, 0.66, 0.73, 0.8, 0.97),
    ),
    "cloth": (
        (0.0, 0.3, 0.9, 1.8, 1.94, 1.92, 1.66, 1.32, 0.8),
        (-0.04, 0.03, 0.75, 0.02, 0.02, 0.36, 0.5, 0.78, 0.99),
    ),
    "respirator": (
        (0.0, 0.28, 0.9, 1.82, 1.97, 1.93, 1.48, 1.2, 0.72),
        (-0.1, 0.03, 0.85, 0.12, 0.14, 0.32, 0.66, 0.82, 0.99),
    ),
}
# Where the loops end: behind the ears.
EAR: Final = 2.3


@dataclass(frozen=True)
class Look:
    """A mask: its style, a colour and a second one (of COLOURS) for the pattern, and the pattern."""

    style: Style
    colour: str
    second: str
    pattern: Pattern


class Seat(NamedTuple):
    """Where a mask sits: heights of its ``top`` and ``bottom`` in the middle, and how much lower its sides begin."""

    top: float
    bottom: float
    drop: float

    def share(self, y: Floats32) -> Floats32:
        """Heights as shares of the mask: 0 at its top, 1 at its bottom."""
        return np.asarray((y - self.top) / (self.bottom - self.top), dtype=np.float32)


def seat(wearing: Wearing, nose: float, rng: np.random.Generator) -> Seat:
    """Draw how exactly a mask sits on a face whose nose's tip lies at the height ``nose``."""
    shift = float(rng.uniform(-1, 1))
    match wearing:
        case "right":
            return Seat(min(0.62 + 0.08 * shift, nose - 0.4), 3.5 + 0.08 * shift, 0.42)
        case "below_nose":
            top = float(np.clip(nose + 0.38 + 0.04 * shift, 1.5, 1.7))
            return Seat(top, 3.75 + 0.1 * shift, 0.12)
        case "below_mouth":
            return Seat(2.72 + 0.08 * shift, 4.2 + 0.1 * shift, -0.3)
        case "on_eyes":
            return Seat(-1.35 + 0.1 * shift, 0.85 + 0.12 * shift, 0.25)
        case _:
            assert_never(wearing)


def draw(styles: Sequence[Style], rng: np.random.Generator, count: int) -> list[Look]:
    """Draw ``count`` masks of different style or colour; styles have equal chance."""
    drawn: dict[tuple[str, str], Look] = {}
    names, patterns = list(COLOURS), list(_PATTERNS)
    while len(drawn) < count:
        style = styles[int(rng.integers(len(styles)))]
        weights = np.asarray(_WORN[style])
        colour = str(rng.choice(names, p=weights / weights.sum()))
        second = str(rng.choice([name for name in names if name != colour]))
        pattern = patterns[int(rng.choice(len(patterns), p=[*_PATTERNS.values()]))]
        drawn.setdefault(
            (style, colour), Look(style, colour, second, pattern if style == "cloth" else "plain")
        )
    return list(drawn.values())


def outline(style: Style, seat: Seat) -> Floats32:
    """Outline of a mask, (N, 2) closed, smooth."""
    xs, shares = (np.asarray(part) for part in _OUTLINES[style])
    side = seat.top + seat.drop
    ys = np.concatenate([seat.top + shares[:3] * seat.drop, side + shares[3:] * (seat.bottom - side)])
    xs, ys = np.append(xs, (0.4, 0.0)), np.append(ys, [seat.bottom + 0.03] * 2)
    points = np.column_stack([np.append(xs, -xs[-2:0:-1]), np.append(ys, ys[-2:0:-1])])
    # Cutting corners four times leaves a quadratic spline.
    for _ in range(4):
        ahead = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * ahead, 0.25 * points + 0.75 * ahead], axis=1).reshape(-1, 2)
    return points.astype(np.float32)


def loops(seat: Seat) -> list[Floats32]:
    """Ear loops, from the mask's corners to behind the ears: (N, 2) each."""
    top = seat.top + max(seat.drop, -0.1) + 0.12
    low = seat.top + 0.72 * (seat.bottom - seat.top)
    share = np.linspace(0, 1, 16)
    lines = []
    for side in (-1.0, 1.0):
        for x, y, end, sag in ((1.7, top, 0.1, 0.1), (1.3, low, min(1.1, low + 0.3), -0.12)):
            bent = x + (EAR - x) * share + 4 * share * (1 - share) * sag
            lines.append(np.column_stack([side * bent, y + (end - y) * share]).astype(np.float32))
    return lines


def noise(x: Floats32, y: Floats32, size: float, rng: np.random.Generator) -> Floats32:
    """Smooth noise fixed to the cloth, of about unit deviation, with lumps of ``size`` units."""
    cells, finer = int(8 / size) + 4, 4 if size > 0.1 else 1
    lumps = stretch(normal(rng, (cells, cells)), (finer * cells, finer * cells))
    across, down = (finer * (axis / size % (cells - 1)) for axis in (x + 4, y + 3))
    return pick(lumps, across, down, cv2.BORDER_WRAP)


def cloth(
    look: Look, seat: Seat, x: Floats32, y: Floats32, rng: np.random.Generator
) -> tuple[Floats32, Floats32]:
    """Return the cloth's colour (H, W, 3) 0..255 in white light, and its relief (H, W) towards the viewer, in units."""
    base = np.asarray(COLOURS[look.colour], np.float32) * np.float32(rng.uniform(0.95, 1.03))
    colour = np.broadcast_to(base, (*x.shape, 3)).copy()
    middle = np.clip(1 - (x / 1.95) ** 2, 0, 1)
    # Cloth hangs between the ears: its creases run across.
    relief = 0.035 * noise(0.45 * x, y, 0.5, rng) * middle + 0.008 * noise(0.6 * x, y, 0.2, rng)
    match look.style:
        case "surgical":
            dark = _pleats(seat, x, y, middle, relief)
            dark += 0.05 * (np.abs(np.abs(x) - 1.7) < 0.05) * (wave(y * 40) > 0)
            wire = y - seat.top - 0.2 - seat.drop * (x / 1.5) ** 2
            relief += 0.02 * bell((wire / 0.05) ** 2) * ramp(np.abs(x), 1.0, 0.8)
        case "cloth":
            relief += 0.16 * np.clip(1 - np.abs(x) / 1.3, 0, 1)
            dark = 0.22 * bell((x / 0.022) ** 2) + 0.1 * bell(((np.abs(x) - 0.09) / 0.02) ** 2)
            hidden = _pattern(look.pattern, x, y, rng)[..., None]
            colour = colour * (1 - hidden) + np.asarray(COLOURS[look.second], np.float32) * hidden
            dark += 0.035 * wave(x * 75) * wave(y * 75)
        case "respirator":
            dark = _panels(seat, middle, seat.share(y), relief)
            if rng.random() < 0.2:
                _valve(seat, x, y, colour, relief)
        case _:
            assert_never(look.style)
    dark += 0.025 * noise(x, y, 0.06, rng)
    return (colour * (1 - np.clip(dark, -0.2, 0.6))[..., None]).astype(np.float32), relief.astype(np.float32)


def _pleats(seat: Seat, x: Floats32, y: Floats32, middle: Floats32, relief: Floats32) -> Floats32:
    """Fold the relief three times; the pleats gape in the middle and meet at the ends."""
    dark = np.zeros_like(x)
    side = seat.top + seat.drop
    for share in (0.27, 0.48, 0.69):
        end = side + (0.14 + 0.5 * share) * (seat.bottom - side)
        at = y - (end + (seat.top + share * (seat.bottom - seat.top) - end) * middle)
        relief += 0.1 * bell(np.clip(at, 0, None) / 0.3) * ramp(at, -0.03, 0.03)
        dark += 0.2 * bell(((at + 0.02) / 0.03) ** 2)
    return dark


def _panels(seat: Seat, middle: Floats32, share: Floats32, relief: Floats32) -> Floats32:
    """Raise the relief to a beak of three panels that meet at the sides."""
    relief += 0.5 * middle * np.clip(1 - np.abs(share - 0.46) / 0.55, 0, 1)
    dark = np.zeros_like(share)
    for seam in (0.44 - 0.17 * middle, 0.5 + 0.17 * middle):
        at = (share - seam) * np.float32(seat.bottom - seat.top)
        relief += 0.03 * bell(((np.abs(at) - 0.06) / 0.035) ** 2)
        dark += 0.16 * bell((at / 0.028) ** 2)
    return dark


def _valve(seat: Seat, x: Floats32, y: Floats32, colour: Floats32, relief: Floats32) -> None:
    """Set a breathing valve beside the middle."""
    centre = seat.top + 0.62 * (seat.bottom - seat.top)
    radius = np.sqrt(((x - 0.8) / 0.36) ** 2 + ((y - centre) / 0.34) ** 2)
    inside = ramp(radius, 1.04, 0.98)[..., None]
    slots = 1 - 0.25 * (wave(y * 36) > 0.3) * ramp(radius, 0.72, 0.68)
    colour[:] = colour * (1 - inside) + inside * np.float32(205) * slots[..., None]
    relief += 0.1 * ramp(radius, 1.05, 0.8)


def _pattern(kind: Pattern, x: Floats32, y: Floats32, rng: np.random.Generator) -> Floats32:
    """How much of the second colour shows, (H, W) 0..1."""
    often = np.float32(rng.uniform(9, 15))
    match kind:
        case "plain":
            return np.zeros_like(x)
        case "stripes":
            turned = np.float32(0.88) * x + np.float32(0.48) * y
            return ramp(wave((turned if rng.random() < 0.4 else y) * often), 0.1, 0.4)
        case "dots":
            return ramp(wave(x * often) * wave(y * often), 0.5, 0.7)
        case "check":
            return 0.5 * ramp(wave(x * often), -0.1, 0.2) + 0.5 * ramp(wave(y * often), -0.1, 0.2)
        case "marbled":
            return 0.7 * ramp(noise(x, y, 0.4, rng) + 0.4 * noise(x, y, 0.16, rng), 0.1, 0.7)
        case _:
            assert_never(kind)
