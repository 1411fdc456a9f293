"""MTCNN finds what facenet-pytorch's own detector finds, whatever the batch; the memo changes nothing.

Of several finders each searches only what those before it left.
"""

from __future__ import annotations

import functools
import hashlib
from pathlib import Path

import numpy as np
import pytest
from pydantic import ValidationError

from facemask.detectors import mtcnn, yunet
from facemask.faces import finders
from facemask.photos import memo
from facemask.photos.photos import Photo
from facemask.pixels import codec
from facemask.records.roots import Roots
from facemask.runtime import executor
from facemask.settings import params

MTCNN = params.Mtcnn(kind="mtcnn", min_face=56.12, thresholds=(0.6, 0.7, 0.7))
ALONE, PAIR = (functools.partial(executor.processes, workers=workers) for workers in (1, 2))


@pytest.fixture(scope="module")
def networks() -> mtcnn.Networks:
    """Loaded once."""
    return mtcnn.Networks(MTCNN.min_face, MTCNN.thresholds)


def noise(height: int, width: int, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).integers(0, 256, (height, width, 3), dtype=np.uint8)


@pytest.fixture(scope="module")
def paths(shared: Path) -> list[Path]:
    """Twelve real photos of two people with all kinds of masks, and ten more people."""
    folders = sorted((shared / "data" / "realfaces" / "train" / "images").iterdir())
    return [*sorted(folders[0].iterdir()), *(folder / "normal.jpg" for folder in folders[1:6])]


@pytest.fixture(scope="module")
def faces(paths: list[Path]) -> list[np.ndarray]:
    """Their pixels."""
    return [codec.decode(path.read_bytes()) for path in paths if path.exists()]


def iou(one: np.ndarray, other: np.ndarray) -> float:
    x0, y0 = np.maximum(one[:2], other[:2])
    x1, y1 = np.minimum(one[2:], other[2:])
    both = max(0, x1 - x0) * max(0, y1 - y0)
    return both / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - both)


@pytest.mark.slow
def test_same_boxes_as_the_library(networks: mtcnn.Networks, faces: list[np.ndarray]) -> None:
    import facenet_pytorch

    library = facenet_pytorch.MTCNN(min_face_size=56.12, keep_all=True)
    for photo, found in zip(faces[::2], networks.find(faces[::2]), strict=True):
        boxes, scores = library.detect(photo)
        assert len(found) == (0 if boxes is None else len(boxes))
        for row in found:
            best = int(np.argmax([iou(row[:4], box) for box in boxes]))
            assert iou(row[:4], boxes[best]) > 0.999
            assert row[4] == pytest.approx(scores[best], abs=1e-3)


@pytest.mark.slow
def test_boxes_agree_with_the_librarys_defaults(networks: mtcnn.Networks, faces: list[np.ndarray]) -> None:
    import facenet_pytorch

    library = facenet_pytorch.MTCNN()
    overlaps = [
        iou(found[0, :4], library.detect(photo)[0][0])
        for photo, found in zip(faces[::2], networks.find(faces[::2]), strict=True)
        if len(found)
    ]
    assert len(overlaps) >= len(faces[::2]) - 1
    assert min(overlaps) >= 0.9


@pytest.mark.slow
def test_a_photos_boxes_do_not_depend_on_its_neighbours(
    networks: mtcnn.Networks, faces: list[np.ndarray]
) -> None:
    mixed = [*faces, noise(200, 150), np.ascontiguousarray(faces[0][:400])]
    together = networks.find(mixed)
    backwards = networks.find(mixed[::-1])[::-1]
    alone = [networks.find([photo])[0] for photo in mixed]
    for a, b, c in zip(together, backwards, alone, strict=True):
        assert np.array_equal(a, b)
        assert np.array_equal(a, c)


@pytest.mark.parametrize("size", [(1, 1), (5, 300), (56, 56), (57, 57), (90, 61)])
def test_small_and_odd_photos_pass(networks: mtcnn.Networks, size: tuple[int, int]) -> None:
    (rows,) = networks.find([noise(*size)])
    assert rows.shape[1] == 5


def test_nothing_in_nothing_out(networks: mtcnn.Networks) -> None:
    assert networks.find([]) == []
    blank = networks.find([np.full((512, 384, 3), 128, dtype=np.uint8)] * 3)
    assert [len(rows) for rows in blank] == [0, 0, 0]


