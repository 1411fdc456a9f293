"""Mattes: a drawn portrait is found, empties are told, rembg's networks are named rightly or refused clearly."""

from __future__ import annotations

import functools
import hashlib
import time
import types
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
import requests
from sklearn.metrics import jaccard_score

from facemask.mattes import grabcut, mattes, saliency
from facemask.photos import memo
from facemask.photos.photos import Photo
from facemask.pixels import codec
from facemask.records.roots import Roots
from facemask.runtime import executor
from facemask.runtime.errors import UserError
from facemask.sample import contest
from facemask.settings import params

GRABCUT = params.GrabCut(kind="grabcut", iterations=2, height=96)
ALONE, PAIR = (functools.partial(executor.processes, workers=workers) for workers in (1, 2))


def rembg(model: str, path: str | None = None, sha256: str | None = None) -> params.Rembg:
    if path is not None and Path(path).is_file():
        sha256 = sha256 or hashlib.sha256(Path(path).read_bytes()).hexdigest()
    return params.Rembg(kind="rembg", model=model, path=path, sha256=sha256)


def portrait(seed: int = 0, size: tuple[int, int] = (256, 192)) -> tuple[np.ndarray, np.ndarray]:
    """A drawn head and shoulders on a gradient, and its true matte."""
    high, wide = size
    rng = np.random.default_rng(seed)
    truth = np.zeros(size, dtype=np.uint8)
    x, y = int(wide * rng.uniform(0.45, 0.55)), int(high * rng.uniform(0.36, 0.42))
    cv2.ellipse(truth, (x, y), (int(wide * 0.22), int(high * 0.24)), 0, 0, 360, 255, -1)
    cv2.rectangle(truth, (x - wide // 10, y), (x + wide // 10, high), 255, -1)
    cv2.ellipse(truth, (x, int(high * 1.05)), (int(wide * 0.46), int(high * 0.3)), 0, 0, 360, 255, -1)
    ground = np.linspace(150, 230, high)[:, None, None] * np.array([0.8, 1.0, 1.0])
    photo = np.where(truth[..., None] > 0, np.array([150, 90, 70]), ground) + rng.normal(0, 4, (*size, 3))
    return photo.clip(0, 255).astype(np.uint8), truth


def iou(matte: np.ndarray, truth: np.ndarray) -> float:
    """Intersection over union of two mattes cut at 128."""
    return float(jaccard_score(truth.ravel() >= 128, matte.ravel() >= 128))


@pytest.mark.parametrize("seed", range(3))
def test_grabcut_finds_a_drawn_portrait(seed: int) -> None:
    photo, truth = portrait(seed)
    matte = grabcut.matte(photo, iterations=2, height=96)
    assert matte.shape == truth.shape
    assert matte.dtype == np.uint8
    assert iou(matte, truth) > 0.95


@pytest.mark.slow
def test_grabcut_finds_the_drawn_people_by_the_shipped_settings(params_yaml: dict[str, Any]) -> None:
    matting = mattes.build(params.GrabCut.model_validate(params_yaml["background_removal"]["matting"]))
    people = contest.jobs(params.SampleData(train_people=8, eval_people=2, seed=7))[::5]
    overlaps = []
    for shot in (shot for person in people for shot in contest.shoot(person)):
        matte = matting.matte(codec.decode(shot.photo))
        assert matte is not None
        overlaps.append(iou(matte, codec.decode_matte(shot.matte)))
    assert len(overlaps) == 14
    # Measured: 0.991 and 0.970; over all of the sample's 1,120 photos the mean is 0.974.
    assert np.mean(overlaps) > 0.96
    assert min(overlaps) > 0.9


def test_grabcut_repeats_whatever_came_before() -> None:
    photo, _ = portrait()
    first = grabcut.matte(photo, iterations=2, height=96)
    grabcut.matte(portrait(5)[0], iterations=3, height=64)
    cv2.setRNGSeed(99)
    assert np.array_equal(first, grabcut.matte(photo, iterations=2, height=96))


@pytest.mark.parametrize(
    "photo", [np.full((64, 48, 3), 90, np.uint8), np.zeros((1, 1, 3), np.uint8), portrait(0, (9, 7))[0]]
)
def test_grabcut_survives_plain_and_tiny_photos(photo: np.ndarray) -> None:
    assert grabcut.matte(photo, iterations=1, height=96).shape == photo.shape[:2]


class Stub(mattes.Matting):
    """Its matte is the photo's red channel; a fully blue photo has none."""

    def __init__(self) -> None:
        self.calls = 0

    def fingerprint(self) -> str:
        return "stub"

    def matte(self, photo: np.ndarray) -> np.ndarray | None:
        self.calls += 1
        return None if photo[0, 0, 2] > 200 else np.ascontiguousarray(photo[..., 0])


@pytest.fixture
def indexed(tmp_path: Path) -> list[Photo]:
    """Red, black, blue and truncated."""
    made = []
    for name, colour in (("a", (255, 0, 0)), ("b", (0, 0, 0)), ("c", (0, 0, 255)), ("d", (255, 0, 0))):
        data = codec.encode_jpeg(np.full((40, 30, 3), colour, dtype=np.uint8))
        data = data[:-60] if name == "d" else data
        (tmp_path / name).write_bytes(data)
        made.append(Photo(name, hashlib.sha256(data).hexdigest()))
    return made


def test_every_photo_gets_a_status_and_the_memo_saves_the_work(tmp_path: Path, indexed: list[Photo]) -> None:
    stub, kept = Stub(), memo.Memo(tmp_path / "memo")
    first = list(mattes.separate(stub, indexed, Roots(tmp_path, tmp_path, tmp_path), kept, ALONE))
    assert [one.status for one in first] == ["ok", "empty", "none", "unreadable"]
    assert first[0].coverage == pytest.approx(1, abs=0.02)
    assert codec.decode_matte(first[0].png).shape == (40, 30)
    assert all(one.png == b"" for one in first[1:])
    assert stub.calls == 3
    assert list(mattes.separate(stub, indexed, Roots(tmp_path, tmp_path, tmp_path), kept, ALONE)) == first
    assert stub.calls == 3
    kept.close()


def test_mattes_are_the_same_whatever_the_number_of_processes(tmp_path: Path) -> None:
    made = []
    for k in range(20):
        data = codec.encode_jpeg(portrait(k, (48, 36))[0])
        (tmp_path / f"{k}").write_bytes(data)
        made.append(Photo(f"{k}", hashlib.sha256(data).hexdigest()))
    matting, nowhere, where = mattes.build(GRABCUT), memo.Memo(None), Roots(tmp_path, tmp_path, tmp_path)
    alone = list(mattes.separate(matting, made, where, nowhere, ALONE))
    assert list(mattes.separate(matting, made, where, nowhere, PAIR)) == alone


@pytest.fixture
def offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty folder for weights, and a network that refuses connections."""
    for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    monkeypatch.setenv("NO_PROXY", "")
    monkeypatch.setenv("no_proxy", "")
    monkeypatch.setenv("U2NET_HOME", str(tmp_path / "weights"))
    return tmp_path / "weights"


def test_unknown_models_are_refused_with_the_nearest() -> None:
    with pytest.raises(UserError, match=r"no model 'u2nett'; did you mean .*u2net.*known: "):
        mattes.build(rembg("u2nett"))
    for unfit in ("sam", "u2net_cloth_seg", "withoutbg"):
        with pytest.raises(UserError, match="no model"):
            mattes.build(rembg(unfit))


def test_missing_weights_are_told_within_seconds(offline: Path) -> None:
    start = time.monotonic()
    with pytest.raises(
        UserError, match=r"no network.*fetch u2net\.onnx.*put it at .*weights/models/u2net/u2net\.onnx"
    ):
        mattes.build(rembg("u2net"))
    assert time.monotonic() - start < 10
    assert not offline.exists()


def test_a_download_that_fails_half_way_is_one_clear_line(
    offline: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(requests, "head", lambda *_, **__: None)
    with pytest.raises(UserError, match=r"fetch u2net\.onnx"):
        mattes.build(rembg("u2net"))


def test_custom_models_want_a_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="name it here"):
        mattes.build(rembg("u2net_custom"))
    with pytest.raises(UserError, match=r"matting\.path: no file .*absent\.onnx; put the ONNX file there"):
        mattes.build(rembg("u2net_custom", str(tmp_path / "absent.onnx"), "0" * 64))
    with pytest.raises(UserError, match="set path and sha256 to null"):
        mattes.build(rembg("u2net", "somewhere.onnx"))
    (tmp_path / "broken.onnx").write_bytes(b"no network")
    with pytest.raises(UserError, match=r"matting\.sha256: .*broken\.onnx has "):
        mattes.build(rembg("u2net_custom", str(tmp_path / "broken.onnx"), "0" * 64))
    matting = mattes.build(rembg("u2net_custom", str(tmp_path / "broken.onnx")))
    with pytest.raises(UserError, match=r"broken\.onnx: onnxruntime cannot run it as this model"):
        matting.matte(np.zeros((8, 8, 3), dtype=np.uint8))


@pytest.mark.parametrize(
    "error",
    [
        ValueError("Invalid mode for data type"),
        TypeError("Cannot handle this data type"),
        UnicodeDecodeError("utf-8", b"\x80", 0, 1, "invalid start byte"),
    ],
)
def test_whatever_the_libraries_raise_of_a_network_is_one_clear_line(
    error: Exception, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As damaged networks made them: pixels of another kind, and lines of error that are no text."""

    def fail(*_: object, **__: object) -> object:
        raise error

    (tmp_path / "odd.onnx").write_bytes(b"")
    session = types.SimpleNamespace(predict=fail)
    monkeypatch.setattr(saliency, "new_session", lambda *_, **__: session)
    network = saliency.Network("u2net_custom", tmp_path / "odd.onnx")
    with pytest.raises(UserError, match=r"odd\.onnx: onnxruntime cannot run it as this model"):
        network.matte(np.zeros((8, 8, 3), dtype=np.uint8))
    if isinstance(error, UnicodeDecodeError):
        monkeypatch.setattr(saliency, "new_session", fail)
        with pytest.raises(UserError, match=r"odd\.onnx: onnxruntime cannot run it as this model"):
            saliency.Network("u2net_custom", tmp_path / "odd.onnx")


def test_a_custom_network_separates_real_people(shared: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("U2NET_HOME", "/nowhere")
    file = shared / "models" / "portrait_selfie_320_b1.onnx"
    matting = mattes.build(rembg("u2net_custom", str(file)))
    folders = sorted((shared / "data" / "realfaces" / "train" / "images").iterdir())[:2]
    for photo in (codec.decode((folder / "mask1.jpg").read_bytes()) for folder in folders):
        matte = matting.matte(photo)
        assert matte is not None
        assert matte.shape == photo.shape[:2]
        assert matte[200:260, 180:210].min() > 200
        assert matte[:20, :40].max() < 60
        assert iou(matte, grabcut.matte(photo, iterations=2, height=160)) > 0.8


def test_a_network_of_another_kind_is_one_clear_line(shared: Path) -> None:
    matting = mattes.build(
        rembg("u2net_custom", str(shared / "models" / "face_detection_yunet_2023mar.onnx"))
    )
    with pytest.raises(UserError, match=r"yunet_2023mar\.onnx: onnxruntime cannot run it as this model"):
        matting.matte(portrait()[0])


@pytest.mark.parametrize("place", [".u2net/u2netp.onnx", ".rembg/models/u2netp/u2netp.onnx"])
def test_weights_below_the_user_s_home_are_those_that_run(
    place: str, shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("U2NET_HOME", "REMBG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(requests, "head", lambda *_, **__: pytest.fail("asked the network"))
    (tmp_path / place).parent.mkdir(parents=True)
    (tmp_path / place).write_bytes((shared / "models" / "portrait_selfie_320_b1.onnx").read_bytes())
    assert mattes.build(rembg("u2netp")).matte(portrait()[0]) is not None


def test_a_named_model_in_its_place_needs_no_network(shared: Path, offline: Path) -> None:
    offline.mkdir()
    (offline / "u2netp.onnx").write_bytes((shared / "models" / "portrait_selfie_320_b1.onnx").read_bytes())
    matting = mattes.build(rembg("u2netp"))
    assert matting.matte(portrait()[0]) is not None
    custom = mattes.build(rembg("u2net_custom", str(offline / "u2netp.onnx")))
    assert matting.fingerprint() != custom.fingerprint()


def test_a_constant_output_is_an_empty_matte(shared: Path) -> None:
    network = saliency.Network("u2net_custom", shared / "models" / "portrait_selfie_320_b1.onnx")

    class Constant:
        def run(self, *_: object) -> list[np.ndarray]:
            return [np.full((1, 1, 320, 320), 0.5, dtype=np.float32)]

        def get_inputs(self) -> list[object]:
            return network_inputs

    network_inputs = network._session.inner_session.get_inputs()
    network._session.inner_session = Constant()
    assert not network.matte(portrait()[0]).any()
