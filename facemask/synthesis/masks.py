"""Masks drawn onto photos of bare faces, worn rightly or wrongly.

Outline, cloth and shading live in the face's own frame (:mod:`facemask.synthesis.head_pose`), and so follow a tilted or
slightly turned head. The photo's own brightness falls on the mask, and the mask's shadow on the face.
"""

from __future__ import annotations

from typing import Final

import cv2
import numpy as np

from facemask.masks import looks
from facemask.masks.looks import EAR, Look, Seat, Wearing
from facemask.masks.raster import blur, exact, fill, normal, ramp, reduce, spot, stroke
from facemask.runtime.arrays import Floats32, Pixels
from facemask.synthesis.head_pose import Pose

_FALL: Final = np.asarray((0, 0.05), dtype=np.float32)


def wear(photo: Pixels, pose: Pose, look: Look, wearing: Wearing, rng: np.random.Generator) -> Pixels:
    """Draw a mask onto a copy of a photo.

    Parameters
    ----------
    photo
        (H, W, 3) RGB.
    pose
        Where the face is, see :func:`facemask.synthesis.head_pose.fit`.
    wearing
        Where the mask sits.
    rng
        Fit, folds and grain; equal generators give equal pixels.

    Returns
    -------
    (H, W, 3)
        Nothing changes further than a few units from the mask and its ear loops.
    """
    where = looks.seat(wearing, pose.nose, rng)
    edge, loops = looks.outline(look.style, where), looks.loops(where)
    window = _window(pose, [edge, *loops], photo.shape[:2])
    if window is None:
        return photo.copy()
    x0, y0, x1, y1 = window
    part = photo[y0:y1, x0:x1].astype(np.float32)
    fine = 1 if pose.unit > 120 else 2 if pose.unit > 25 else 3
    corner, size = np.asarray((x0 - 0.5, y0 - 0.5)), (y1 - y0, x1 - x0)
    py, px = np.mgrid[0 : size[0] * fine, 0 : size[1] * fine].astype(np.float32)
    x, y = pose.locate((px + 0.5) / fine - 0.5 + x0, (py + 0.5) / fine - 0.5 + y0)

    colour, relief = looks.cloth(look, where, x, y, rng)
    colour *= _form(where, x, y, relief, pose.unit * fine)[..., None]
    cloth, x, y = (reduce(values, fine) for values in (colour, x, y))
    light, noise = _light(photo, part, x, y, pose.unit)
    cloth = np.clip(cloth * light[..., None], 0, 252) + np.float32(noise) * normal(rng, (*size, 1))
    if not np.ptp(part, axis=2).any():
        # A mask of colour on a grey photo would tell that it was drawn.
        cloth = np.repeat(_luma(cloth)[..., None], 3, axis=2)

    rough = 4 if pose.unit < 60 else 2
    cover, fallen = (fill([pose.project(line) - corner], size, rough) for line in (edge, edge + _FALL))
    shadow = blur(fallen, 0.09 * pose.unit)
    part *= 1 - 0.4 * (shadow * (1 - cover))[..., None]
    cord = stroke([pose.project(loop) - corner for loop in loops], 0.055 * pose.unit, size, rough)
    cord *= ramp(np.abs(x), EAR - 0.02, EAR - 0.2)
    thread = (
        np.float32(0.75 if look.colour != "black" else 0.9)
        * cloth.reshape(-1, 3)[cover.reshape(-1) > 0.99].mean(axis=0)
        if (cover > 0.99).any()
        else cloth
    )
    cast = blur(cord, max(0.05 * pose.unit, 0.3))
    part *= 1 - 0.25 * np.roll(cast, 1, axis=0)[..., None]
    part += (thread - part) * cord[..., None]
    part += (cloth - part) * cover[..., None]
    done = photo.copy()
    done[y0:y1, x0:x1] = np.rint(np.clip(part, 0, 255)).astype(np.uint8)
    return done


def _window(pose: Pose, lines: list[Floats32], shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Pixels that may change: x0, y0, x1, y1, or None if all of them lie outside."""
    points = np.vstack([pose.project(line) for line in lines])
    low = np.floor(points.min(axis=0) - 0.5 * pose.unit - 2).astype(int)
    high = np.ceil(points.max(axis=0) + 0.5 * pose.unit + 2).astype(int)
    x0, y0 = max(int(low[0]), 0), max(int(low[1]), 0)
    x1, y1 = min(int(high[0]), shape[1]), min(int(high[1]), shape[0])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _form(where: Seat, x: Floats32, y: Floats32, relief: Floats32, unit: float) -> Floats32:
    """Shading of the cloth (H, W), about 1: the face below it, its folds, its edges."""
    face = 0.45 * spot(x, y - 1.25, 0.55, 0.75) + 0.25 * spot(x, y - 2.95, 0.7, 0.45) - 0.1 * x * x
    slope_y, slope_x = np.gradient(blur(relief + face, max(0.02 * unit, 0.3)))
    shade = 1 - np.clip(0.55 * slope_y * -unit + 0.1 * slope_x * unit, -0.22, 0.3)
    shade *= 1 - 0.12 * ramp(np.abs(x), 1.2, 2.0) - 0.28 * ramp(y, 2.9, 3.9)
    return np.asarray(shade * (1 - 0.08 * ramp(np.abs(where.share(y) - 0.5), 0.44, 0.5)), dtype=np.float32)


def _light(photo: Pixels, part: Floats32, x: Floats32, y: Floats32, unit: float) -> tuple[Floats32, float]:
    """Light on the face (H, W), 1 in a bright photo, and the photo's grain in grey levels."""
    luma = _luma(part)
    skin = ((x / 1.6) ** 2 + ((y - 1.3) / 1.9) ** 2 < 1).astype(np.float32)
    if not skin.any():
        skin[:] = 1
    level = round(float(luma[skin > 0].mean(dtype=np.float64)), 3)
    near = blur(luma * skin, 0.7 * unit) / np.maximum(blur(skin, 0.7 * unit), np.float32(0.02))
    brightest = float(np.percentile(photo[::4, ::4].max(axis=2), 96))
    exposure = float(np.clip(0.4 * level / 165 + 0.6 * brightest / 232, 0.3, 1.05))
    root = np.sqrt(np.clip(near / max(level, 1.0), 0.55, 1.4))
    rough = np.abs(cv2.Laplacian(exact(luma), cv2.CV_64F))[skin > 0]
    return np.asarray(exposure * root * np.sqrt(root), np.float32), float(min(np.median(rough) / 3.035, 6.0))


def _luma(colour: Floats32) -> Floats32:
    red, green, blue = np.moveaxis(colour, 2, 0)
    return np.asarray(0.299 * red + 0.587 * green + 0.114 * blue, np.float32)
