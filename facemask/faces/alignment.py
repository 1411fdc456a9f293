"""Turned boxes that bring the landmarks of a face onto those of a template.

References
----------
Umeyama, "Least-Squares Estimation of Transformation Parameters Between Two Point Patterns", TPAMI 1991; the template is
that of Deng et al., "ArcFace: Additive Angular Margin Loss for Deep Face Recognition", CVPR 2019,
https://arxiv.org/abs/1801.07698
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np

from facemask.pixels import boxes
from facemask.runtime.arrays import Floats


@dataclass(frozen=True)
class Template:
    """Where the landmarks lie in a square of ``side`` pixels: x and y of the eyes, the nose and the mouth's corners."""

    side: float
    points: tuple[tuple[float, float], ...]


TEMPLATES: Final[dict[Literal["arcface"], Template]] = {
    "arcface": Template(
        112.0,
        ((38.2946, 51.6963), (73.5318, 51.5014), (56.0252, 71.7366), (41.5493, 92.3655), (70.7299, 92.2041)),
    )
}


def similarity(points: Floats, template: Template) -> tuple[complex, complex] | None:
    """Scale with turn, and shift, that bring the template onto the points, in complex numbers x + iy.

    Parameters
    ----------
    points
        (5, 2) x and y in pixels of the photo.

    Returns
    -------
    a, b
        Of the least-squares similarity ``a * template + b``, without reflection; None for points that give none: some
        are unknown, or all are one.
    """
    there = points[:, 0] + 1j * points[:, 1]
    here = np.array([complex(x, y) for x, y in template.points])
    if not np.isfinite(there).all():
        return None
    centred = here - here.mean()
    a = complex(np.vdot(centred, there) / np.vdot(centred, centred).real)
    # Landmarks nearer together than this, in pixels, are no face that could be enlarged.
    if abs(a) * template.side < 1:
        return None
    return a, complex(there.mean() - a * here.mean())


def aligned(
    points: Floats, template: Template, margin: float, size: tuple[int, int]
) -> tuple[boxes.Box, float] | None:
    """Box around a face and the degrees by which it is turned, see :func:`facemask.pixels.boxes.crop`.

    Parameters
    ----------
    points
        (5, 2) x and y in pixels of the photo.
    margin
        Added on each side of the template's square, as a fraction of its side; below 0 cuts some off.
    size
        Height and width whose aspect the box is extended to.

    Returns
    -------
    Box and turn, or None as for :func:`similarity`. Without margin, and with a square ``size``, the crop's landmarks
    lie where the template has them.
    """
    found = similarity(points, template)
    if found is None:
        return None
    a, b = found
    # The template counts from its first pixel's centre, a box from that pixel's corner.
    middle = a * complex(template.side / 2 - 0.5, template.side / 2 - 0.5) + b + (0.5 + 0.5j)
    half = abs(a) * template.side * (0.5 + margin)
    box = (middle.real - half, middle.imag - half, middle.real + half, middle.imag + half)
    return boxes.extended(box, size), round(math.degrees(math.atan2(a.imag, a.real)), 4)