@pytest.fixture
def indexed(tmp_path: Path) -> list[Photo]:
    """Three photos, the second one truncated."""
    made = []
    for k in range(3):
        data = codec.encode_jpeg(noise(60 + k, 48, seed=k))
        data = data[: len(data) // 2] if k == 1 else data
        (tmp_path / f"{k}.jpg").write_bytes(data)
        made.append(Photo(f"{k}.jpg", hashlib.sha256(data).hexdigest()))
    return made


def test_a_survey_reads_each_photo_once_and_keeps_what_it_saw(
    tmp_path: Path, indexed: list[Photo], monkeypatch: pytest.MonkeyPatch
) -> None:
    calls: list[int] = []

    class Counted:
        def __init__(self, *_: object) -> None:
            pass

        def landmarks(self, photos: list[np.ndarray]) -> list[np.ndarray]:
            calls.append(len(photos))
            return [np.array([[1.25, 2.5, 30.0, 40.75, 0.9876]])] * len(photos)

    monkeypatch.setattr(mtcnn, "Networks", Counted)
    finders._networks.cache_clear()
    finder = finders.build(MTCNN)
    kept = memo.Memo(tmp_path / "memo")
    first = list(finders.survey(finder, indexed, Roots(tmp_path, tmp_path, tmp_path), kept, ALONE))
    again = list(finders.survey(finder, indexed, Roots(tmp_path, tmp_path, tmp_path), kept, ALONE))
    kept.close()
    assert calls == [2]
    assert first[1] is None
    assert [one.size for one in first if one] == [(60, 48), (62, 48)]
    for one, other in zip(first, again, strict=True):
        assert (one is None) == (other is None)
        assert one is None or (one.size == other.size and np.array_equal(one.faces, other.faces))
    finders._networks.cache_clear()


@pytest.mark.parametrize(
    ("limit", "groups"), [(10**9, [(60, 62)]), (60 * 48 * 3, [(60, 62)]), (1, [(60,), (62,)])]
)
def test_large_photos_are_searched_a_few_at_a_time(
    tmp_path: Path,
    indexed: list[Photo],
    monkeypatch: pytest.MonkeyPatch,
    limit: int,
    groups: list[tuple[int, ...]],
) -> None:
    calls: list[tuple[int, ...]] = []

    def find(self: object, photos: list[np.ndarray]) -> list[np.ndarray]:
        calls.append(tuple(len(photo) for photo in photos))
        return [np.array([[0.0, 0.0, 1.0, len(photo), 0.9]]) for photo in photos]

    monkeypatch.setattr(finders, "_AT_ONCE", limit)
    monkeypatch.setattr(finders.MtcnnFinder, "find", find)
    where = Roots(tmp_path, tmp_path, tmp_path)
    seen = list(finders.survey(finders.build(MTCNN), indexed, where, memo.Memo(None), ALONE))
    assert [None if one is None else one.faces[0, 3] for one in seen] == [60, None, 62]
    assert calls == groups


def test_finders_that_do_not_search(tmp_path: Path, indexed: list[Photo]) -> None:
    nowhere = memo.Memo(None)
    whole = list(
        finders.survey(
            finders.build(params.NoFinder(kind="none")),
            indexed,
            Roots(tmp_path, tmp_path, tmp_path),
            nowhere,
            ALONE,
        )
    )
    assert [None if one is None else len(one.faces) for one in whole] == [0, None, 0]
    fixed = finders.build(params.Fixed(kind="fixed", box=(0.0, 0.5, 1.0, 1.0)))
    seen = list(finders.survey(fixed, indexed, Roots(tmp_path, tmp_path, tmp_path), nowhere, ALONE))
    assert seen[0] is not None
    assert seen[0].faces.tolist() == [[0, 30, 48, 60, 1]]
    assert len({fixed.fingerprint(), finders.build(MTCNN).fingerprint()}) == 2


def real(shared: Path) -> params.YuNet:
    path = shared / "models" / "face_detection_yunet_2023mar.onnx"
    if not path.is_file():
        pytest.skip(f"development data: ../shared/models/{path.name} is absent")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return params.YuNet(kind="yunet", path=str(path), sha256=sha256, score=0.6, height=256)


class Numbered(finders.Finder):
    """Finds a face in photos of some heights; keeps the heights that it is shown."""

    kind = "numbered"
    status = "found"
    searches = True

    def __init__(self, *heights: int) -> None:
        self.heights = heights
        self.shown: list[int] = []

    def fingerprint(self) -> str:
        return f"numbered {self.heights}"

    def find(self, pixels: list[np.ndarray]) -> list[np.ndarray]:
        self.shown += [len(photo) for photo in pixels]
        box = np.array([[0.0, 0.0, 10.0, 10.0, 0.9]])
        return [box + len(self.heights) if len(photo) in self.heights else box[:0] for photo in pixels]


def test_each_finder_searches_what_those_before_it_left(tmp_path: Path, indexed: list[Photo]) -> None:
    (tmp_path / "3.jpg").write_bytes(data := codec.encode_jpeg(noise(63, 48)))
    some = [*indexed, Photo("3.jpg", hashlib.sha256(data).hexdigest())]
    where, kept = Roots(tmp_path, tmp_path, tmp_path), memo.Memo(tmp_path / "memo")
    tried = Numbered(60), Numbered(60, 62), Numbered()
    seen = finders.search(tried, some, where, kept, ALONE)
    # The second photo is truncated: nobody is shown it.
    assert [finder.shown for finder in tried] == [[60, 62, 63], [62, 63], [63]]
    assert list(seen) == [photo.key for photo in some]
    assert [None if one is None else (one.by, len(one.faces)) for one in seen.values()] == [
        (0, 1),
        None,
        (1, 1),
        (2, 0),
    ]
    assert seen["2.jpg"] is not None
    assert seen["2.jpg"].faces[0, 0] == 2
    again = finders.search(tried, some, where, kept, ALONE)
    assert [len(finder.shown) for finder in tried] == [3, 2, 1]
    assert str(again) == str(seen)
    # What was found by one finder alone serves it in a list too, wherever it stands.
    finders.search(tried[1::-1], some, where, kept, ALONE)
    assert [finder.shown for finder in tried[:2]] == [[60, 62, 63], [62, 63, 60]]
    kept.close()


def test_lists_that_cannot_be_meant_are_refused() -> None:
    fixed = params.Fixed(kind="fixed", box=(0.0, 0.5, 1.0, 1.0))
    with pytest.raises(ValidationError, match="put it last"):
        params.InOrder(kind="in_order", finders=(fixed, MTCNN))
    with pytest.raises(ValidationError, match="at least 1"):
        params.InOrder(kind="in_order", finders=())
    tried = finders.in_order(params.InOrder(kind="in_order", finders=(MTCNN, fixed)))
    assert [finder.kind for finder in tried] == ["mtcnn", "fixed"]
    assert [finder.kind for finder in finders.in_order(MTCNN)] == ["mtcnn"]


@pytest.mark.slow
def test_two_finders_find_what_either_finds(
    shared: Path, paths: list[Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = [
        Photo(path.relative_to(shared).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in paths
        if path.exists()
    ]
    # So strict that it leaves some.
    strict = params.Mtcnn(kind="mtcnn", min_face=56.12, thresholds=(0.6, 0.7, 0.9995))
    both = params.InOrder(kind="in_order", finders=(strict, real(shared)))
    nowhere, where = memo.Memo(None), Roots(shared, shared, shared)

    def found(cfg: params.Finder, kept: memo.Memo = nowhere) -> dict[str, finders.Detection]:
        seen = finders.search(finders.in_order(cfg), some, where, kept, ALONE)
        return {
            key: detection
            for key, detection in seen.items()
            if detection is not None and len(detection.faces)
        }

    one, other, kept = found(strict), found(both.finders[1]), memo.Memo(tmp_path / "memo")
    together = found(both, kept)
    assert 0 < len(one) < len(some)
    assert set(together) == set(one) | set(other)
    assert {key for key, detection in together.items() if detection.by == 0} == set(one)
    for key, detection in together.items():
        assert np.array_equal(detection.faces, (one if detection.by == 0 else other)[key].faces)

    def refuse(*_: object) -> None:
        raise AssertionError("a network was asked for what the memo holds")

    finders._networks.cache_clear()
    finders._detector.cache_clear()
    with monkeypatch.context() as patched:
        patched.setattr(mtcnn, "Networks", refuse)
        patched.setattr(yunet, "Detector", refuse)
        assert str(found(both, kept)) == str(together)
    kept.close()


@pytest.mark.slow
def test_two_processes_find_what_one_finds(shared: Path) -> None:
    images = sorted((shared / "data" / "realfaces" / "train" / "images").glob("*/mask1.*"))[:40]
    some = [
        Photo(path.relative_to(shared).as_posix(), hashlib.sha256(path.read_bytes()).hexdigest())
        for path in images
    ]
    tried, where = finders.in_order(real(shared)), Roots(shared, shared, shared)
    one, two = (finders.search(tried, some, where, memo.Memo(None), pool) for pool in (ALONE, PAIR))
    assert len(one) == 40
    assert str(one) == str(two)
