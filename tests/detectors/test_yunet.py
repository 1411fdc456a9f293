"""YuNet's boxes: in the photo's pixels, drawn as MTCNN draws them; a missing or foreign model is one clear line."""

from __future__ import annotations

import hashlib
from pathlib import Path

import cv2
import numpy as np
import pytest

from facemask.detectors import mtcnn, yunet
from facemask.faces import finders
from facemask.pixels import codec
from facemask.runtime.errors import UserError
from facemask.sample import contest, roster
from facemask.settings import params

NAME = "face_detection_yunet_2023mar.onnx"


def settings(path: Path, **changes: object) -> params.YuNet:
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest() if path.is_file() else "0" * 64
    plain = {"kind": "yunet", "path": str(path), "sha256": sha256, "score": 0.6, "height": 256}
    return params.YuNet.model_validate(plain | changes)


@pytest.fixture
def model(shared: Path) -> Path:
    """The real model."""
    path = shared / "models" / NAME
    if not path.is_file():
        pytest.skip(f"development data: ../shared/models/{NAME} is absent")
    return path


def read(paths: list[Path]) -> list[np.ndarray]:
    return [codec.decode(path.read_bytes()) for path in paths]


def iou(one: np.ndarray, other: np.ndarray) -> float:
    x0, y0 = np.maximum(one[:2], other[:2])
    x1, y1 = np.minimum(one[2:], other[2:])
    both = max(0, x1 - x0) * max(0, y1 - y0)
    return both / (np.prod(one[2:] - one[:2]) + np.prod(other[2:] - other[:2]) - both)


def test_boxes_are_moved_and_grown_around_their_centres_best_first() -> None:
    rows = yunet.drawn_alike(
        np.array([[100.0, 200, 100, 200], [0, 0, 10, 10]]), np.array([0.700049, 0.9]), np.zeros((2, 10))
    )[:, :5]
    assert rows[:, 4].tolist() == [0.9, 0.7]
    centre, sides = (rows[1, :2] + rows[1, 2:4]) / 2, rows[1, 2:4] - rows[1, :2]
    # A little to the left and down, and a little larger both ways.
    assert centre == pytest.approx([149.6, 301.0], abs=0.011)
    assert sides == pytest.approx([102.5, 203.2], abs=0.011)
    small = rows[0]
    assert (small[:2] + small[2:4]) / 2 == pytest.approx([4.96, 5.05], abs=0.011)


class Reddest:
    """Stands in for OpenCV's detector: boxes what is red in a BGR picture, and keeps what it was given."""

    def __init__(self) -> None:
        self.sizes: list[tuple[int, int]] = []

    def setInputSize(self, size: tuple[int, int]) -> None:  # noqa: N802  # OpenCV's name
        self.sizes.append(size)

    def detect(self, picture: np.ndarray) -> tuple[int, np.ndarray | None]:
        assert picture.shape == (*self.sizes[-1][::-1], 3)
        y, x = np.nonzero((picture[..., 2] > 128) & (picture[..., 0] < 128))
        if not len(x):
            return 1, None
        box = [x.min(), y.min(), x.max() + 1 - x.min(), y.max() + 1 - y.min()]
        return 1, np.array([[*box, *[0] * 10, 0.9]], dtype=np.float32)


@pytest.mark.parametrize(
    ("size", "searched"),
    [
        ((512, 384), (192, 256)),
        ((256, 256), (256, 256)),
        ((128, 160), (320, 256)),
        ((100, 4000), (1024, 26)),
        ((1, 1), (256, 256)),
    ],
)
def test_boxes_are_in_pixels_of_the_photo_whatever_it_is_searched_at(
    size: tuple[int, int], searched: tuple[int, int], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / NAME).write_bytes(b"model")
    net = Reddest()
    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: net)
    photo = np.zeros((*size, 3), dtype=np.uint8)
    y0, y1, x0, x1 = size[0] // 4, -(-size[0] * 3 // 4), size[1] // 4, size[1] // 2 + 1
    photo[y0:y1, x0:x1] = [255, 0, 0]
    blue = np.zeros((*size, 3), dtype=np.uint8) + np.array([0, 0, 255], dtype=np.uint8)
    found, nothing = yunet.Detector(settings(tmp_path / NAME)).find([photo, blue])
    wanted = yunet.drawn_alike(np.array([[x0, y0, x1 - x0, y1 - y0]]), np.array([0.9]), np.zeros((1, 10)))[
        :, :5
    ]
    assert net.sizes == [searched] * 2
    step = max(size[1] / searched[0], size[0] / searched[1])
    assert found == pytest.approx(wanted, abs=1.1 * max(1, step))
    assert nothing.shape == (0, 5)


