"""What is measured of each photo: light, sharpness and colour of its crop, size of the face, share of person."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

import cv2
import numpy as np
import pandas as pd

from facemask.pixels import archive, codec
from facemask.runtime import executor, hardware
from facemask.runtime.arrays import Pixels

CHUNK: Final = 32


class Quantity(NamedTuple):
    """A measured quantity: its heading, unit and, for slices, what its lowest and highest quarter are called."""

    label: str
    unit: str
    low: str
    high: str


QUANTITIES: Final = {
    "brightness": Quantity("brightness", "mean of 0–255", "darkest", "brightest"),
    "contrast": Quantity("contrast", "standard deviation of 0–255", "flattest", "starkest"),
    "sharpness": Quantity("sharpness", "log₁₀ variance of the Laplacian", "most blurred", "sharpest"),
    "warmth": Quantity("warmth", "red minus blue, 0–255", "coolest", "warmest"),
    "face": Quantity("face height", "pixels of the photo", "smallest", "largest"),
    "score": Quantity("detector score", "0–1", "least certain", "most certain"),
    "coverage": Quantity("share of person", "0–1 of the photo", "least", "most"),
}


def measure(manifest: pd.DataFrame, boxes: pd.DataFrame, mattes: pd.DataFrame, crops: Path) -> pd.DataFrame:
    """Measure the readable photos of one set.

    Parameters
    ----------
    manifest
        Rows with ``photo`` and ``status``.
    boxes, mattes
        What face_crop and background_removal wrote of the set: :data:`facemask.records.tables.BOXES` and ``MATTES``.
    crops
        The set's ``crops.zip``.

    Returns
    -------
    pandas.DataFrame
        Indexed by photo in the manifest's order; a float column for each of :data:`QUANTITIES`, NaN where there is no
        face or no matte. Sharpness is the logarithm of the variance of the Laplacian (Pech-Pacheco and others, 2000).
    """
    keys = manifest["photo"][manifest["status"] == "ok"].tolist()
    chunks = [keys[start : start + CHUNK] for start in range(0, len(keys), CHUNK)]
    with archive.Reader(crops) as stored:

        def task(some: Sequence[str]) -> list[tuple[float, ...]]:
            return [_light(codec.decode_jpeg(stored.read(f"{key}.jpg"))) for key in some]

        parts = executor.threads(task, chunks, workers=hardware.cores())
        light = [row for part in parts for row in part]
    found = pd.DataFrame(light, index=pd.Index(keys, name="photo"), columns=list(QUANTITIES)[:4], dtype=float)
    box, matte = boxes.set_index("photo").loc[keys], mattes.set_index("photo").loc[keys]
    seen = box["status"] == "found"
    found["face"] = (box["y1"] - box["y0"]).where(seen)
    found["score"] = box["score"].where(seen)
    found["coverage"] = matte["coverage"].where(matte["status"] == "ok")
    return found


def _light(crop: Pixels) -> tuple[float, float, float, float]:
    """Brightness, contrast, sharpness and warmth of (H, W, 3)."""
    grey = cv2.cvtColor(crop, cv2.COLOR_RGB2GRAY)
    mean, deviation = cv2.meanStdDev(grey)
    _, edges = cv2.meanStdDev(cv2.Laplacian(grey, cv2.CV_16S))
    red, _, blue, _ = cv2.mean(crop)
    # A crop of one colour has no variance, and no logarithm.
    return mean.item(), deviation.item(), float(np.log10(edges.item() ** 2 + 1e-3)), red - blue
