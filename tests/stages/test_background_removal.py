"""The background_removal stage: a row for every photo, mattes of the photo's own size, IoU where the truth is known."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from facemask.mattes import mattes
from facemask.pixels import archive, codec
from facemask.records import tables
from facemask.runtime import hardware
from facemask.settings import params
from stages import background_removal

GRABCUT = params.BackgroundRemoval(matting=params.GrabCut(kind="grabcut", iterations=1, height=32))
NONE = params.BackgroundRemoval(matting=params.NoMatting(kind="none"))


@pytest.fixture
def stage(
    contest_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Runs the stage on a tiny folder with one photo that labels call unreadable; returns where it wrote."""
    root = contest_folder(people=2, eval_people=1)
    rows = []
    for path in sorted((root / "train" / "images").rglob("*.jpg")):
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        key = path.relative_to(root).as_posix()
        status = "unreadable" if path.stem == "mask3" and path.parent.name.startswith("000002") else "ok"
        rows.append((key, path.parent.name[:6], path.parent.name, path.stem, 0, 0, 30, digest, status))
    labels = pd.DataFrame(rows, columns=list(tables.LABELS.columns))
    names = pd.read_csv(root / "eval" / "info.csv")["ImageID"]
    listed = pd.DataFrame(
        [
            (
                f"eval/images/{name}",
                name,
                hashlib.sha256((root / "eval" / "images" / name).read_bytes()).hexdigest(),
                "ok",
            )
            for name in names
        ],
        columns=list(tables.EVAL.columns),
    )
    tables.write(tmp_path / "labels" / "labels.csv", labels, tables.LABELS)
    tables.write(tmp_path / "labels" / "eval.csv", listed, tables.EVAL)
    for schema in (tables.EXTRA, tables.UNLABELLED):
        nothing = pd.DataFrame(columns=list(schema.columns), dtype=str)
        tables.write(tmp_path / "labels" / schema.name, nothing, schema)
    known = np.zeros((64, 48), dtype=np.uint8)
    known[20:, 10:40] = 255
    truths = {f"{digest}.png": codec.encode_matte(known) for digest in labels["sha256"][:5]}
    archive.write(tmp_path / "truth" / "mattes.zip", truths)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr(hardware, "cores", lambda: 1)

    def run(cfg: params.BackgroundRemoval, name: str = "out") -> Path:
        out = tmp_path / name
        paths = {name: tmp_path / name for name in ("labels", "truth", "extra", "synthetic")}
        metrics, plot = beside(out) / "metrics.json", beside(out) / "sheet.jpg"
        background_removal.run(cfg, engine="local", root=root, out=out, metrics=metrics, plot=plot, **paths)
        return out

    return run


def contents(out: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for folder in (out, beside(out)) for path in sorted(folder.iterdir())
    }


def beside(out: Path) -> Path:
    return out.with_name(f"{out.name}-metrics")


def test_rows_archive_and_metrics_agree(stage: Callable[..., Path]) -> None:
    out = stage(GRABCUT)
    rows = tables.read(out / "mattes.csv", tables.MATTES)
    labels = tables.read(out.parent / "labels" / "labels.csv", tables.LABELS)
    listed = tables.read(out.parent / "labels" / "eval.csv", tables.EVAL)
    assert rows["photo"].tolist() == [*labels["photo"], *listed["photo"]]
    metrics = json.loads((beside(out) / "metrics.json").read_text())
    assert metrics["status"]["unreadable"] == 1
    assert sum(metrics["status"].values()) == metrics["photos"] == len(rows)
    assert metrics["iou"]["n"] == 5
    assert 0 <= metrics["iou"]["p05"] <= metrics["iou"]["median"] <= 1
    whole = rows[rows["status"] == "ok"]
    with archive.Reader(out / "mattes.zip") as images:
        assert images.names == {f"{photo}.png" for photo in whole["photo"]}
        for photo, coverage in zip(whole["photo"], whole["coverage"], strict=True):
            matte = codec.decode_matte(images.read(f"{photo}.png"))
            assert matte.shape == (64, 48)
            assert coverage == pytest.approx(matte.mean() / 255, abs=1e-5)


def test_iou_is_that_of_the_mattes_written(
    stage: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Half(mattes.Matting):
        def fingerprint(self) -> str:
            return "half"

        def matte(self, photo: np.ndarray) -> np.ndarray:
            matte = np.zeros(photo.shape[:2], dtype=np.uint8)
            matte[20:, 10:25] = 255
            return matte

    monkeypatch.setattr(mattes, "build", lambda _: Half())
    assert json.loads((beside(stage(GRABCUT)) / "metrics.json").read_text())["iou"]["mean"] == 0.5


def test_reruns_with_and_without_memo_give_the_same_bytes(
    stage: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = contents(stage(GRABCUT))
    assert contents(stage(GRABCUT, "again")) == first
    monkeypatch.setenv("FACEMASK_MEMO", "0")
    assert contents(stage(GRABCUT, "third")) == first


def test_without_matting_there_are_rows_and_no_mattes(stage: Callable[..., Path]) -> None:
    out = stage(NONE)
    rows = tables.read(out / "mattes.csv", tables.MATTES)
    assert set(rows["status"]) == {"none", "unreadable"}
    with archive.Reader(out / "mattes.zip") as images:
        assert not images.names
    metrics = json.loads((beside(out) / "metrics.json").read_text())
    assert metrics["iou"] == {"n": 0, "mean": None, "median": None, "p05": None}


def test_other_data_sets_get_mattes_too(stage: Callable[..., Path], tmp_path: Path) -> None:
    alone = tables.read(stage(GRABCUT) / "mattes.csv", tables.MATTES)
    photo = next((tmp_path / "contest" / "eval" / "images").iterdir()).read_bytes()
    digest = hashlib.sha256(photo).hexdigest()
    keys = ["extra/synthesise/train/images/000001_male_Asian_19/mask1.jpg", "extra/more/unlabelled/a/b.jpg"]
    for place in ("synthetic/train/images/000001_male_Asian_19/mask1.jpg", "extra/more/unlabelled/a/b.jpg"):
        (tmp_path / place).parent.mkdir(parents=True)
        (tmp_path / place).write_bytes(photo)
    row = (keys[0], "synthesise/000001", "f", "mask1", 0, 0, 30, digest, "ok", "")
    for schema, only in ((tables.EXTRA, row), (tables.UNLABELLED, (keys[1], digest, "ok"))):
        table = pd.DataFrame([only], columns=list(schema.columns))
        tables.write(tmp_path / "labels" / schema.name, table, schema)
    out = stage(GRABCUT, "lent")
    rows = tables.read(out / "mattes.csv", tables.MATTES)
    assert rows[: len(alone)].equals(alone)
    assert rows["photo"][len(alone) :].tolist() == keys
    with archive.Reader(out / "mattes.zip") as images:
        assert {f"{key}.png" for key in keys} <= images.names
    assert json.loads((beside(out) / "metrics.json").read_text())["photos"] == len(alone) + 2
