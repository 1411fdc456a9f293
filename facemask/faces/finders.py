"""Finders of faces: raw detections of each photo, before one is chosen."""

from __future__ import annotations

import abc
import functools
import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, ClassVar, Final, NamedTuple, assert_never

import numpy as np

from facemask.detectors import yunet
from facemask.photos import memo, photos
from facemask.pixels import codec
from facemask.records.roots import Roots
from facemask.runtime import executor, progress
from facemask.runtime.arrays import Floats, Pixels
from facemask.settings import params

if TYPE_CHECKING:
    from facemask.detectors import mtcnn

# Bytes of decoded photos that are searched together.
_AT_ONCE: Final = 3 * codec.LARGE


class Detection(NamedTuple):
    """What was seen in one photo.

    Attributes
    ----------
    size
        Height and width of the photo, pixels.
    faces
        (N, 5) x0, y0, x1, y1 in pixels and score 0..1, best first.
    by
        Which of several finders looked last: its place among them.
    points
        (N, 10) x and y in pixels of five landmarks of each face, see :data:`facemask.records.tables.POINTS`; None from
        a finder that sees none.
    """

    size: tuple[int, int]
    faces: Floats
    by: int = 0
    points: Floats | None = None


class Finder(abc.ABC):
    """Gives each photo its faces; picklable, and cheap until the first photo comes.

    Attributes
    ----------
    kind
        What the params call it.
    status
        What a photo with a box of its own is called.
    searches
        Whether it may find nothing.
    preload
        Modules that it needs to find.
    """

    kind: ClassVar[str]
    status: ClassVar[str]
    searches: ClassVar[bool] = False
    preload: ClassVar[tuple[str, ...]] = ()

    @abc.abstractmethod
    def fingerprint(self) -> str:
        """Hash all that the result depends on besides the photo."""

    @abc.abstractmethod
    def find(self, pixels: Sequence[Pixels]) -> list[Floats]:
        """Return each photo's faces: (N, 5) x0, y0, x1, y1, score; or (N, 15) with landmarks too."""


@dataclass(frozen=True)
class MtcnnFinder(Finder):
    """facenet-pytorch's MTCNN; the networks are loaded when the first photo comes."""

    cfg: params.Mtcnn
    kind: ClassVar[str] = "mtcnn"
    status: ClassVar[str] = "found"
    searches: ClassVar[bool] = True
    preload: ClassVar[tuple[str, ...]] = ("facemask.detectors.mtcnn", "facemask.faces.finders")

    def fingerprint(self) -> str:
        """See :class:`Finder`."""
        return memo.fingerprint(
            self.cfg.model_dump(mode="json"),
            rooms=["pixels", "detectors", "faces"],
            packages=["facenet-pytorch", "torch", "torchvision", "opencv-python-headless", "pillow", "numpy"],
        )

    def find(self, pixels: Sequence[Pixels]) -> list[Floats]:
        """See :class:`Finder`."""
        return _networks(self.cfg).landmarks(pixels)


@dataclass(frozen=True)
class YunetFinder(Finder):
    """YuNet; the model is loaded when the first photo comes."""

    cfg: params.YuNet
    kind: ClassVar[str] = "yunet"
    status: ClassVar[str] = "found"
    searches: ClassVar[bool] = True
    preload: ClassVar[tuple[str, ...]] = ("facemask.faces.finders",)

    def fingerprint(self) -> str:
        """See :class:`Finder`."""
        # The model is known by its hash: where its file lies changes nothing.
        return memo.fingerprint(
            self.cfg.model_dump(mode="json", exclude={"path"}),
            rooms=["pixels", "detectors", "faces"],
            packages=["opencv-python-headless", "pillow", "numpy"],
        )

    def find(self, pixels: Sequence[Pixels]) -> list[Floats]:
        """See :class:`Finder`."""
        return _detector(self.cfg).landmarks(pixels)


@dataclass(frozen=True)
class FixedFinder(Finder):
    """The same box, as fractions of the photo, everywhere."""

    cfg: params.Fixed
    kind: ClassVar[str] = "fixed"
    status: ClassVar[str] = "fixed"

    def fingerprint(self) -> str:
        """See :class:`Finder`."""
        return memo.fingerprint(
            self.cfg.model_dump(mode="json"), ["pixels", "detectors", "faces"], ["pillow"]
        )

    def find(self, pixels: Sequence[Pixels]) -> list[Floats]:
        """See :class:`Finder`."""
        x0, y0, x1, y1 = self.cfg.box
        relative = np.array([[x0, y0, x1, y1, 1.0]])
        return [relative * [w, h, w, h, 1.0] for h, w in (photo.shape[:2] for photo in pixels)]


