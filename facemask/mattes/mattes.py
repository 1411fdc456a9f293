"""Mattes: how much of each pixel is person, by the method that the params name."""

from __future__ import annotations

import abc
import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, NamedTuple, assert_never

import cv2
import pandas as pd

from facemask.mattes import grabcut
from facemask.photos import memo, photos
from facemask.pixels import codec
from facemask.records import left_out
from facemask.records.roots import Roots
from facemask.runtime import executor
from facemask.runtime.arrays import Pixels
from facemask.settings import params

if TYPE_CHECKING:
    from facemask.mattes import saliency

STATUSES = ("ok", "empty", "none", "unreadable")
# Below this share of the photo there is nobody to be seen.
_NOBODY = 0.01


class Cutout(NamedTuple):
    """One photo's matte: ok, empty, none or unreadable; its mean 0..1; PNG bytes if ok."""

    status: str
    coverage: float
    png: bytes


class Matting(abc.ABC):
    """Separates the person; picklable, and cheap until the first photo comes."""

    preload: ClassVar[tuple[str, ...]] = ()

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """Hash all that the result depends on besides the photo."""

    @abc.abstractmethod
    def matte(self, photo: Pixels) -> Pixels | None:
        """Return the matte (H, W) of a photo (H, W, 3); None for no matte at all."""


@dataclass(frozen=True)
class GrabCut(Matting):
    """OpenCV's GrabCut with a portrait prior."""

    cfg: params.GrabCut
    preload: ClassVar[tuple[str, ...]] = ("facemask.mattes.mattes",)

    def fingerprint(self) -> str:
        """See :class:`Matting`."""
        return memo.fingerprint(
            self.cfg.model_dump(mode="json"),
            ["pixels", "mattes"],
            ["opencv-python-headless", "pillow", "numpy"],
        )

    def matte(self, photo: Pixels) -> Pixels | None:
        """See :class:`Matting`."""
        return grabcut.matte(photo, iterations=self.cfg.iterations, height=self.cfg.height)


@dataclass(frozen=True)
class Rembg(Matting):
    """One of rembg's networks, loaded when the first photo comes."""

    model: str
    weights: Path
    preload: ClassVar[tuple[str, ...]] = ("facemask.mattes.saliency", "facemask.mattes.mattes")

    def fingerprint(self) -> str:
        """See :class:`Matting`."""
        from facemask.mattes import saliency

        return memo.fingerprint(
            {"model": self.model, "providers": saliency.providers()},
            ["pixels", "mattes"],
            ["rembg", "onnxruntime", "pillow", "numpy"],
            [self.weights],
        )

    def matte(self, photo: Pixels) -> Pixels | None:
        """See :class:`Matting`."""
        return _network(self.model, self.weights).matte(photo)


@dataclass(frozen=True)
class NoMatting(Matting):
    """No mattes."""

    def fingerprint(self) -> str:
        """See :class:`Matting`."""
        return memo.fingerprint({}, ["pixels", "mattes"], ["pillow"])

    def matte(self, photo: Pixels) -> Pixels | None:
        """See :class:`Matting`."""
        return None


def build(cfg: params.Matting) -> Matting:
    """Make the method that ``cfg`` names.

    Raises
    ------
    UserError
        If a network is unknown or its weights cannot be found, see :func:`facemask.mattes.saliency.weights`.
    """
    match cfg:
        case params.GrabCut():
            return GrabCut(cfg)
        case params.Rembg():
            # rembg takes seconds to import: only where it is wanted.
            from facemask.mattes import saliency

            return Rembg(cfg.model, saliency.weights(cfg.model, cfg.path, cfg.sha256))
        case params.NoMatting():
            return NoMatting()
        case _:
            assert_never(cfg)


@functools.lru_cache(maxsize=1)
def _network(model: str, weights: Path) -> saliency.Network:
    from facemask.mattes import saliency

    return saliency.Network(model, weights)


def cut_out(matting: Matting, photo: Pixels) -> tuple[str, float, Pixels | None]:
    """Separate the person of a photo (H, W, 3): ok, empty or none; the matte's mean 0..1; the matte (H, W) if ok."""
    matte = matting.matte(photo)
    if matte is None:
        return "none", 0.0, None
    coverage = round(float(matte.mean()) / 255, 6)
    return ("ok", coverage, matte) if coverage >= _NOBODY else ("empty", coverage, None)


@dataclass(frozen=True)
class _Separate:
    matting: Matting
    where: Roots

    def __call__(self, some: Sequence[photos.Photo]) -> list[bytes]:
        cv2.setNumThreads(1)
        return [_pack(self._one(photo)) for photo in some]

    def _one(self, photo: photos.Photo) -> Cutout:
        try:
            pixels = codec.decode(photos.read(self.where, photo))
        except codec.UnreadableImage:
            return Cutout("unreadable", 0.0, b"")
        status, coverage, matte = cut_out(self.matting, pixels)
        return Cutout(status, coverage, b"" if matte is None else codec.encode_matte(matte))


def _pack(cutout: Cutout) -> bytes:
    return json.dumps([cutout.status, cutout.coverage]).encode() + b"\n" + cutout.png


def _unpack(data: bytes) -> Cutout:
    head, _, png = data.partition(b"\n")
    status, coverage = json.loads(head)
    return Cutout(status, coverage, png)


def separate(
    matting: Matting,
    some: Sequence[photos.Photo],
    where: Roots,
    kept: memo.Memo,
    pool: executor.Executor,
) -> Iterator[Cutout]:
    """Yield every photo's matte, in order."""
    work = photos.each(
        _Separate(matting, where),
        some,
        photos.keys(some, matting.fingerprint()),
        kept,
        functools.partial(pool, preload=matting.preload),
        chunk=16,
    )
    return map(_unpack, work)


def told(statuses: pd.Series[str]) -> str:
    """Say which photos have no matte, and why."""
    count = statuses.value_counts()
    reasons = {
        "unreadable": int(count.get("unreadable", 0)),
        "with nobody to be seen (whole photo kept)": int(count.get("empty", 0)),
    }
    return left_out.line("background_removal", len(statuses), "photos", reasons)


def report(result: pd.DataFrame) -> dict[str, object]:
    """Count photos by status; mean coverage."""
    whole = result[result["status"] == "ok"]
    return {
        "photos": len(result),
        "status": {status: int((result["status"] == status).sum()) for status in STATUSES},
        "coverage": round(float(whole["coverage"].mean()), 6) if len(whole) else None,
    }
