"""Masks by themselves: which there are, and what each point of their cloth looks like.

Coordinates are those of :class:`facemask.synthesis.head_pose.Pose`: half the distance of the eyes is one unit,
the eyes lie at height 0, the mouth at 2, the middle of the face at 0.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple, assert_never

import cv2
import numpy as np

from facemask.runtime.arrays import Floats32

Style = Literal["surgical", "cloth", "respirator"]
Pattern = Literal["plain", "stripes", "dots", "check", "marbled"]

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
_PATTERNS: Final[dict[Pattern, float]] = {
    "plain": 0.6,
    "stripes": 0.1,
    "dots": 0.1,
    "check": 0.1,
    "marbled": 0.1,
}


@dataclass(frozen=True)
class Look:
    """A mask: its style, a colour and a second one (of COLOURS) for the pattern, and the pattern."""

    style: Style
    colour: str
    second: str
    pattern: Pattern


class Seat(NamedTuple):
    """Heights of a mask's edges on the face, in the pose's units.

    Attributes
    ----------
    top, bottom
        In the middle of the face.
    drop
        How much lower the upper edge lies at the sides.
    """

    top: float
    bottom: float
    drop: float

    def share(self, y: Floats32) -> Floats32:
        """Heights as shares of the mask: 0 at its top, 1 at its bottom."""
        return np.asarray((y - self.top) / (self.bottom - self.top), dtype=np.float32)


def draw(styles: Sequence[Style], rng: np.random.Generator, count: int) -> list[Look]:
    """Draw ``count`` masks of different style or colour; styles have equal chance."""
    looks: list[Look] = []
    names = list(COLOURS)
    while len(looks) < count:
        style = styles[int(rng.integers(len(styles)))]
        weights = np.asarray(_WORN[style])
        colour = str(rng.choice(names, p=weights / weights.sum()))
        second = str(rng.choice([name for name in names if name != colour]))
        kinds = list(_PATTERNS) if style == "cloth" else ["plain"]
        pattern = kinds[
            int(rng.choice(len(kinds), p=[*_PATTERNS.values()][: len(kinds)] if len(kinds) > 1 else [1.0]))
        ]
        if (style, colour) not in {(look.style, look.colour) for look in looks}:
            looks.append(Look(style, colour, second, pattern))  # type: ignore[arg-type]
    return looks


def outline(style: Style, seat: Seat) -> Floats32:
    """Outline of a mask, (N, 2) closed, smooth."""
    match style:
        case "surgical":
            half = [
                (1.76, 0.0),
                (1.83, 0.02),
                (1.83, 0.3),
                (1.64, 0.66),
                (1.52, 0.73),
                (1.38, 0.8),
                (0.95, 0.97),
            ]
            peak = [(0.0, 0.0), (0.36, 0.03), (0.95, 0.55)]
        case "cloth":
            half = [(1.8, 0.02), (1.94, 0.02), (1.92, 0.36), (1.66, 0.5), (1.32, 0.78), (0.8, 0.99)]
            peak = [(0.0, -0.04), (0.3, 0.03), (0.9, 0.75)]
        case "respirator":
            half = [(1.82, 0.12), (1.97, 0.14), (1.93, 0.32), (1.48, 0.66), (1.2, 0.82), (0.72, 0.99)]
            peak = [(0.0, -0.1), (0.28, 0.03), (0.9, 0.85)]
        case _:
            assert_never(style)
    side = seat.top + seat.drop
    right = [(x, seat.top + share * seat.drop) for x, share in peak]
    right += [(x, side + share * (seat.bottom - side)) for x, share in half]
    right += [(0.4, seat.bottom + 0.03), (0.0, seat.bottom + 0.03)]
    left = [(-x, y) for x, y in reversed(right[1:-1])]
    points = np.asarray(right + left, dtype=np.float64)
    # Cutting corners four times leaves a quadratic spline.
    for _ in range(4):
        ahead = np.roll(points, -1, axis=0)
        points = np.stack([0.75 * points + 0.25 * ahead, 0.25 * points + 0.75 * ahead], axis=1).reshape(-1, 2)
    return points.astype(np.float32)


def step(values: Floats32, low: float, high: float) -> Floats32:
    """Smooth step from 0 at ``low`` to 1 at ``high``."""
    share = np.clip((values - low) / (high - low), 0, 1)
    return np.asarray(share * share * (3 - 2 * share), dtype=np.float32)


def noise(x: Floats32, y: Floats32, size: float, rng: np.random.Generator) -> Floats32:
    """Smooth noise fixed to the cloth: about -1..1, with lumps of ``size`` units."""
    cells = int(8 / size) + 4
    lumps = rng.standard_normal((cells, cells)).astype(np.float32)
    across, down = (x + 4) / size % (cells - 1), (y + 3) / size % (cells - 1)
    return np.asarray(
        cv2.remap(
            lumps,
            across.astype(np.float32),
            down.astype(np.float32),
            cv2.INTER_CUBIC,
            borderMode=cv2.BORDER_WRAP,
        )
    )


def cloth(
    look: Look, seat: Seat, x: Floats32, y: Floats32, rng: np.random.Generator
) -> tuple[Floats32, Floats32]:
    """Return the cloth's colour (H, W, 3) 0..255 in white light, and its relief (H, W) towards the viewer, in units."""
    base = np.asarray(COLOURS[look.colour], np.float32) * np.float32(rng.uniform(0.95, 1.03))
    colour = np.broadcast_to(base, (*x.shape, 3)).copy()
    share = seat.share(y)
    middle = np.clip(1 - (x / 1.95) ** 2, 0, 1).astype(np.float32)
    # Cloth hangs between the ears: its creases run across.
    relief = 0.035 * noise(0.45 * x, y, 0.5, rng) * middle + 0.008 * noise(0.6 * x, y, 0.2, rng)
    dark = np.zeros_like(x)
    match look.style:
        case "surgical":
            dark = _pleats(seat, x, y, middle, relief)
            dark += 0.05 * (np.abs(np.abs(x) - 1.7) < 0.05) * (np.sin(y * 40) > 0)
            wire = y - seat.top - 0.2 - seat.drop * (x / 1.5) ** 2
            relief += 0.02 * np.exp(-((wire / 0.05) ** 2)) * step(np.abs(x), 1.0, 0.8)
            dark += 0.03 * noise(x, y, 0.06, rng)
        case "cloth":
            relief += 0.16 * np.clip(1 - np.abs(x) / 1.3, 0, 1)
            dark = 0.22 * np.exp(-((x / 0.022) ** 2)) + 0.1 * np.exp(-(((np.abs(x) - 0.09) / 0.02) ** 2))
            hidden = _pattern(look.pattern, x, y, rng)[..., None]
            colour = colour * (1 - hidden) + np.asarray(COLOURS[look.second], np.float32) * hidden
            dark += 0.035 * np.sin(x * 75) * np.sin(y * 75) + 0.02 * noise(x, y, 0.07, rng)
        case "respirator":
            dark = _panels(seat, x, middle, share, relief)
            if rng.random() < 0.2:
                _valve(seat, x, y, colour, relief)
            dark += 0.02 * noise(x, y, 0.05, rng)
        case _:
            assert_never(look.style)
    return (colour * (1 - np.clip(dark, -0.2, 0.6))[..., None]).astype(np.float32), relief.astype(np.float32)


