"""The report page of a whole run on a tiny folder whose names and columns try to be HTML."""

from __future__ import annotations

import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from facemask.commands import report as command
from facemask.records import classes
from facemask.records.roots import Roots
from facemask.report import inputs
from facemask.runtime import launch
from facemask.runtime.errors import UserError
from facemask.settings import loading, params
from stages import report

pytestmark = pytest.mark.slow

EVIL = "<script>alert(1)"
PLACES = {
    "labels": Path("fix_labels"),
    "faces": Path("face_crop"),
    "mattes": Path("background_removal"),
    "manifest": Path("build_manifest"),
    "models": Path("models"),
    "combined": Path("combine"),
    "evaluated": Path("evaluate"),
    "answered": Path("infer"),
    "metrics": Path("metrics"),
}


def write(cfg: params.Params, root: Path) -> str:
    """Run the stage and return its page."""
    folds = launch.view(cfg, params.Folds)
    assert isinstance(folds, params.Folds)
    photos = {"root": root, "extra": Path("extra"), "synthetic": Path("synthesise")}
    report.run(cfg.report, cfg.evaluate, folds, seed=1, **PLACES, **photos, out=Path("report"))
    return Path("report/report.html").read_text(encoding="utf-8")


@pytest.fixture(scope="session")
def _reported_once() -> dict[str, Path]:
    return {}


@pytest.fixture
def reported(
    pipeline: Any,
    _reported_once: dict[str, Path],
    tmp_path: Path,
    tmp_path_factory: pytest.TempPathFactory,
    contest_folder: Callable[..., Path],
    toy_yaml: dict[str, Any],
) -> Path:
    """All stages before the report have run, as the current folder; returns the photos' root."""
    root, folder = tmp_path / "contest", tmp_path / "repository"
    if "folder" in _reported_once:
        shutil.copytree(_reported_once["folder"] / "repository", folder, dirs_exist_ok=True)
        shutil.copytree(_reported_once["folder"] / "contest", root)
        return root
    contest_folder(people=12, eval_people=3)
    people = pd.read_csv(root / "train" / "train.csv", dtype=str)
    for row, name in enumerate(["<b>one", "얼굴"]):
        old = people.loc[row, "path"]
        people.loc[row, "id"] = name
        people.loc[row, "path"] = f"{name}_{old.split('_', 1)[1]}"
        (root / "train" / "images" / old).rename(root / "train" / "images" / people.loc[row, "path"])
    people["note"] = [EVIL if row % 2 else "마스크" for row in range(len(people))]
    people.to_csv(root / "train" / "train.csv", index=False)
    info = pd.read_csv(root / "eval" / "info.csv")
    for row, name in enumerate([f"{EVIL}.jpg", "한글 사진.jpg"]):
        (root / "eval" / "images" / info.loc[row, "ImageID"]).rename(root / "eval" / "images" / name)
        info.loc[row, "ImageID"] = name
    info.to_csv(root / "eval" / "info.csv", index=False)
    (root / "eval" / "images" / f"{EVIL}.jpg").write_bytes(b"no photo")
    toy_yaml["build_manifest"]["holdout"] = 0.25
    cfg = loading.parse(toy_yaml, "toy")
    pipeline.prepare(cfg, root)
    pipeline.fit(cfg)
    pipeline.answer(cfg)
    pipeline.evaluate(cfg)
    shutil.move("curves", "metrics/train")
    kept = tmp_path_factory.mktemp("reported")
    shutil.copytree(folder, kept / "repository")
    shutil.copytree(root, kept / "contest")
    _reported_once["folder"] = kept
    return root


def test_names_are_text(reported: Path, toy_params: params.Params) -> None:
    html = write(toy_params, reported)
    assert "<script" not in html
    assert "<b>one" not in html
    for shown in ("&lt;script&gt;alert(1)", "&lt;b&gt;one", "마스크", "한글"):
        assert shown in html, shown


