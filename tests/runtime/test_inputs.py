"""Edits while a stage runs: its result is not kept."""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from facemask.runtime import files, inputs
from facemask.runtime.errors import UserError
from facemask.runtime.launch import launch
from facemask.settings import params

OLD = "older result"


@pytest.fixture
def project(tmp_path: Path, toy_yaml: dict, monkeypatch: pytest.MonkeyPatch) -> Path:
    toy_yaml["data"] |= {"root": "photos"}
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(toy_yaml))
    (tmp_path / "photos" / "a").mkdir(parents=True)
    (tmp_path / "photos" / "a" / "1.jpg").write_bytes(b"1")
    (tmp_path / "table.csv").write_text("a\n1\n")
    (tmp_path / "out.txt").write_text(OLD)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(
        sys, "argv", ["stage", "--photo-table", "table.csv", "--fold", "2", "--out", "out.txt"]
    )
    return tmp_path


def running(meanwhile: Callable[[], object]) -> Callable[..., None]:
    def stage(cfg: params.Evaluate, *, fold: int, root: Path, photo_table: Path, out: Path) -> None:
        with files.replacing(out) as temporary:
            temporary.write_text("new result")
            meanwhile()

    return stage


def put(key: str, value: object) -> None:
    content = yaml.safe_load(Path("params.yaml").read_text())
    *path, last = key.split(".")
    place = content
    for part in path:
        place = place[part]
    place[last] = value
    Path("params.yaml").write_text(yaml.safe_dump(content))


def moved(path: str) -> None:
    """Same size, same content, another time: what an editor's save leaves."""
    os.utime(path, ns=(1, 1))


@pytest.mark.parametrize(
    ("meanwhile", "told"),
    [
        (lambda: put("evaluate.bootstrap", 7), r"params.yaml \(bootstrap\)"),
        (lambda: put("data.root", "elsewhere"), r"params.yaml \(root\)"),
        (lambda: put("train.lr", "fast"), "params.yaml"),
        (lambda: Path("params.yaml").write_text("{"), "params.yaml"),
        (lambda: Path("photos/a/1.jpg").write_bytes(b"22"), "photos/a/1.jpg"),
        (lambda: moved("photos/a/1.jpg"), "photos/a/1.jpg"),
        (lambda: Path("photos/a/2.jpg").write_bytes(b"2"), "photos/a/2.jpg"),
        (lambda: Path("photos/a/1.jpg").unlink(), "photos/a/1.jpg"),
        (lambda: shutil.rmtree("photos"), "photos/a/1.jpg"),
        (lambda: Path("table.csv").write_text("a\n2\n3\n"), "table.csv"),
    ],
)
def test_an_edit_of_what_a_stage_was_given_fails_it(
    project: Path, meanwhile: Callable[[], object], told: str
) -> None:
    with pytest.raises(
        SystemExit, match=rf"test_inputs@2: {told}.* was changed .*dvc repro -f test_inputs@2`"
    ):
        launch(running(meanwhile))
    assert (project / "out.txt").read_text() == OLD


@pytest.mark.parametrize(
    "meanwhile",
    [
        lambda: None,
        lambda: put("train.lr", 0.125),
        lambda: put("data.extra", "elsewhere"),
        lambda: Path("photos/.DS_Store").write_bytes(b""),
        lambda: Path("other.csv").write_text(""),
        lambda: moved("params.yaml"),
    ],
)
def test_what_a_stage_does_not_read_may_change(project: Path, meanwhile: Callable[[], object]) -> None:
    launch(running(meanwhile))
    assert (project / "out.txt").read_text() == "new result"


def test_an_edit_after_the_last_output_fails_the_stage_too(project: Path) -> None:
    def stage(*, root: Path, photo_table: Path, fold: int, out: Path) -> None:
        with files.replacing(out) as temporary:
            temporary.write_text("new result")
        moved("table.csv")

    with pytest.raises(SystemExit, match="table.csv was changed"):
        launch(stage)


def test_an_edit_of_imported_code_fails_and_of_settings_does_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    house = tmp_path / "facemask"
    shutil.copytree(Path(inputs.__file__).parents[1], house, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(inputs, "_HOUSE", house)
    monkeypatch.setattr(
        inputs,
        "_imported",
        lambda found=inputs._imported: [
            house / path.relative_to(Path(inputs.__file__).parents[1])
            for path in found()
            if path.is_relative_to(Path(inputs.__file__).parents[1])
        ],
    )
    (house / "runtime" / "nobody_imports.py").write_text("")
    unchanged = inputs.Unchanged([], dict, "train@0")
    for name in ("settings/params.py", "runtime/README.md", "runtime/nobody_imports.py"):
        (house / name).write_text("# later")
    unchanged.verify()
    (house / "runtime" / "files.py").write_text("# later")
    with pytest.raises(UserError, match="facemask/runtime/files.py was changed"):
        unchanged.verify()


def test_what_a_stage_writes_itself_is_no_edit(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def stage(*, root: Path, out: Path) -> None:
        with files.replacing(out) as temporary:
            temporary.mkdir()
            (temporary / "2.jpg").write_bytes(b"2")

    monkeypatch.setattr(sys, "argv", ["stage", "--out", "./photos"])
    launch(stage)
    assert [path.name for path in (project / "photos").iterdir()] == ["2.jpg"]