def _pleats(seat: Seat, x: Floats32, y: Floats32, middle: Floats32, relief: Floats32) -> Floats32:
    """Fold the relief three times; the pleats gape in the middle and meet at the ends."""
    dark = np.zeros_like(x)
    side = seat.top + seat.drop
    for share in (0.27, 0.48, 0.69):
        end = side + (0.14 + 0.5 * share) * (seat.bottom - side)
        at = y - (end + (seat.top + share * (seat.bottom - seat.top) - end) * middle)
        relief += 0.1 * np.exp(-np.clip(at, 0, None) / 0.3) * step(at, -0.03, 0.03)
        dark += 0.2 * np.exp(-(((at + 0.02) / 0.03) ** 2))
    return dark


def _panels(seat: Seat, x: Floats32, middle: Floats32, share: Floats32, relief: Floats32) -> Floats32:
    """Raise the relief to a beak of three panels that meet at the sides."""
    upper, lower = 0.44 - 0.17 * middle, 0.5 + 0.17 * middle
    relief += 0.5 * middle * np.clip(1 - np.abs(share - 0.46) / 0.55, 0, 1)
    dark = np.zeros_like(x)
    for seam in (upper, lower):
        at = (share - seam) * np.float32(seat.bottom - seat.top)
        relief += 0.03 * np.exp(-(((np.abs(at) - 0.06) / 0.035) ** 2))
        dark += 0.16 * np.exp(-((at / 0.028) ** 2))
    return dark


def _valve(seat: Seat, x: Floats32, y: Floats32, colour: Floats32, relief: Floats32) -> None:
    """Set a breathing valve beside the middle."""
    centre = seat.top + 0.62 * (seat.bottom - seat.top)
    radius = np.hypot((x - 0.8) / 0.36, (y - centre) / 0.34).astype(np.float32)
    inside = step(radius, 1.04, 0.98)[..., None]
    slots = 1 - 0.25 * (np.sin(y * 36) > 0.3) * step(radius, 0.72, 0.68)
    colour[:] = colour * (1 - inside) + inside * np.float32(205) * slots[..., None]
    relief += 0.1 * step(radius, 1.05, 0.8)


def _pattern(kind: Pattern, x: Floats32, y: Floats32, rng: np.random.Generator) -> Floats32:
    """How much of the second colour shows, (H, W) 0..1."""
    often = np.float32(rng.uniform(9, 15))
    turned = x * np.float32(np.cos(0.5)) + y * np.float32(np.sin(0.5))
    match kind:
        case "plain":
            return np.zeros_like(x)
        case "stripes":
            return step(np.sin((turned if rng.random() < 0.4 else y) * often), 0.1, 0.4)
        case "dots":
            return step(np.sin(x * often) * np.sin(y * often), 0.5, 0.7)
        case "check":
            return 0.5 * step(np.sin(x * often), -0.1, 0.2) + 0.5 * step(np.sin(y * often), -0.1, 0.2)
        case "marbled":
            return 0.7 * step(noise(x, y, 0.4, rng) + 0.4 * noise(x, y, 0.16, rng), 0.1, 0.7)
        case _:
            assert_never(kind)
