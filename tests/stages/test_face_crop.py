"""The face_crop stage: a row and a crop for every photo, the same bytes every time, networks only when they must."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from facemask import hardware, params
from facemask.errors import UserError
from facemask.images import archive, codec, finders
from facemask.records import tables
from stages import face_crop

CFG = params.FaceCrop(
    finder=params.Mtcnn(kind="mtcnn", min_face=56.12, thresholds=(0.6, 0.7, 0.7)),
    choose="largest",
    fallback=("person", "median"),
    margin=0.25,
    size=(32, 24),
)


class Stub(finders.Finder):
    """Finds a face by brightness: none in photos of odd red, two in others; counts the photos it is shown."""

    status = "found"
    searches = True
    shown = 0
    blind = False

    def fingerprint(self) -> str:
        return "stub"

    def find(self, pixels: list[np.ndarray]) -> list[np.ndarray]:
        Stub.shown += len(pixels)
        faces = np.array([[10.0, 12.0, 30.0, 40.0, 0.8], [1.0, 1.0, 9.0, 9.0, 0.95]])
        return [faces[: 0 if Stub.blind or int(photo[0, 0, 0]) % 4 == 0 else 2] for photo in pixels]


@pytest.fixture
def stage(
    contest_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Runs the stage on a tiny folder with one unreadable photo; returns where it wrote."""
    root = contest_folder(people=3, eval_people=1, extensions=("jpg", "png", "jpeg"))
    rows = []
    for path in sorted((root / "train" / "images").rglob("*.*")):
        data = path.read_bytes()
        if path.parent.name.startswith("000002") and path.stem == "mask3":
            path.write_bytes(data := data[:40])
        key = path.relative_to(root).as_posix()
        row = (
            key,
            path.parent.name[:6],
            path.parent.name,
            path.stem,
            0,
            0,
            30,
            hashlib.sha256(data).hexdigest(),
        )
        rows.append((*row, "unreadable" if len(data) == 40 else "ok"))
    (tmp_path / "labels").mkdir()
    tables.write(
        tmp_path / "labels" / "labels.csv",
        pd.DataFrame(rows, columns=list(tables.LABELS.columns)),
        tables.LABELS,
    )
    names = pd.read_csv(root / "eval" / "info.csv")["ImageID"]
    listed = [
        (
            f"eval/images/{name}",
            name,
            hashlib.sha256((root / "eval" / "images" / name).read_bytes()).hexdigest(),
            "ok",
        )
        for name in names
    ]
    tables.write(
        tmp_path / "labels" / "eval.csv", pd.DataFrame(listed, columns=list(tables.EVAL.columns)), tables.EVAL
    )
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr(hardware, "cores", lambda: 1)
    monkeypatch.setattr(finders, "build", lambda _: Stub())
    Stub.shown, Stub.blind = 0, False

    def run(name: str = "out", **changes: object) -> Path:
        out = tmp_path / name
        cfg = params.FaceCrop.model_validate(CFG.model_dump() | changes)
        metrics, plot = beside(out) / "metrics.json", beside(out) / "sheet.jpg"
        face_crop.run(cfg, labels=tmp_path / "labels", root=root, out=out, metrics=metrics, plot=plot)
        return out

    return run


def contents(out: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for folder in (out, beside(out)) for path in sorted(folder.iterdir())
    }


def beside(out: Path) -> Path:
    return out.with_name(f"{out.name}-metrics")


def test_a_row_for_every_photo_and_a_crop_for_every_readable_one(stage: Callable[..., Path]) -> None:
    out = stage()
    boxes = tables.read(out / "boxes.csv", tables.BOXES)
    labels = tables.read(out.parent / "labels" / "labels.csv", tables.LABELS)
    listed = tables.read(out.parent / "labels" / "eval.csv", tables.EVAL)
    assert boxes["photo"].tolist() == [*labels["photo"], *listed["photo"]]
    assert (boxes["status"] == "unreadable").sum() == 1
    assert {"found", "person"} <= set(boxes["status"])
    with archive.Reader(out / "crops.zip") as crops:
        assert crops.names == {f"{photo}.jpg" for photo in boxes["photo"][boxes["status"] != "unreadable"]}
        assert {codec.decode(crops.read(name)).shape for name in crops.names} == {(32, 24, 3)}
    metrics = json.loads((beside(out) / "metrics.json").read_text())
    assert metrics["photos"] == len(boxes) == sum(metrics["status"].values())
    assert 0 < metrics["found"]["all"] < 1
    assert set(metrics["found"]) == {
        "all",
        "eval",
        "normal",
        "incorrect_mask",
        *(f"mask{k}" for k in range(1, 6)),
    }


def test_reruns_and_lost_memos_give_the_same_bytes(stage: Callable[..., Path]) -> None:
    first = contents(stage())
    assert Stub.shown == 27
    assert contents(stage("again")) == first
    assert Stub.shown == 27
    shutil.rmtree((stage("third").parent) / ".cache")
    assert contents(stage("fourth")) == first
    assert Stub.shown == 54


def test_what_comes_after_the_network_does_not_run_it(stage: Callable[..., Path]) -> None:
    plain = contents(stage())
    for number, change in enumerate(
        ({"choose": "most_confident"}, {"margin": 0.5}, {"size": (40, 40)}, {"fallback": ("median",)})
    ):
        assert contents(stage(f"out{number}", **change))["boxes.csv"] != plain["boxes.csv"]
    assert Stub.shown == 27


def test_no_face_in_any_photo_is_one_clear_line(stage: Callable[..., Path]) -> None:
    Stub.blind = True
    with pytest.raises(UserError, match=r"no face in any of 27 photos; lower .* or set .* to none or fixed"):
        stage()


@pytest.mark.slow
def test_real_faces_are_found_by_two_processes_as_by_one(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shared / "data" / "realfaces"
    rows = []
    for folder in sorted((root / "train" / "images").iterdir())[:6]:
        for path in sorted(folder.iterdir()):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            key = path.relative_to(root).as_posix()
            rows.append((key, folder.name[:6], folder.name, path.stem, 0, 0, 30, digest, "ok"))
    labels = pd.DataFrame(rows, columns=list(tables.LABELS.columns))
    tables.write(tmp_path / "labels" / "labels.csv", labels, tables.LABELS)
    tables.write(
        tmp_path / "labels" / "eval.csv", pd.DataFrame(columns=list(tables.EVAL.columns)), tables.EVAL
    )
    monkeypatch.setenv("FACEMASK_MEMO", "0")
    written = []
    for workers in (1, 2):
        monkeypatch.setattr(hardware, "cores", lambda count=workers: count)
        out = tmp_path / f"out{workers}"
        paths = {"metrics": beside(out) / "metrics.json", "plot": beside(out) / "sheet.jpg"}
        face_crop.run(CFG, labels=tmp_path / "labels", root=root, out=out, **paths)
        written.append(contents(out))
    assert written[0] == written[1]
    assert json.loads(written[0]["metrics.json"])["found"]["all"] >= 0.95
