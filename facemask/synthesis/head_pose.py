"""Where a face lies in a photo: a frame on the face, from five points of it.

The frame's unit is half the distance of the eyes; the eyes lie at height 0, the mouth at 2, the middle of
the face at 0. What reaches out of the plane of eyes and mouth moves sideways when the head turns, as the nose tells.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt

from facemask.masks.raster import Real, spot
from facemask.runtime.arrays import Floats, Floats32

# Of an adult's face, in units of half the distance of the eyes.
_MOUTH: Final = 2.0
_MOUTH_WIDE: Final = 0.8
_NOSE: Final = 1.2
_NOSE_OUT: Final = 0.8
_MOST_TURN: Final = 0.5


@dataclass(frozen=True)
class Pose:
    """Where a face lies in a photo.

    Attributes
    ----------
    origin
        Middle between the eyes, (x, y) in pixels.
    across, down
        One unit to the right and down along the face, (x, y) in pixels each.
    turn
        Where the nose's way out of the face shows, in units of ``across`` and ``down``: (0, 0) seen from the front.
    nose
        Height of the nose's tip in the frame; about 1.2.
    """

    origin: Floats
    across: Floats
    down: Floats
    turn: tuple[float, float]
    nose: float

    @property
    def unit(self) -> float:
        """Pixels a unit."""
        return float(np.sqrt(abs(_cross(self.across, self.down))))

    def project(self, points: npt.NDArray[np.floating]) -> Floats:
        """Take points (N, 2) of the frame to the photo's pixels."""
        out = _depth(points[:, 0], points[:, 1])
        x, y = points[:, 0] + self.turn[0] * out, points[:, 1] + self.turn[1] * out
        return np.asarray(self.origin + x[:, None] * self.across + y[:, None] * self.down)

    def locate(self, px: Floats32, py: Floats32) -> tuple[Floats32, Floats32]:
        """Take pixels to the frame; the inverse of :meth:`project` on the side that is seen."""
        flat_x, flat_y = _solve(self.across, self.down, px - self.origin[0], py - self.origin[1])
        if self.turn == (0.0, 0.0):
            return flat_x, flat_y
        x, y = flat_x, flat_y
        for _ in range(8):
            out = _depth(x, y)
            x = np.asarray(flat_x - self.turn[0] * out, np.float32)
            y = np.asarray(flat_y - self.turn[1] * out, np.float32)
        return x, y


def _depth(x: npt.NDArray[np.floating], y: npt.NDArray[np.floating]) -> npt.NDArray[np.floating]:
    """How far a mask on the face reaches out of the plane of eyes and mouth, in units."""
    face = np.maximum(0.3 * (1 - x * x), -1.0)
    return np.asarray(face + 0.5 * spot(x, y - _NOSE, 0.7, 0.9))


def _cross(one: Floats, other: Floats) -> float:
    return float(one[0] * other[1] - one[1] * other[0])


def _solve(across: Floats, down: Floats, x: Real, y: Real) -> tuple[Floats32, Floats32]:
    """Write vectors (x, y) as multiples of ``across`` and ``down``."""
    area = _cross(across, down)
    u, v = (down[1] * x - down[0] * y) / area, (across[0] * y - across[1] * x) / area
    return np.asarray(u, np.float32), np.asarray(v, np.float32)


def fit(points: npt.ArrayLike) -> Pose | None:
    """Fit a pose to five points; None if the head is turned so far that no mask can be drawn.

    Parameters
    ----------
    points
        (5, 2) x and y in pixels: the eye on the left of the photo, the eye on the right, the nose's tip, the left and
        the right corner of the mouth.
    """
    left, right, nose, mouth_left, mouth_right = np.asarray(points, dtype=np.float64).reshape(5, 2)
    origin = (left + right) / 2
    # A smile widens the mouth: the eyes say more about the width.
    across = 0.8 * (right - left) / 2 + 0.2 * (mouth_right - mouth_left) / (2 * _MOUTH_WIDE)
    down = ((mouth_left + mouth_right) / 2 - origin) / _MOUTH
    area = _cross(across, down)
    if area <= 0 or area < 0.3 * float(across @ across) or area < 0.3 * float(down @ down):
        return None
    x, y = (float(part) for part in _solve(across, down, *(nose - origin)))
    if abs(x) > _NOSE_OUT:
        return None
    # Noses differ in length more than heads nod: half of what is seen counts as a nod.
    turn = (
        float(np.clip(x / _NOSE_OUT, -_MOST_TURN, _MOST_TURN)),
        float(np.clip(0.5 * (y - _NOSE) / _NOSE_OUT, -0.2, 0.2)),
    )
    pose = Pose(origin, across, down, turn, _NOSE)
    tip = pose.locate(np.asarray(nose[:1], np.float32), np.asarray(nose[1:], np.float32))[1]
    return Pose(origin, across, down, turn, float(tip[0]))
