"""Read what the network sees of each manifest row: stored crop, matte and background joined."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import cv2
import numpy as np
import numpy.typing as npt
import pandas as pd

from facemask import hardware, params
from facemask.errors import UserError
from facemask.images import archive, codec
from facemask.images.boxes import crop
from facemask.images.compose import compose

Photos = npt.NDArray[np.uint8]


class Row(NamedTuple):
    """One photo of a manifest: its key, whether a matte is stored, and the crop box in pixels of the photo."""

    photo: str
    matte: bool
    box: tuple[float, float, float, float]


def rows(manifest: pd.DataFrame) -> list[Row]:
    """Rows to read from a manifest table (see :data:`facemask.records.tables.TRAIN`)."""
    boxes = manifest[["cx0", "cy0", "cx1", "cy1"]].to_numpy(np.float64).tolist()
    mattes = (manifest["matte"] == "ok").tolist()
    return [
        Row(p, m, (b[0], b[1], b[2], b[3])) for p, m, b in zip(manifest["photo"], mattes, boxes, strict=True)
    ]


class Reader:
    """Composed photos by row.

    Parameters
    ----------
    faces
        Folder with ``crops.zip``.
    mattes
        Folder with ``mattes.zip``; opened only if a background is to be replaced.
    image
        Size and background.
    """

    def __init__(self, faces: Path, mattes: Path, image: params.Image) -> None:
        self.image = image
        self._crops = archive.Reader(faces / "crops.zip")
        self._mattes = archive.Reader(mattes / "mattes.zip") if image.background != "keep" else None

    def read(self, row: Row) -> Photos:
        """Return (height, width, 3) uint8.

        Raises
        ------
        UserError
            If the archives and the manifest are out of step.
        """
        try:
            photo = codec.decode(self._crops.read(f"{row.photo}.jpg"))
            matte = None
            if self._mattes is not None and row.matte:
                whole = codec.decode_matte(self._mattes.read(f"{row.photo}.png"))
                matte = crop(whole, row.box, photo.shape[:2])
        except KeyError as error:
            raise UserError(
                f"{error.args[0]} is in the manifest but not in the archive: run `dvc repro` to bring them in step"
            ) from None
        return compose(photo, matte, self.image)

    def stream(self, wanted: Sequence[Row], chunk: int) -> Iterator[Photos]:
        """Yield (<= chunk, height, width, 3) arrays in order, decoding ahead in threads."""
        parts = [wanted[start : start + chunk] for start in range(0, len(wanted), chunk)]
        # OpenCV's own threads would fight with these over the same cores.
        cv2.setNumThreads(1)
        with ThreadPoolExecutor(hardware.cores()) as pool:
            ahead = [pool.map(self.read, part) for part in parts[:2]]
            for k in range(len(parts)):
                if k + 2 < len(parts):
                    ahead.append(pool.map(self.read, parts[k + 2]))
                yield np.stack(list(ahead[k]))
                ahead[k] = iter(())
