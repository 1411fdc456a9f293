"""What the network sees: a stored crop, its matte and a background joined, at the network's size."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from facemask.runtime.arrays import Pixels
from facemask.settings import recipes


def fit(crop: Pixels, size: tuple[int, int]) -> Pixels:
    """Resize (H, W) or (H, W, 3) pixels to ``size`` (height, width)."""
    height, width = size
    if crop.shape[:2] == (height, width):
        return crop
    shrinks = height * width < crop.shape[0] * crop.shape[1]
    resized = cv2.resize(crop, (width, height), interpolation=cv2.INTER_AREA if shrinks else cv2.INTER_LINEAR)
    return np.asarray(resized, dtype=np.uint8)


def composite(photo: Pixels, matte: Pixels, fill: npt.NDArray[np.float32]) -> Pixels:
    """Lay a photo (H, W, 3) by its matte (H, W) on ``fill``, (3,) or (H, W, 3) in 0..255."""
    alpha = matte[..., None].astype(np.float32) / 255
    return np.rint(photo * alpha + fill * (1 - alpha)).astype(np.uint8)


def replace_background(photo: Pixels, matte: Pixels, background: str) -> Pixels:
    """Keep what the matte calls person and fill the rest.

    Parameters
    ----------
    photo
        (H, W, 3).
    matte
        (H, W), 255 for person, 0 for background.
    background
        ``keep``, ``black``, ``white``, ``mean`` (the photo's mean colour) or ``blur`` (the photo itself, blurred by
        an eighth of its height).
    """
    match background:
        case "keep":
            return photo
        case "black":
            fill = np.zeros(3, np.float32)
        case "white":
            fill = np.full(3, 255, np.float32)
        case "mean":
            fill = photo.mean((0, 1), dtype=np.float32)
        case "blur":
            fill = cv2.GaussianBlur(photo, (0, 0), photo.shape[0] / 8).astype(np.float32)
        case _:
            raise ValueError(f"background {background!r} is not one of keep, black, white, mean, blur")
    return composite(photo, matte, fill)


def compose(crop: Pixels, matte: Pixels | None, image: recipes.Image) -> Pixels:
    """Join a crop with its matte at ``image.size``; without a matte the background stays.

    Returns
    -------
    (height, width, 3) uint8
    """
    photo = fit(crop, image.size)
    if matte is None or image.background == "keep":
        return photo
    return replace_background(photo, fit(matte, image.size), image.background)
