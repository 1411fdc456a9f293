"""What is measured on each crop of a face: perceptual hash, sharpness, brightness, and where the photo ends."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final, NamedTuple, assert_never

import cv2
import imagehash
import numpy as np
from PIL import Image

from facemask.pixels import archive, codec
from facemask.recognition import framing
from facemask.runtime import executor, progress
from facemask.runtime.arrays import Floats, Pixels
from facemask.settings import params

# A hash of 8 x 8 bits, the library's own, cannot tell drawn faces of one style apart.
HASH_SIDE: Final = 16
_CHUNK: Final = 64
# Columns beyond a photo's edge repeat it, but for what JPEG does to them.
_ALIKE: Final = 3.0
# Variance of luminance of a face without any shape, so that its sharpness is a number.
_FLAT: Final = 1.0


class Measure(NamedTuple):
    """What was measured.

    Attributes
    ----------
    hash
        Perceptual hash of the face, :data:`HASH_SIDE` squared bits, packed.
    sharpness
        Variance of the Laplacian over that of luminance, on the face: a dark face is not a blurred one.
    brightness
        Mean luminance of the face, 0..255.
    contrast
        Standard deviation of luminance over the whole crop; 0 if every pixel is the same.
    beyond
        Parts of the face that lie beyond the right and the lower edge of the photo, 0..1.
    vector
        float32 of length 1 from a face network, as bytes; empty without one.
    """

    hash: bytes
    sharpness: float
    brightness: float
    contrast: float
    beyond: tuple[float, float]
    vector: bytes


def measure(
    some: Sequence[framing.Job], faces: Path, network: params.FaceNetwork, pool: executor.Executor
) -> dict[str, Measure]:
    """Measure every crop.

    Parameters
    ----------
    some
        Crops of any sets.
    faces
        Folder of face_crop, with a folder a set.
    network
        What gives vectors.
    pool
        Who computes.

    Returns
    -------
    dict
        Photo -> what was measured, in the order of ``some``.
    """
    chunks = [some[start : start + _CHUNK] for start in range(0, len(some), _CHUNK)]
    preload = ["facemask.audit.measures"]
    parts: Iterator[list[Measure]] = pool(_Look(faces, network), chunks, preload=preload)
    told = progress.track(parts, total=len(some), label="faces measured", size=len)
    return dict(zip((job.photo for job in some), (one for part in told for one in part), strict=True))


@dataclass(frozen=True)
class _Look:
    faces: Path
    network: params.FaceNetwork

    def __call__(self, some: Sequence[framing.Job]) -> list[Measure]:
        with archive.Sets(self.faces, "crops.zip") as crops:
            images = [codec.decode_jpeg(crops.of(job.photos).read(f"{job.photo}.jpg")) for job in some]
        squares = [framing.square(image, job.face) for image, job in zip(images, some, strict=True)]
        vectors = _vectors(self.network, squares)
        return [
            one(image, job.face, vector) for image, job, vector in zip(images, some, vectors, strict=True)
        ]


def _vectors(network: params.FaceNetwork, faces: Sequence[Pixels]) -> list[bytes]:
    match network:
        case params.NoNetwork():
            return [b""] * len(faces)
        case params.OnnxNetwork():
            # Its library takes half a second to import.
            from facemask.recognition import embedding

            return embedding.vectors(network, faces)
        case _:
            assert_never(network)


def one(image: Pixels, face: tuple[float, float, float, float], vector: bytes = b"") -> Measure:
    """Measure one crop (H, W, 3), in which the face lies where ``face`` says."""
    grey = np.asarray(cv2.cvtColor(image, cv2.COLOR_RGB2GRAY), np.uint8)
    part = _face(grey, face)
    return Measure(
        hash=np.packbits(imagehash.phash(Image.fromarray(part), hash_size=HASH_SIDE).hash).tobytes(),
        sharpness=float(cv2.Laplacian(part, cv2.CV_64F).var() / max(float(part.var()), _FLAT)),
        brightness=float(part.mean()),
        contrast=float(grey.std()),
        beyond=(_beyond(grey, face), _beyond(grey.T, (face[1], face[0], face[3], face[2]))),
        vector=vector,
    )


def _face(image: Pixels, face: tuple[float, float, float, float]) -> Pixels:
    high, wide = image.shape[:2]
    x0, y0, x1, y1 = np.clip(np.rint(np.array(face) * [wide, high, wide, high]), 0, [wide, high, wide, high])
    # A borrowed or hand-made box may be narrower than a pixel.
    left, top = min(int(x0), wide - 1), min(int(y0), high - 1)
    return np.ascontiguousarray(image[top : max(int(y1), top + 1), left : max(int(x1), left + 1)])


def _beyond(grey: Pixels, face: tuple[float, float, float, float]) -> float:
    """Part of the face's width that only repeats the last column: what lies beyond the photo's right edge."""
    x0, _, x1, _ = face
    wide = grey.shape[1]
    rows = _face(grey, (0.0, face[1], 1.0, face[3])).astype(np.float64)
    differs: Floats = np.abs(rows - rows[:, -1:]).mean(axis=0)
    kept = np.flatnonzero(differs > _ALIKE)
    edge = float(kept[-1] + 1) / wide if len(kept) else 0.0
    return float(np.clip((x1 - max(edge, x0)) / (x1 - x0), 0.0, 1.0)) if len(kept) and x1 > edge else 0.0