@dataclass(frozen=True)
class NoFinder(Finder):
    """No box: the whole photo."""

    kind: ClassVar[str] = "none"
    status: ClassVar[str] = "frame"

    def fingerprint(self) -> str:
        """See :class:`Finder`."""
        return memo.fingerprint({}, ["pixels", "detectors", "faces"], ["pillow"])

    def find(self, pixels: Sequence[Pixels]) -> list[Floats]:
        """See :class:`Finder`."""
        return [np.zeros((0, 5))] * len(pixels)


def build(cfg: params.Mtcnn | params.YuNet | params.Fixed | params.NoFinder) -> Finder:
    """Make the finder that ``cfg`` names.

    Raises
    ------
    UserError
        If its model's file is missing or another one, see :func:`facemask.detectors.yunet.model`.
    """
    match cfg:
        case params.Mtcnn():
            return MtcnnFinder(cfg)
        case params.YuNet():
            yunet.model(cfg)
            return YunetFinder(cfg)
        case params.Fixed():
            return FixedFinder(cfg)
        case params.NoFinder():
            return NoFinder()
        case _:
            assert_never(cfg)


def in_order(cfg: params.Finder) -> tuple[Finder, ...]:
    """Make the finders that ``cfg`` names, in the order in which they are tried; see :func:`build`."""
    return tuple(map(build, cfg.finders)) if isinstance(cfg, params.InOrder) else (build(cfg),)


@functools.lru_cache(maxsize=1)
def _networks(cfg: params.Mtcnn) -> mtcnn.Networks:
    # torch takes seconds to import: only where a photo is really searched.
    from facemask.detectors import mtcnn

    return mtcnn.Networks(cfg.min_face, cfg.thresholds)


@functools.lru_cache(maxsize=1)
def _detector(cfg: params.YuNet) -> yunet.Detector:
    return yunet.Detector(cfg)


@dataclass(frozen=True)
class _Detect:
    finder: Finder
    where: Roots

    def __call__(self, some: Sequence[photos.Photo]) -> list[bytes]:
        found: list[bytes] = []
        waiting: list[Pixels | None] = []
        for photo in some:
            try:
                waiting.append(codec.decode(photos.read(self.where, photo)))
            except codec.UnreadableImage:
                waiting.append(None)
            # Thirty-two photos of 64 megapixels would take 6 GB.
            if sum(one.size for one in waiting if one is not None) > _AT_ONCE:
                found += self._found(waiting)
                waiting = []
        return found + self._found(waiting) if waiting else found

    def _found(self, pixels: Sequence[Pixels | None]) -> list[bytes]:
        found = iter(self.finder.find([one for one in pixels if one is not None]))
        return [_pack(one, next(found)) if one is not None else b"null" for one in pixels]


def _pack(pixels: Pixels, faces: Floats) -> bytes:
    return json.dumps({"size": pixels.shape[:2], "faces": faces.tolist()}).encode()


def _unpack(data: bytes) -> Detection | None:
    content = json.loads(data)
    if content is None:
        return None
    height, width = content["size"]
    return seen((height, width), np.array(content["faces"], dtype=np.float64))


def seen(size: tuple[int, int], rows: Floats, by: int = 0) -> Detection:
    """Detection of what :meth:`Finder.find` gave for one photo."""
    if not len(rows):
        return Detection(size, np.zeros((0, 5)), by)
    return Detection(size, rows[:, :5], by, rows[:, 5:] if rows.shape[1] > 5 else None)


def survey(
    finder: Finder, some: Sequence[photos.Photo], where: Roots, kept: memo.Memo, pool: executor.Executor
) -> Iterator[Detection | None]:
    """Yield what the finder sees in every photo, in order; None for one that cannot be decoded."""
    keys = photos.keys(some, finder.fingerprint())
    work = photos.each(
        _Detect(finder, where), some, keys, kept, functools.partial(pool, preload=finder.preload)
    )
    return map(_unpack, work)


def search(
    tried: Sequence[Finder],
    some: Sequence[photos.Photo],
    where: Roots,
    kept: memo.Memo,
    pool: executor.Executor,
) -> dict[str, Detection | None]:
    """Give every photo's key what was seen in it; None for one that cannot be decoded.

    Parameters
    ----------
    tried
        The first searches all photos, each further one those in which none was found before it.
    """
    seen: dict[str, Detection | None] = {}
    left = list(some)
    for by, finder in enumerate(tried):
        found = survey(finder, left, where, kept, pool)
        label = "faces" if len(tried) == 1 else f"faces, {finder.kind}"
        detections = progress.track(found, total=len(left), label=label)
        for photo, detection in zip(left, detections, strict=True):
            seen[photo.key] = detection._replace(by=by) if detection is not None else None
        left = [
            photo for photo in left if (detection := seen[photo.key]) is not None and not len(detection.faces)
        ]
    return seen
