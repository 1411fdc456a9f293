"""The photos of one set grouped by face: who is who is guessed from the faces alone, never from names."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final, assert_never

import numpy as np

from facemask.pixels import archive, codec
from facemask.recognition import framing, groups
from facemask.records import tables
from facemask.runtime import executor, hardware, progress
from facemask.runtime.arrays import Floats32, Ints
from facemask.settings import params, recipes

_CHUNK: Final = 16


def grouped(
    cfg: params.Consensus, faces: Path, name: str, photos: Sequence[str], apart: Ints | None = None
) -> Ints | None:
    """Group photos of one set, so that photos of different sets are never joined.

    Parameters
    ----------
    cfg
        How.
    faces
        Folder of face_crop, with a folder a set.
    name
        The set.
    photos
        (N,) keys.
    apart
        (N,) parts that are grouped each by itself, such as folds.

    Returns
    -------
    (N,) the group of each photo, numbered by the place of its first one; None where ``cfg`` asks for no groups. A photo
    in which no face was found is alone.

    Raises
    ------
    UserError
        If a file of face_crop is missing or damaged, or the network cannot be used.
    """
    match cfg:
        case recipes.Nothing():
            return None
        case params.ByIdentity():
            found = np.arange(len(photos), dtype=np.int64)
            seen, vectors = _vectors(cfg, faces, name, photos)
            parts = np.zeros(len(photos), dtype=np.int64) if apart is None else apart
            for part in np.unique(parts[seen]):
                ours = parts[seen] == part
                found[seen[ours]] = seen[ours][groups.find(vectors[ours], cfg.similarity)]
            return found
        case _:
            assert_never(cfg)


def _vectors(cfg: params.ByIdentity, faces: Path, name: str, photos: Sequence[str]) -> tuple[Ints, Floats32]:
    """Places of the photos in which a face was found, and a vector each."""
    # Its library takes half a second to import.
    from facemask.recognition import embedding

    boxes = tables.read(faces / name / tables.BOXES.name, tables.BOXES)
    place = {photo: number for number, photo in enumerate(photos)}
    jobs = framing.jobs(boxes[(boxes["status"] == "found") & boxes["photo"].isin(place)], name)
    embedding.require(cfg)
    with archive.Reader(faces / name / "crops.zip") as crops:

        def task(some: Sequence[framing.Job]) -> list[bytes]:
            images = [codec.decode_jpeg(crops.read(f"{job.photo}.jpg")) for job in some]
            squares = [framing.square(image, job.face) for image, job in zip(images, some, strict=True)]
            return embedding.vectors(cfg, squares)

        chunks = [jobs[start : start + _CHUNK] for start in range(0, len(jobs), _CHUNK)]
        parts = executor.threads(task, chunks, workers=hardware.cores())
        told = progress.track(parts, total=len(jobs), label=f"{name} faces told apart", size=len)
        rows = [np.frombuffer(row, np.float32) for part in told for row in part]
    seen = np.array([place[job.photo] for job in jobs], dtype=np.int64)
    order = np.argsort(seen)
    return seen[order], (np.stack(rows) if rows else np.zeros((0, 1), np.float32))[order]
