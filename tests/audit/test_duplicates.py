"""The same face under two names, or in training and in eval photos."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pandas as pd
import pytest
from onnx import TensorProto, helper

from facemask.audit import duplicates, measures
from facemask.recognition import embedding, framing
from facemask.runtime.errors import UserError
from facemask.settings import params


def seen(face: int, *, changed: int = 0, contrast: float = 50.0, vector: bytes = b"") -> measures.Measure:
    """What is measured on a face of which so many bits of the hash differ from other photos of it."""
    bits = np.random.default_rng(face).integers(0, 2, duplicates.BITS, dtype=np.uint8)
    bits[:changed] ^= 1
    return measures.Measure(np.packbits(bits).tobytes(), 400.0, 120.0, contrast, (0.0, 0.0), vector)


def row(photo: str, which: str = "labelled", **other: object) -> dict[str, object]:
    person = photo.split("/")[0]
    labels = {"person": person, "folder": person, "gender": 0, "age": 30, "fold": 0} | other
    return {"photo": photo, "set": which} | labels


def audit(toy_yaml: dict[str, Any], **changes: object) -> params.Audit:
    return params.Audit.model_validate_json(json.dumps(toy_yaml["audit"] | changes))


def pairs(
    cfg: params.Audit, rows: list[dict[str, object]], measured: dict[str, measures.Measure]
) -> list[tuple[str, str]]:
    return sorted((one.photo, one.other) for one in duplicates.find(cfg, pd.DataFrame(rows), measured))


def test_a_face_under_two_names_is_found_once_and_by_its_closest_photos(toy_yaml: dict[str, Any]) -> None:
    cfg = audit(toy_yaml)
    rows = [row("a/1"), row("a/2"), row("b/1", fold=1), row("b/2", fold=1), row("c/1", fold=2)]
    measured = {
        "a/1": seen(1),
        "a/2": seen(2),
        "b/1": seen(1, changed=9),
        "b/2": seen(2, changed=3),
        "c/1": seen(3),
    }
    (found,) = duplicates.find(cfg, pd.DataFrame(rows), measured)
    assert (found.photo, found.other, found.reason) == ("a/2", "b/2", "same face, hash")
    assert found.given == "a male 30 in fold 0; b male 30 in fold 1"
    assert found.field == ""


def test_the_distance_is_the_limit_itself(toy_yaml: dict[str, Any]) -> None:
    rows = [row("a/1"), row("b/1", fold=1)]
    for changed, expected in ((10, 1), (11, 0)):
        measured = {"a/1": seen(1), "b/1": seen(1, changed=changed)}
        assert len(pairs(audit(toy_yaml, hash_distance=10), rows, measured)) == expected


def test_pairs_that_do_no_harm_are_left_out(toy_yaml: dict[str, Any]) -> None:
    cfg = audit(toy_yaml)

    def alike(first: dict[str, object], second: dict[str, object]) -> bool:
        measured = {str(first["photo"]): seen(1), str(second["photo"]): seen(1, changed=2)}
        return bool(pairs(cfg, [first, second], measured))

    # Photos of one person, kept in one fold with equal labels, or barred from training.
    assert not alike(row("a/1"), row("a/2"))
    assert not alike(row("a/1"), row("b/1"))
    assert not alike(row("a/1", fold=1), row("x/1", "extra", fold=-1))
    assert not alike(row("x/1", "eval"), row("y/1", "eval"))
    assert not alike(row("x/1", "extra", fold=-2), row("y/1", "extra", fold=-2))
    assert alike(row("a/1"), row("b/1", fold=-1))
    assert alike(row("a/1"), row("b/1", age=31))
    assert alike(row("a/1"), row("b/1", gender=1))
    assert alike(row("a/1"), row("x/1", "extra", fold=-2))
    assert alike(row("a/1"), row("x/1", "eval", fold=-1))


def test_blank_and_unreadable_photos_show_nobody(toy_yaml: dict[str, Any]) -> None:
    rows = [row("a/1"), row("b/1", fold=1), row("c/1", fold=2), row("d/1", fold=3)]
    measured = {"a/1": seen(1), "b/1": seen(1, contrast=0.5), "c/1": seen(1, contrast=0.5)}
    assert pairs(audit(toy_yaml), rows, measured) == []
    assert pairs(audit(toy_yaml), rows, {}) == []


def network(
    path: Path, shape: tuple[int | str, ...] = ("N", 3, 4, 4), *, strided: bool = False
) -> dict[str, object]:
    """An ONNX file whose features are the mean colours of the face; returns the params that name it."""
    source = helper.make_tensor_value_info("data", TensorProto.FLOAT, list(shape))
    target = helper.make_tensor_value_info("features", TensorProto.FLOAT, None)
    node = helper.make_node("AveragePool", ["data"], ["features"], kernel_shape=[2, 2], strides=[2, 2])
    model = helper.make_model(
        helper.make_graph([node], "mean", [source], [target]), opset_imports=[helper.make_opsetid("", 15)]
    )
    model.ir_version = 8
    onnx.save(model, str(path))
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return {"kind": "onnx", "path": str(path), "sha256": sha256, "mean": 0.0, "std": 1.0, "similarity": 0.99}


def colour(*rgb: int) -> np.ndarray:
    return np.full((10, 8, 3), rgb, np.uint8)


def test_a_network_finds_faces_that_its_vectors_put_together(
    toy_yaml: dict[str, Any], tmp_path: Path
) -> None:
    cfg = audit(toy_yaml, network=network(tmp_path / "net.onnx"))
    assert isinstance(cfg.network, params.OnnxNetwork)
    red, reddish, blue = embedding.vectors(
        cfg.network, [colour(200, 10, 10), colour(100, 5, 6), colour(10, 10, 200)]
    )
    assert np.linalg.norm(np.frombuffer(red, np.float32)) == pytest.approx(1)
    rows = [row("a/1"), row("b/1", fold=1), row("c/1", fold=2)]
    measured = {"a/1": seen(1, vector=red), "b/1": seen(2, vector=reddish), "c/1": seen(3, vector=blue)}
    (found,) = duplicates.find(cfg, pd.DataFrame(rows), measured)
    assert (found.photo, found.other, found.reason) == ("a/1", "b/1", "same face, network")


def test_a_file_that_is_no_such_network_is_refused_in_one_line(
    toy_yaml: dict[str, Any], tmp_path: Path
) -> None:
    def refuse(what: str, **changes: object) -> None:
        cfg = audit(toy_yaml, network=known | changes).network
        assert isinstance(cfg, params.OnnxNetwork)
        with pytest.raises(UserError, match=what) as caught:
            embedding.require(cfg)
        assert "\n" not in str(caught.value)

    known = network(tmp_path / "net.onnx")
    refuse("audit.network.path: no file", path="nowhere.onnx")
    refuse("audit.network.sha256", sha256="0" * 64)
    known = network(tmp_path / "flat.onnx", ("N", 3, "H", "W"))
    refuse("its inputs are")
    known = network(tmp_path / "grey.onnx", ("N", 1, 4, 4))
    refuse("is no network")
    (tmp_path / "text.onnx").write_text("no network")
    known |= {"path": str(tmp_path / "text.onnx"), "sha256": hashlib.sha256(b"no network").hexdigest()}
    refuse("is no network")


def test_a_map_of_features_keeps_its_places(toy_yaml: dict[str, Any], tmp_path: Path) -> None:
    known = network(tmp_path / "net.onnx", ("N", 3, 64, 64))
    cfg = audit(toy_yaml, network=known).network
    assert isinstance(cfg, params.OnnxNetwork)
    left, right = np.zeros((64, 64, 3), np.uint8), np.zeros((64, 64, 3), np.uint8)
    left[:, :32], right[:, 32:] = 200, 200
    vectors = [np.frombuffer(one, np.float32) for one in embedding.vectors(cfg, [left, left // 2, right])]
    assert [len(one) for one in vectors] == [embedding.LENGTH] * 3
    assert vectors[0] @ vectors[1] == pytest.approx(1, abs=1e-5)
    assert abs(vectors[0] @ vectors[2]) < 0.15


@pytest.mark.slow
def test_real_faces_are_put_together_by_a_real_network(shared: Path, toy_yaml: dict[str, Any]) -> None:
    import cv2

    path = shared / "models" / "sface_2021dec_features.onnx"
    known = {"kind": "onnx", "path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}
    cfg = audit(toy_yaml, network=known | {"mean": 0.0, "std": 1.0, "similarity": 0.6}).network
    assert isinstance(cfg, params.OnnxNetwork)
    folders = sorted((shared / "data" / "realfaces" / "train" / "images").iterdir())[:6]
    faces = []
    for folder in folders:
        for kind in ("normal", "incorrect_mask"):
            photo = cv2.imread(str(next(folder.glob(f"{kind}.*"))))[..., ::-1]
            # Faces lie around the middle of these photos.
            faces.append(framing.square(np.ascontiguousarray(photo), (0.2, 0.2, 0.8, 0.75)))
    vectors = np.array([np.frombuffer(one, np.float32) for one in embedding.vectors(cfg, faces)])
    alike = vectors @ vectors.T
    same = [alike[place, place + 1] for place in range(0, len(faces), 2)]
    others = alike[np.arange(len(faces))[:, None] // 2 != np.arange(len(faces)) // 2]
    assert np.median(same) > others.max()
