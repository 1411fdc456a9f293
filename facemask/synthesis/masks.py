"""Masks drawn onto photos of bare faces, worn rightly or wrongly.

Outline, cloth and shading live in the face's own frame (:mod:`facemask.synthesis.head_pose`), and so follow a tilted or
slightly turned head. The photo's own brightness falls on the mask, and the mask's shadow on the face.
"""

from __future__ import annotations

from typing import Any, Final, Literal, assert_never

import cv2
import numpy as np
import numpy.typing as npt

from facemask.runtime.arrays import Floats, Floats32, Pixels
from facemask.synthesis import mask_looks
from facemask.synthesis.head_pose import Pose
from facemask.synthesis.mask_looks import Look, Seat, step

Wearing = Literal["right", "below_nose", "below_mouth", "on_eyes"]

_EAR: Final = 2.3
_FALL: Final = np.asarray((0, 0.05), dtype=np.float32)
_LUMA: Final = np.asarray((0.299, 0.587, 0.114), dtype=np.float32)


def seat(pose: Pose, wearing: Wearing, rng: np.random.Generator) -> Seat:
    """Draw how exactly a mask sits."""
    shift = float(rng.uniform(-1, 1))
    match wearing:
        case "right":
            return Seat(min(0.62 + 0.08 * shift, pose.nose - 0.4), 3.5 + 0.08 * shift, 0.42)
        case "below_nose":
            top = float(np.clip(pose.nose + 0.38 + 0.04 * shift, 1.5, 1.7))
            return Seat(top, 3.75 + 0.1 * shift, 0.12)
        case "below_mouth":
            return Seat(2.72 + 0.08 * shift, 4.2 + 0.1 * shift, -0.3)
        case "on_eyes":
            return Seat(-1.35 + 0.1 * shift, 0.85 + 0.12 * shift, 0.25)
        case _:
            assert_never(wearing)


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
    where = seat(pose, wearing, rng)
    edge = mask_looks.outline(look.style, where)
    loops = _loops(where)
    window = _window(pose, [edge, *loops], photo.shape[:2])
    if window is None:
        return photo.copy()
    x0, y0, x1, y1 = window
    part = photo[y0:y1, x0:x1].astype(np.float32)
    fine = 1 if pose.unit > 120 else 2 if pose.unit > 25 else 3
    size = (x1 - x0, y1 - y0)
    py, px = np.mgrid[0 : size[1] * fine, 0 : size[0] * fine].astype(np.float32)
    x, y = pose.locate((px + 0.5) / fine - 0.5 + x0, (py + 0.5) / fine - 0.5 + y0)

    colour, relief = mask_looks.cloth(look, where, x, y, rng)
    colour *= _form(where, x, y, relief, pose.unit * fine)[..., None]
    cloth = _small(colour, size)
    x, y = _small(x, size), _small(y, size)
    light, noise = _light(photo, part, x, y, pose.unit)
    cloth = np.clip(cloth * light[..., None], 0, 252) + noise * rng.standard_normal(
        (*cloth.shape[:2], 1), np.float32
    )
    if not np.ptp(part, axis=2).any():
        # A mask of colour on a grey photo would tell that it was drawn.
        cloth = np.repeat((cloth @ _LUMA)[..., None], 3, axis=2)

    rough = 4 if pose.unit < 60 else 2
    cover = _filled(pose.project(edge), window, rough)
    shadow = _blurred(_filled(pose.project(edge + _FALL), window, rough), 0.09 * pose.unit)
    part *= 1 - 0.4 * (shadow * (1 - cover))[..., None]
    cord = _stroked([pose.project(loop) for loop in loops], 0.055 * pose.unit, window, rough)
    cord *= step(np.abs(x), _EAR - 0.02, _EAR - 0.2)
    thread = (
        np.float32(0.75 if look.colour != "black" else 0.9)
        * cloth.reshape(-1, 3)[cover.reshape(-1) > 0.99].mean(axis=0)
        if (cover > 0.99).any()
        else cloth
    )
    cast = _blurred(cord, max(0.05 * pose.unit, 0.3))
    part *= 1 - 0.25 * np.roll(cast, 1, axis=0)[..., None]
    part += (thread - part) * cord[..., None]
    part += (cloth - part) * cover[..., None]
    done = photo.copy()
    done[y0:y1, x0:x1] = np.rint(np.clip(part, 0, 255)).astype(np.uint8)
    return done


def _loops(where: Seat) -> list[Floats32]:
    """Ear loops, from the mask's corners to behind the ears: (N, 2) each."""
    top = where.top + max(where.drop, -0.1) + 0.12
    low = where.top + 0.72 * (where.bottom - where.top)
    share = np.linspace(0, 1, 16)[:, None]
    loops = []
    for side in (-1.0, 1.0):
        for start, end, sag in (
            ((1.7, top), (_EAR, 0.1), 0.1),
            ((1.3, low), (_EAR, min(1.1, low + 0.3)), -0.12),
        ):
            line = np.asarray(start) * (1 - share) + np.asarray(end) * share
            bent = line + np.hstack([4 * share * (1 - share) * sag, np.zeros_like(share)])
            loops.append((bent * (side, 1)).astype(np.float32))
    return loops


