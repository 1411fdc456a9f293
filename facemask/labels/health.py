"""Which photo files can be read at all, and what is in them: a content hash."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from typing import Final

import pandas as pd

from facemask.pixels import codec
from facemask.records.roots import PREFIX, Roots
from facemask.runtime import executor, progress
from facemask.runtime.errors import UserError

# Decoding leaves the interpreter's lock, and a slow disk is waited for by several.
THREADS: Final = 4
CHUNK: Final = 16


def check(where: Roots, keys: Iterable[str]) -> pd.DataFrame:
    """Hash and decode every photo.

    Returns
    -------
    pandas.DataFrame
        photo, sha256 (empty if the file cannot be opened), status (``ok`` or ``unreadable``) and reason (empty if
        it can be read), in the order of ``keys``.

    Raises
    ------
    UserError
        If a whole part of a data set cannot be read.
    """

    def one(photo: str) -> tuple[str, str, str, str]:
        try:
            content = where.path(photo).read_bytes()
        except OSError as error:
            return photo, "", "unreadable", error.strerror or str(error)
        digest = hashlib.sha256(content).hexdigest()
        try:
            codec.verify(content)
        except codec.UnreadableImage as error:
            return photo, digest, "unreadable", str(error)
        return photo, digest, "ok", ""

    def several(chunk: Sequence[str]) -> list[tuple[str, str, str, str]]:
        return [one(photo) for photo in chunk]

    photos = list(keys)
    chunks = [photos[start : start + CHUNK] for start in range(0, len(photos), CHUNK)]
    parts = executor.threads(several, chunks, workers=THREADS)
    told = progress.track(parts, total=len(photos), label="photos checked", size=len)
    rows = [row for part in told for row in part]
    checked = pd.DataFrame(rows, columns=["photo", "sha256", "status", "reason"], dtype=str)
    for place, part in checked.groupby(checked["photo"].map(_part)):
        if (part["status"] != "ok").all():
            first = f"{where.path(part['photo'].iloc[0])} ({part['reason'].iloc[0]})"
            folder = where.path(str(place))
            raise UserError(
                f"{folder}: none of {len(part)} photos can be read, such as {first}; copy them anew"
            )
    return checked


def _part(key: str) -> str:
    """Name the side of its data set that a photo belongs to, such as ``train/images``."""
    parts = key.split("/")
    start = 2 if parts[0] == PREFIX else 0
    return "/".join(parts[: start + (1 if parts[start] == "unlabelled" else 2)])
