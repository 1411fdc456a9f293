"""Read what the network sees of each manifest row: stored crop, matte and background joined."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import pandas as pd

from facemask.pixels import archive, codec
from facemask.pixels.boxes import Box, crop
from facemask.pixels.compose import compose, fit
from facemask.runtime import hardware
from facemask.runtime.arrays import Pixels
from facemask.runtime.errors import UserError
from facemask.settings import recipes

T = TypeVar("T")


class Row(NamedTuple):
    """One photo of a manifest: its set and key, whether a matte is stored, and the crop box in pixels of the photo.

    ``turn`` are the degrees by which the box is turned, NaN for an upright one.
    """

    set: str
    photo: str
    matte: bool
    box: Box
    turn: float = math.nan


def rows(manifest: pd.DataFrame) -> list[Row]:
    """Rows to read from a manifest table (see :data:`facemask.records.tables.MANIFEST`)."""
    boxes = manifest[["cx0", "cy0", "cx1", "cy1"]].to_numpy(np.float64).tolist()
    mattes = (manifest["matte"] == "ok").tolist()
    every = zip(manifest["set"], manifest["photo"], mattes, boxes, manifest["turn"].tolist(), strict=True)
    return [Row(name, photo, matte, (b[0], b[1], b[2], b[3]), turn) for name, photo, matte, b, turn in every]


class Composer:
    """Composed photos from what the photo stages store of them.

    Parameters
    ----------
    image
        Size and background.
    """

    def __init__(self, image: recipes.Image) -> None:
        self.image = image
        self._part: int | None = None

    def join(self, crop: bytes, matte: Pixels | None, box: Box, turn: float = math.nan) -> Pixels:
        """Return (height, width, 3) uint8 of a stored crop.

        Parameters
        ----------
        crop
            JPEG; all crops that one composer is given have one size.
        matte
            (H, W) of the whole photo, or None.
        box, turn
            What the crop shows of the photo, see :func:`facemask.pixels.boxes.crop`.
        """
        return compose(*self._aligned(crop, matte, box, turn), self.image)

    def _aligned(
        self, data: bytes, matte: Pixels | None, box: Box, turn: float
    ) -> tuple[Pixels, Pixels | None]:
        """Return the decoded crop, and its matte of the same size."""
        photo = self._decoded(data)
        return photo, None if matte is None else crop(matte, box, photo.shape[:2], turn)

    def _decoded(self, data: bytes) -> Pixels:
        """Decode a crop, no larger than it has to be; several threads may come first."""
        if self._part is None:
            sizes = zip(codec.decode_jpeg(data).shape, self.image.size, strict=False)
            most = max(1, min(stored // wanted for stored, wanted in sizes))
            self._part = max(part for part in codec.PARTS if part <= most)
        return codec.decode_jpeg(data, self._part)


class PhotoReader(Composer):
    """Composed photos by row.

    Parameters
    ----------
    faces
        Folder with a folder a set, each with ``crops.zip``.
    mattes
        The same with ``mattes.zip``; opened only if a background is to be replaced or mattes are asked for.
    image
        Size and background.
    """

    def __init__(self, faces: Path, mattes: Path, image: recipes.Image) -> None:
        super().__init__(image)
        self._crops = archive.Sets(faces, "crops.zip")
        self._stored_mattes = archive.Sets(mattes, "mattes.zip")
        self._with_mattes = image.background != "keep"

    def read(self, row: Row) -> Pixels:
        """Return (height, width, 3) uint8.

        Raises
        ------
        UserError
            If the archives and the manifest are out of step.
        """
        return compose(*self._stored(row), self.image)

    def stream(self, wanted: Sequence[Row], chunk: int) -> Iterator[Pixels]:
        """Yield (<= chunk, height, width, 3) arrays in order, decoding ahead in threads."""
        for photos in _ahead(self.read, wanted, chunk):
            yield np.stack(photos)

    def stream_with_mattes(self, wanted: Sequence[Row], chunk: int) -> Iterator[tuple[Pixels, Pixels]]:
        """Yield photos as :meth:`stream` does, and beside them their mattes (<= chunk, height, width).

        Mattes are cut and resized as their photos are; a photo without one is all person, 255.
        """
        self._with_mattes = True
        for pairs in _ahead(self._with_matte, wanted, chunk):
            photos, mattes = zip(*pairs, strict=True)
            yield np.stack(photos), np.stack(mattes)

    def _with_matte(self, row: Row) -> tuple[Pixels, Pixels]:
        photo, matte = self._stored(row)
        size = self.image.size
        return compose(photo, matte, self.image), np.full(size, 255, np.uint8) if matte is None else fit(
            matte, size
        )

    def _stored(self, row: Row) -> tuple[Pixels, Pixels | None]:
        """Return the crop and, where one is stored and wanted, its matte of the same size."""
        data = _entry(self._crops.of(row.set), f"{row.photo}.jpg")
        matte = None
        if self._with_mattes and row.matte:
            matte = codec.decode_matte(_entry(self._stored_mattes.of(row.set), f"{row.photo}.png"))
        return self._aligned(data, matte, row.box, row.turn)


def _entry(stored: archive.Reader, name: str) -> bytes:
    if name not in stored.names:
        raise UserError(
            f"{stored.path}: the manifest's {name} is missing: run `dvc repro` to bring them in step"
        )
    return stored.read(name)


def _ahead(read: Callable[[Row], T], wanted: Sequence[Row], chunk: int) -> Iterator[list[T]]:
    parts = [wanted[start : start + chunk] for start in range(0, len(wanted), chunk)]
    # OpenCV's own threads would fight with these over the same cores.
    cv2.setNumThreads(1)
    with ThreadPoolExecutor(hardware.cores()) as pool:
        ahead = [pool.map(read, part) for part in parts[:2]]
        for k in range(len(parts)):
            if k + 2 < len(parts):
                ahead.append(pool.map(read, parts[k + 2]))
            yield list(ahead[k])
            ahead[k] = iter(())