def test_the_page_needs_nothing_else(reported: Path, toy_params: params.Params) -> None:
    html = write(toy_params, reported)
    assert not re.findall(r"https?:|[\"'(]//|@import|url\(|<link|<iframe|<object|javascript:", html)
    sources = re.findall(r"""\b(?:src|href|srcset)\s*=\s*["']?([^"'>\s]{0,12})""", html)
    assert sources
    assert all(one.startswith(("data:image/", "#")) for one in sources)
    assert "prefers-color-scheme: dark" in html
    assert 'name="viewport"' in html
    assert len(html.encode()) < 5_000_000


def test_the_same_outputs_give_the_same_page(reported: Path, toy_params: params.Params) -> None:
    assert write(toy_params, reported) == write(toy_params, reported)


def test_without_photos_no_face_is_on_the_page(reported: Path, toy_yaml: dict[str, Any]) -> None:
    shown = write(loading.parse(toy_yaml, "toy"), reported)
    assert shown.count("data:image/") > 40
    toy_yaml["report"]["photos"] = False
    html = write(loading.parse(toy_yaml, "toy"), reported)
    assert "data:" not in html
    assert "<img" not in html
    assert "base64" not in html
    assert "report.photos</code> is false" in html
    # The mistakes are still listed.
    assert html.count('class="pair"') == shown.count('class="pair"') > 0


def test_all_classes_are_on_both_axes(reported: Path, toy_params: params.Params) -> None:
    """Hardly any occurs among the few people of one fold."""
    html = write(toy_params, reported)
    table = re.search(r'<table class="matrix">.*?</table>', html, re.DOTALL)
    assert table
    shown = [
        name.replace("&lt;", "<").replace("&gt;", ">")
        for name in re.findall(r'th scope="\w+">(?:<span>)?([^<]+)', table[0])
    ]
    assert shown == [*classes.NAMES, *classes.NAMES]
    counts = [int(count) for count in re.findall(r"<td style[^>]+>(\d+)", table[0])]
    folds = pd.read_csv("combine/oof.csv")
    assert len(counts) == classes.COUNT**2
    assert sum(counts) == len(folds)


def test_what_was_left_out_is_told(reported: Path, toy_params: params.Params) -> None:
    html = write(toy_params, reported)
    assert "photos that cannot be read: 1 of 21 eval" in html
    assert "eval photos answered without looking: 1 of 21 eval" in html
    assert re.search(r"eval/images/&lt;script&gt;alert\(1\)\.jpg</td><td class=\"text\">\w", html)


def test_extra_columns_are_slices(reported: Path, toy_params: params.Params) -> None:
    html = write(toy_params, reported)
    assert re.search(
        r'<tr class="head"><th colspan="10">note</th></tr>\s*<tr[^>]*><th scope="row">&lt;script&gt;', html
    )


def test_a_missing_output_is_told(reported: Path) -> None:
    Path("evaluate/details.json").unlink()
    places = inputs.Places(**PLACES, photos=Roots(reported, Path("extra"), Path("synthesise")))
    with pytest.raises(UserError, match=r"evaluate/details.json: no such file; run `dvc repro evaluate`"):
        inputs.read(places, (0,))


def test_no_eval_photos_no_drift(reported: Path, toy_params: params.Params) -> None:
    for path in (
        "build_manifest/eval/manifest.csv",
        "face_crop/eval/boxes.csv",
        "background_removal/eval/mattes.csv",
    ):
        Path(path).write_text(Path(path).read_text().splitlines()[0] + "\n")
    assert "There are no eval photos." in write(toy_params, reported)


def test_the_command_tells_why_there_is_no_comparison(
    reported: Path, toy_yaml: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    import yaml

    Path("params.yaml").write_text(yaml.safe_dump(toy_yaml))
    write(loading.parse(toy_yaml, "toy"), reported)
    Path("data").symlink_to(".")
    command.write(Path("report.html"), "nowhere")
    html = Path("report.html").read_text()
    assert "Not compared with nowhere: " in html
    assert "No stage has run in this folder" in html
