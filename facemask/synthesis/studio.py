"""A person's seven photos out of one photo of the bare face."""

from __future__ import annotations

import functools
import hashlib
import io
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

import numpy as np
from PIL import Image, JpegImagePlugin

from facemask.masks import looks
from facemask.pixels import codec, kinds
from facemask.runtime.arrays import Pixels
from facemask.runtime.errors import UserError
from facemask.settings import params
from facemask.synthesis import head_pose, masks

if TYPE_CHECKING:
    from facemask.detectors import mtcnn


MASKS: Final = tuple(f"mask{n}" for n in range(1, 6))
PRELOAD: Final = ("facemask.detectors.mtcnn", "facemask.synthesis.studio")
NO_FACE: Final = "no face found"
TURNED: Final = "the face is turned too far for a mask"
_MIN_FACE: Final = 20 / 0.709
_THRESHOLDS: Final = (0.6, 0.7, 0.7)


@dataclass(frozen=True)
class Bare:
    """A photo of a bare face: its path below the folder of faces, and the person, who decides on the masks."""

    photo: str
    person: str


@dataclass(frozen=True)
class Portraits:
    """What became of a photo.

    Attributes
    ----------
    reason
        Why there are none, or empty.
    files
        File name -> bytes, in the order of the kinds.
    """

    reason: str
    files: dict[str, bytes]


@dataclass(frozen=True)
class Studio:
    """Takes a chunk of faces, gives their portraits; picklable, so that processes may share the work."""

    cfg: params.Synthesise
    root: Path

    def __call__(self, some: Sequence[Bare]) -> list[Portraits]:
        """Make the portraits of each face; they depend on ``cfg``, the person and the photo's bytes alone."""
        return [self._one(face) for face in some]

    def _one(self, face: Bare) -> Portraits:
        path = self.root / face.photo
        try:
            data = path.read_bytes()
        except OSError as error:
            raise UserError(f"{path}: {error.strerror or error}") from None
        try:
            pixels = codec.decode(data)
        except codec.UnreadableImage as error:
            return Portraits(f"unreadable: {error}", {})
        faces = _networks().landmarks([pixels])[0]
        if not len(faces):
            return Portraits(NO_FACE, {})
        x0, y0, x1, y1 = faces[:, :4].T
        pose = head_pose.fit(faces[int(np.argmax((x1 - x0) * (y1 - y0))), 5:])
        if pose is None:
            return Portraits(TURNED, {})
        return Portraits("", draw(self.cfg, face.person, data, pixels, pose))


def draw(
    cfg: params.Synthesise, person: str, data: bytes, pixels: Pixels, pose: head_pose.Pose
) -> dict[str, bytes]:
    """Make the seven photos, by file name.

    Parameters
    ----------
    person
        Decides, together with ``cfg.seed``, which masks are drawn.
    data, pixels
        The photo as a file and decoded. The file itself is ``normal``, unless it is neither JPEG nor PNG.
    """
    suffix, encode = _encoder(data)
    # Five masks that differ need one draw for all of them.
    drawn = looks.draw(cfg.styles, generator(cfg.seed, person, "looks"), len(MASKS) + 1)
    files = {}
    for kind, look in zip(MASKS, drawn, strict=False):
        image = masks.wear(pixels, pose, look, "right", generator(cfg.seed, person, kind))
        files[f"{kind}.{suffix}"] = encode(image)
    rng = generator(cfg.seed, person, "incorrect_mask")
    wrong = cfg.wrong[int(rng.integers(len(cfg.wrong)))]
    files[f"incorrect_mask.{suffix}"] = encode(masks.wear(pixels, pose, drawn[-1], wrong, rng))
    files[f"normal.{suffix}"] = encode(pixels) if _format(data) is None else data
    return files


def generator(seed: int, person: str, kind: str) -> np.random.Generator:
    """Return the generator of one photo, the same wherever and in whatever order photos are drawn."""
    digest = hashlib.sha256(f"{person}/{kind}".encode()).digest()
    return np.random.default_rng([seed, *np.frombuffer(digest[:16], "<u4").tolist()])


def _format(data: bytes) -> str | None:
    # A phone's MPO is a JPEG with a second picture behind it.
    return {"JPEG": "jpg", "PNG": "png"}.get(kinds.photo(data) or "")


def _encoder(data: bytes) -> tuple[str, Callable[[Pixels], bytes]]:
    """File ending, and a way to encode pixels as ``data`` was: how a photo is stored must not tell its class."""
    if _format(data) == "png":
        return "png", _encode_png
    if _format(data) is None:
        return "jpg", codec.encode_jpeg
    with Image.open(io.BytesIO(data), formats=["JPEG"]) as image:
        tables = getattr(image, "quantization", None)
        if not tables or image.mode != "RGB":
            return "jpg", codec.encode_jpeg
        subsampling = JpegImagePlugin.get_sampling(image)
    return "jpg", functools.partial(_encode_jpeg, tables=tables, subsampling=max(subsampling, 0))


def _encode_png(pixels: Pixels) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "PNG")
    return stream.getvalue()


def _encode_jpeg(pixels: Pixels, *, tables: dict[int, list[int]], subsampling: int) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", qtables=tables, subsampling=subsampling)
    return stream.getvalue()


@functools.lru_cache(maxsize=1)
def _networks() -> mtcnn.Networks:
    # torch takes seconds to import: only where a photo is really searched.
    from facemask.detectors import mtcnn

    return mtcnn.Networks(_MIN_FACE, _THRESHOLDS)
