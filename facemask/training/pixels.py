"""Decoded photos, once, as bytes in a memory-mapped file: training never decodes a JPEG twice."""

from __future__ import annotations

import contextlib
import math
import tempfile
from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from rich import filesize

from facemask.network.reader import PhotoReader, Row
from facemask.runtime import files, progress, shortages
from facemask.runtime.arrays import Pixels
from facemask.runtime.errors import UserError

CHUNK = 256


class Decoded(NamedTuple):
    """Photos (rows, height, width, 3) and, if asked for, their mattes (rows, height, width), all uint8."""

    photos: Pixels
    mattes: Pixels | None


@contextlib.contextmanager
def decoded(
    reader: PhotoReader, rows: Sequence[Row], *, label: str, mattes: bool = False
) -> Iterator[Decoded]:
    """Yield the photos of ``rows``, mapped from files that no folder lists, so that nothing outlives the process.

    The files keep memory bounded: pages that do not fit are dropped by the system and read again.

    Parameters
    ----------
    label
        What the progress line calls this.
    mattes
        Whether mattes are wanted too; a photo without one is all person, 255.

    Raises
    ------
    UserError
        If the disk of temporary files has no room for them.
    """
    shape = (len(rows), *reader.image.size)
    photos = _store((*shape, 3))
    if not mattes:
        chunks = progress.track(reader.stream(rows, CHUNK), total=len(rows), label=label, size=len)
        for k, part in enumerate(chunks):
            photos[k * CHUNK : k * CHUNK + len(part)] = part
        yield Decoded(photos, None)
        return
    masks = _store(shape)
    pairs = progress.track(
        reader.stream_with_mattes(rows, CHUNK),
        total=len(rows),
        label=label,
        size=lambda pair: len(pair[0]),
    )
    for k, (part, mask) in enumerate(pairs):
        place = slice(k * CHUNK, k * CHUNK + len(part))
        photos[place], masks[place] = part, mask
    yield Decoded(photos, masks)


def stacked(above: Pixels, below: Pixels, rows: npt.NDArray[np.int64]) -> Pixels:
    """``above`` with the given rows of ``below`` under it, mapped from a file that goes with the array."""
    whole = _store((len(above) + len(rows), *above.shape[1:]))
    for start in range(0, len(above), CHUNK):
        whole[start : start + CHUNK][: len(above) - start] = above[start : start + CHUNK]
    for start in range(0, len(rows), CHUNK):
        part = rows[start : start + CHUNK]
        whole[len(above) + start :][: len(part)] = below[part]
    return whole


def _store(shape: tuple[int, ...]) -> Pixels:
    size = math.prod(shape)
    try:
        with tempfile.TemporaryFile(prefix="facemask-") as file:
            # Writing to a mapped page that the disk has no room for would kill the process.
            files.reserve(file, size)
            store: Pixels = np.memmap(file, np.uint8, "w+", shape=shape)
    except OSError as error:
        wanted, where = filesize.decimal(size), shortages.temporary()
        raise UserError(
            f"no room for the decoded photos, {wanted} ({error.strerror}): {shortages.room(where)}; make room, or set "
            "TMPDIR to a folder on a larger disk"
        ) from None
    return store