def _window(pose: Pose, lines: list[Floats32], shape: tuple[int, ...]) -> tuple[int, int, int, int] | None:
    """Pixels that may change: x0, y0, x1, y1, or None if all of them lie outside."""
    points = np.vstack([pose.project(line) for line in lines])
    low = np.floor(points.min(axis=0) - 0.5 * pose.unit - 2).astype(int)
    high = np.ceil(points.max(axis=0) + 0.5 * pose.unit + 2).astype(int)
    x0, y0 = max(int(low[0]), 0), max(int(low[1]), 0)
    x1, y1 = min(int(high[0]), shape[1]), min(int(high[1]), shape[0])
    return (x0, y0, x1, y1) if x0 < x1 and y0 < y1 else None


def _filled(points: Floats, window: tuple[int, int, int, int], fine: int) -> Floats32:
    """Cover (H, W) 0..1 of a polygon within a window, antialiased by ``fine`` pixels a pixel and side."""
    size = (window[2] - window[0], window[3] - window[1])
    canvas = np.zeros((size[1] * fine, size[0] * fine), np.uint8)
    cv2.fillPoly(canvas, [_sixteenths(points, window, fine)], 255, cv2.LINE_AA, 4)
    return _small(canvas, size).astype(np.float32) / np.float32(255)


def _stroked(lines: list[Floats], width: float, window: tuple[int, int, int, int], fine: int) -> Floats32:
    """Cover (H, W) 0..1 of lines of a width in pixels, as :func:`_filled`."""
    size = (window[2] - window[0], window[3] - window[1])
    canvas = np.zeros((size[1] * fine, size[0] * fine), np.uint8)
    corners = [_sixteenths(line, window, fine) for line in lines]
    cv2.polylines(canvas, corners, False, 255, max(1, round(fine * width)), cv2.LINE_AA, 4)
    return _small(canvas, size).astype(np.float32) / np.float32(255)


def _sixteenths(points: Floats, window: tuple[int, int, int, int], fine: int) -> npt.NDArray[np.int32]:
    return np.rint(((points - window[:2] + 0.5) * fine - 0.5) * 16).astype(np.int32)


def _small(values: npt.NDArray[Any], size: tuple[int, int]) -> npt.NDArray[Any]:
    return np.asarray(cv2.resize(values, size, interpolation=cv2.INTER_AREA))


def _blurred(values: Floats32, sigma: float) -> Floats32:
    """Blur; a wide blur is made at a lower resolution, where it costs little."""
    coarse = max(1, int(sigma / 4))
    if coarse == 1:
        return np.asarray(cv2.GaussianBlur(values, (0, 0), sigma), dtype=np.float32)
    high, wide = values.shape
    small = _small(values, (max(1, wide // coarse), max(1, high // coarse)))
    blurred = cv2.GaussianBlur(small, (0, 0), sigma / coarse)
    return np.asarray(cv2.resize(blurred, (wide, high), interpolation=cv2.INTER_LINEAR), dtype=np.float32)


def _form(where: Seat, x: Floats32, y: Floats32, relief: Floats32, unit: float) -> Floats32:
    """Shading of the cloth (H, W), about 1: the face below it, its folds, its edges."""
    face = 0.45 * np.exp(-((x / 0.55) ** 2) - ((y - 1.25) / 0.75) ** 2)
    face += 0.25 * np.exp(-((x / 0.7) ** 2) - ((y - 2.95) / 0.45) ** 2) - 0.1 * x * x
    whole = (relief + face).astype(np.float32)
    slope_y, slope_x = np.gradient(_blurred(whole, max(0.02 * unit, 0.3)))
    shade = 1 - np.clip(0.55 * slope_y * -unit + 0.1 * slope_x * unit, -0.22, 0.3)
    shade *= 1 - 0.12 * step(np.abs(x), 1.2, 2.0) - 0.28 * step(y, 2.9, 3.9)
    rim = np.abs(where.share(y) - 0.5)
    return np.asarray(shade * (1 - 0.08 * step(rim.astype(np.float32), 0.44, 0.5)), dtype=np.float32)


def _light(photo: Pixels, part: Floats32, x: Floats32, y: Floats32, unit: float) -> tuple[Floats32, float]:
    """Light on the face (H, W), 1 in a bright photo, and the photo's grain in grey levels."""
    luma = part @ _LUMA
    skin = ((x / 1.6) ** 2 + ((y - 1.3) / 1.9) ** 2 < 1).astype(np.float32)
    if not skin.any():
        skin[:] = 1
    level = float((luma * skin).sum() / skin.sum())
    wide = 0.7 * unit
    near = _blurred(luma * skin, wide) / np.maximum(_blurred(skin, wide), 0.02)
    brightest = float(np.percentile(photo[::4, ::4].max(axis=2), 96))
    exposure = float(np.clip(0.4 * level / 165 + 0.6 * brightest / 232, 0.3, 1.05))
    local = np.clip(near / max(level, 1.0), 0.55, 1.4) ** 0.7
    rough = np.abs(cv2.Laplacian(luma, cv2.CV_32F))[skin > 0]
    return np.asarray(exposure * local, dtype=np.float32), float(min(np.median(rough) / 0.6745 / 4.5, 6.0))
