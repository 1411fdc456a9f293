"""Replacement of the background as augmentation: the same person before a colour, a blur, another photo."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from facemask.pixels.compose import composite, fit
from facemask.runtime.arrays import Pixels
from facemask.settings import recipes


class Backgrounds:
    """Draw a new background for a photo; the result depends on the photos, the row and the draws alone.

    Parameters
    ----------
    cfg
        How often, and what the background may become.
    photos
        (rows, H, W, 3): all photos of the training side, and none of another, since other photos are taken from here.
    """

    def __init__(self, cfg: recipes.Swap, photos: Pixels) -> None:
        self.cfg, self.photos = cfg, photos

    def __call__(self, row: int, matte: Pixels, generator: np.random.Generator) -> Pixels:
        """Put the photo at ``row`` before another background.

        Parameters
        ----------
        matte
            (H, W) of that photo, 255 for person.

        Returns
        -------
        (H, W, 3) uint8
        """
        photo: Pixels = self.photos[row]
        if generator.random() >= self.cfg.p:
            return photo
        match self.cfg.fills[int(generator.integers(len(self.cfg.fills)))]:
            case "colour":
                fill = generator.integers(0, 256, 3).astype(np.float32)
            case "blur":
                fill = _blurred(photo)
            case "photo":
                if len(self.photos) < 2:
                    return photo
                # Skips the photo itself.
                other = int(generator.integers(len(self.photos) - 1))
                fill = self.photos[other + (other >= row)].astype(np.float32)
        return composite(photo, matte, fill)


def _blurred(photo: Pixels) -> npt.NDArray[np.float32]:
    """Blur by an eighth of the height; made small first, since a wide kernel takes longer than all other steps."""
    height, width = photo.shape[:2]
    small = fit(photo, (max(height // 8, 1), max(width // 8, 1))).astype(np.float32)
    blurred = cv2.GaussianBlur(small, (0, 0), max(small.shape[0] / 8, 0.5))
    return np.asarray(cv2.resize(blurred, (width, height), interpolation=cv2.INTER_LINEAR), dtype=np.float32)
