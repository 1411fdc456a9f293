"""Taking up an experiment never overwrites what only the workspace holds."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest
from dvc.repo import Repo

from facemask.commands import apply
from facemask.runtime.errors import UserError

DVC_YAML = """stages:
  work:
    cmd: cp params.yaml out.txt
    deps: [data/mine]
    params: [seed]
    outs: [out.txt]
"""


def git(*arguments: str) -> None:
    subprocess.run(["git", *arguments], check=True, capture_output=True)


@pytest.fixture(scope="module")
def prepared(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project with photos under `dvc add`, a committed run, and an experiment named first."""
    folder = tmp_path_factory.mktemp("project")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        git("init", "-q", "-b", "main")
        git("config", "user.name", "test")
        git("config", "user.email", "test@localhost")
        with Repo.init() as repo:
            Path("dvc.yaml").write_text(DVC_YAML)
            Path("params.yaml").write_text("seed: 1\n")
            Path(".gitignore").write_text("/out.txt\n")
            Path("data/mine").mkdir(parents=True)
            Path("data/mine/1.jpg").write_bytes(b"photo")
            Path("data/label_fixes.csv").write_text("id\n")
            repo.add("data/mine")
            repo.reproduce()
        git("add", "-A")
        git("commit", "-qm", "base")
        with Repo() as repo:
            repo.experiments.run(name="first", params=["seed=2"])
        git("checkout", "-q", "HEAD", "--", "params.yaml", "dvc.lock")
        git("stash", "clear")
    return folder


@pytest.fixture
def project(prepared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "project"
    shutil.copytree(prepared, folder, symlinks=True)
    monkeypatch.chdir(folder)
    return folder


def held(project: Path) -> dict[str, bytes]:
    return {
        path.relative_to(project).as_posix(): path.read_bytes()
        for path in (project / "data").rglob("*")
        if path.is_file()
    }


@pytest.mark.slow
def test_an_experiment_is_taken_up_and_what_params_held_is_shown(project: Path) -> None:
    Path("params.yaml").write_text("seed: 3\n")
    before = held(project)
    assert "+seed: 3" in apply.apply("first")
    assert Path("params.yaml").read_text() == "seed: 2\n"
    assert Path("out.txt").read_text() == "seed: 2\n"
    assert held(project) == before


def added_person() -> None:
    Path("data/mine/2.jpg").write_bytes(b"another")


def added_fix() -> None:
    with Path("data/label_fixes.csv").open("a") as file:
        file.write("7\n")


def staged_fix() -> None:
    added_fix()
    git("add", "-A")


def new_file() -> None:
    Path("data/사진 notes.txt").write_text("mine")


def renamed() -> None:
    git("mv", "data/label_fixes.csv", "data/fixes.csv")


@pytest.mark.parametrize(
    ("edit", "told"),
    [
        (added_person, "data/mine: .*`dvc add data/mine`"),
        (lambda: Path("data/mine/1.jpg").unlink(), "data/mine: .*`dvc add data/mine`"),
        (lambda: shutil.rmtree("data/mine"), "data/mine: .*`dvc add data/mine`"),
        (added_fix, "data/label_fixes.csv: .*git commit"),
        (staged_fix, "data/label_fixes.csv: .*git commit"),
        (new_file, "data/사진 notes.txt: .*git commit"),
        (renamed, "data/fixes.csv: .*git commit"),
        (lambda: Path("dvc.yaml").write_text(f"{DVC_YAML}# mine"), "dvc.yaml: .*git commit"),
    ],
)
def test_what_nobody_kept_is_never_overwritten(project: Path, edit, told: str) -> None:
    edit()
    before, params = held(project), Path("params.yaml").read_bytes()
    with pytest.raises(UserError, match=told):
        apply.apply("first")
    assert held(project) == before
    assert Path("params.yaml").read_bytes() == params


def test_what_was_kept_comes_back_afterwards(project: Path) -> None:
    """Once added and committed, photos of the newer state survive the older experiment in cache and git."""
    added_person()
    with Repo() as repo:
        repo.add("data/mine")
    git("add", "-A")
    git("commit", "-qm", "a person more")
    apply.apply("first")
    git("checkout", "-q", "-f", "HEAD", "--", ".")
    with Repo() as repo:
        repo.checkout(force=True)
    assert Path("data/mine/2.jpg").read_bytes() == b"another"


def test_an_unknown_name_is_told(project: Path) -> None:
    with pytest.raises(UserError, match="second: .*dvc exp show"):
        apply.apply("second")
