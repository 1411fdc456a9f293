"""Decoded photos, once, as bytes in a memory-mapped file: training never decodes a JPEG twice."""

from __future__ import annotations

import contextlib
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import numpy.typing as npt

from facemask import progress
from facemask.images.reader import Reader, Row

Pixels = npt.NDArray[np.uint8]

CHUNK = 256


@contextlib.contextmanager
def decoded(reader: Reader, rows: Sequence[Row], *, label: str) -> Iterator[Pixels]:
    """Yield the photos of ``rows``, (rows, height, width, 3) uint8, mapped from a file that goes with the block.

    The file keeps memory bounded: pages that do not fit are dropped by the system and read again.
    """
    with tempfile.TemporaryDirectory(prefix="facemask-") as folder:
        shape = (len(rows), *reader.image.size, 3)
        store = np.lib.format.open_memmap(Path(folder) / "pixels.npy", "w+", np.uint8, shape)
        chunks = progress.track(reader.stream(rows, CHUNK), total=len(rows), label=label, size=len)
        for k, photos in enumerate(chunks):
            store[k * CHUNK : k * CHUNK + len(photos)] = photos
        yield store
