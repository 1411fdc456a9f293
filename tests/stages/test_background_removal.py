"""The background_removal stage: a row for every photo, mattes of the photo's own size."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from facemask.pixels import archive, codec
from facemask.records import tables
from facemask.runtime import hardware, progress
from facemask.settings import params
from stages import background_removal

Factory = Callable[..., Path]
GRABCUT = params.BackgroundRemoval(matting=params.GrabCut(kind="grabcut", iterations=1, height=32))
NONE = params.BackgroundRemoval(matting=params.NoMatting(kind="none"))


@pytest.fixture
def stage(
    contest_folder: Factory,
    list_photos: Callable[..., dict[str, Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Path]:
    """Runs the stage on a tiny folder with one unreadable photo, and what lies beside it; returns where it wrote."""
    root = contest_folder(people=2, eval_people=1)
    next(root.glob("train/images/000002*/mask3.jpg")).write_bytes(b"")
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr(hardware, "cores", lambda: 1)

    def run(cfg: params.BackgroundRemoval, name: str = "out") -> Path:
        background_removal.run(cfg, engine="local", **list_photos(root), out=tmp_path / name)
        return tmp_path / name

    return run


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*.*"))}


def mattes_of(out: Path, name: str) -> pd.DataFrame:
    return tables.read(out / name / "mattes.csv", tables.MATTES)


def counts(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "about" / "counts.json").read_text())
    return content


def test_rows_archives_and_counts_agree(
    stage: Callable[..., Path], capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(progress, "SHORT", 0.0)
    out = stage(GRABCUT)
    assert "mattes: 20/20 " in capsys.readouterr().err, "the work is told to its end"
    table = tables.read(out.with_name("fix_labels") / "photos.csv", tables.PHOTOS)
    told = counts(out)
    assert set(contents(out)) == {
        "about/counts.json",
        "about/left_out.txt",
        "about/sheet.jpg",
        *(f"{name}/{file}" for name in tables.SETS for file in ("mattes.csv", "mattes.zip")),
    }
    with archive.Sets(out, "mattes.zip") as images:
        for name in tables.SETS:
            rows = mattes_of(out, name)
            assert rows["photo"].tolist() == table.loc[table["set"] == name, "photo"].tolist()
            assert sum(told[name]["status"].values()) == told[name]["photos"] == len(rows)
            whole = rows[rows["status"] == "ok"]
            assert images.of(name).names == {f"{photo}.png" for photo in whole["photo"]}
            for photo, coverage in zip(whole["photo"], whole["coverage"], strict=True):
                matte = codec.decode_matte(images.of(name).read(f"{photo}.png"))
                assert matte.shape == (64, 48)
                assert coverage == pytest.approx(matte.mean() / 255, abs=1e-5)
    assert {name: each["status"]["unreadable"] for name, each in told.items()} == {
        "labelled": 1,
        "eval": 0,
        "extra": 0,
        "unlabelled": 0,
    }
    assert 0 < told["labelled"]["coverage"] < 1
    assert told["extra"]["coverage"] is None


@pytest.mark.slow
def test_reruns_with_and_without_memo_give_the_same_bytes(
    stage: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    first = contents(stage(GRABCUT))
    assert contents(stage(GRABCUT, "again")) == first
    monkeypatch.setenv("FACEMASK_MEMO", "0")
    assert contents(stage(GRABCUT, "third")) == first


def test_without_matting_there_are_rows_and_no_mattes(stage: Callable[..., Path]) -> None:
    out = stage(NONE)
    assert set(mattes_of(out, "labelled")["status"]) == {"none", "unreadable"}
    assert set(mattes_of(out, "eval")["status"]) == {"none"}
    with archive.Sets(out, "mattes.zip") as images:
        assert not any(images.of(name).names for name in tables.SETS)


def test_other_data_sets_get_mattes_too(
    stage: Callable[..., Path], contest_folder: Factory, tmp_path: Path
) -> None:
    alone = stage(GRABCUT)
    contest_folder("synthetic", people=1, eval_people=0)
    walk = tmp_path / "extra" / "more" / "unlabelled" / "a" / "b.jpg"
    walk.parent.mkdir(parents=True)
    shutil.copy(next((tmp_path / "contest" / "eval" / "images").iterdir()), walk)
    out = stage(GRABCUT, "lent")
    for name in ("labelled", "eval"):
        for file in ("mattes.csv", "mattes.zip"):
            assert (out / name / file).read_bytes() == (alone / name / file).read_bytes()
        assert counts(out)[name] == counts(alone)[name]
    assert mattes_of(out, "extra")["photo"].str.startswith("extra/synthesise/train/images/").sum() == 7
    assert mattes_of(out, "unlabelled")["photo"].tolist() == ["extra/more/unlabelled/a/b.jpg"]
    with archive.Sets(out, "mattes.zip") as images:
        assert (len(images.of("extra").names), len(images.of("unlabelled").names)) == (7, 1)