def test_opencv_is_left_as_it_was(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / NAME).write_bytes(b"model")
    threads: list[int] = []

    class Net(Reddest):
        def detect(self, picture: np.ndarray) -> tuple[int, np.ndarray | None]:
            threads.append(cv2.getNumThreads())
            return super().detect(picture)

    monkeypatch.setattr(cv2.FaceDetectorYN, "create", lambda *_: Net())
    before, level = cv2.getNumThreads(), cv2.utils.logging.getLogLevel()
    cv2.setNumThreads(2)
    try:
        yunet.Detector(settings(tmp_path / NAME)).find([np.zeros((64, 64, 3), dtype=np.uint8)])
        assert (threads, cv2.getNumThreads()) == ([1], 2)
        assert cv2.utils.logging.getLogLevel() == level
    finally:
        cv2.setNumThreads(before)


@pytest.mark.parametrize("listed", [False, True])
def test_a_missing_model_says_what_to_fetch_and_where_to_put_it(tmp_path: Path, listed: bool) -> None:
    cfg: params.Finder = settings(tmp_path / "gone.onnx")
    if listed:
        first = params.Mtcnn(kind="mtcnn", min_face=56.12, thresholds=(0.6, 0.7, 0.7))
        cfg = params.InOrder(kind="in_order", finders=(first, cfg))
    with pytest.raises(
        UserError, match=rf"no file .*gone.onnx; fetch {NAME} of opencv_zoo.*models/pretrained/"
    ):
        finders.in_order(cfg)


def test_another_file_is_refused_by_its_hash(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"another")
    with pytest.raises(
        UserError, match=rf"sha256: .*{NAME} has [0-9a-f]{{64}}, not f{{64}};.*models/pretrained/"
    ):
        finders.build(settings(tmp_path / NAME, sha256="f" * 64))


def test_a_file_that_is_no_yunet_is_one_clear_line(tmp_path: Path) -> None:
    (tmp_path / NAME).write_bytes(b"no model at all")
    finder = finders.build(settings(tmp_path / NAME))
    with pytest.raises(UserError, match=r"OpenCV cannot run .* as YuNet \(.*\); put .* there"):
        finder.find([np.zeros((64, 64, 3), dtype=np.uint8)])


def test_a_network_of_another_kind_is_one_clear_line(shared: Path) -> None:
    other = shared / "models" / "portrait_selfie_320_b1.onnx"
    if not other.is_file():
        pytest.skip(f"development data: ../shared/models/{other.name} is absent")
    with pytest.raises(UserError, match=r"OpenCV cannot run .* as YuNet"):
        yunet.Detector(settings(other)).find([np.zeros((64, 64, 3), dtype=np.uint8)])


def test_the_memo_knows_the_model_by_its_hash(tmp_path: Path) -> None:
    prints = {}
    for name, content, change in (
        ("one", b"model", {}),
        ("moved", b"model", {}),
        ("other", b"other", {}),
        ("score", b"model", {"score": 0.7}),
        ("height", b"model", {"height": 320}),
    ):
        (tmp_path / name).write_bytes(content)
        prints[name] = finders.build(settings(tmp_path / name, **change)).fingerprint()
    assert prints["one"] == prints["moved"]
    assert len(set(prints.values())) == 4


@pytest.mark.slow
def test_drawn_faces_are_found(model: Path) -> None:
    job = contest.Job(0, 0, 0, roster.train(8, seed=0)[0])
    shots = contest.shoot(job)
    found = yunet.Detector(settings(model)).find([codec.decode(shot.photo) for shot in shots])
    centred = [any(x0 < 192 < x1 and y0 < 230 < y1 for x0, y0, x1, y1, _ in rows) for rows in found]
    assert len(centred) == 7
    assert centred[[shot.kind for shot in shots].index("normal")]
    assert sum(centred) >= 6


@pytest.mark.slow
def test_real_faces_are_boxed_as_mtcnn_boxes_them(model: Path, shared: Path) -> None:
    folders = sorted((shared / "data" / "realfaces" / "train" / "images").iterdir())
    # People at odd places had no part in fitting the rule.
    photos = read([next(folder.glob("normal.*")) for folder in folders[1:60:2]])
    overlaps = [
        iou(one[0, :4], other[0, :4]) if len(one) and len(other) else 0.0
        for one, other in zip(
            yunet.Detector(settings(model)).find(photos),
            mtcnn.Networks(56.12, (0.6, 0.7, 0.7)).find(photos),
            strict=True,
        )
    ]
    assert len(overlaps) == 30
    assert np.median(overlaps) >= 0.9
    assert min(overlaps) >= 0.75


def test_a_photos_boxes_do_not_depend_on_its_neighbours(model: Path, shared: Path) -> None:
    folder = sorted((shared / "data" / "realfaces" / "train" / "images").iterdir())[0]
    photos = read(sorted(folder.iterdir()))
    photos += [np.ascontiguousarray(photos[0][:300]), np.zeros((5, 300, 3), dtype=np.uint8), photos[0]]
    together = yunet.Detector(settings(model)).find(photos)
    alone = [yunet.Detector(settings(model)).find([photo])[0] for photo in photos]
    assert sum(len(rows) > 0 for rows in together) >= len(photos) - 2
    for one, other in zip(together, alone, strict=True):
        assert np.array_equal(one, other)
