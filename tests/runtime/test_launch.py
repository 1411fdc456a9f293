"""How a stage starts: its options, its view of the params, its lock, and how a mistake ends it."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from filelock import FileLock

from facemask.runtime.errors import UserError
from facemask.runtime.launch import launch, times, view
from facemask.settings import config, loading, params, recipes


@pytest.fixture
def project(tmp_path: Path, toy_yaml: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with a ``params.yaml``, to run in."""
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(toy_yaml))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def call(run: Callable[..., None], monkeypatch: pytest.MonkeyPatch, *arguments: str) -> None:
    monkeypatch.setattr(sys, "argv", ["stage", *arguments])
    launch(run)


def test_a_stage_gets_what_its_signature_asks_for(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    got: dict[str, Any] = {}

    def run(
        cfg: params.BuildManifest, bands: params.Bands, *, seed: int, fold: int, label_files: Path
    ) -> None:
        got.update(cfg=cfg, bands=bands, seed=seed, fold=fold, label_files=label_files)

    whole = loading.load(project / "params.yaml")
    call(run, monkeypatch, "--fold", "3", "--label-files", "data/fix_labels")
    assert got == {
        "cfg": whole.build_manifest,
        "bands": params.Bands(young_cut=whole.train.young_cut, age_cut=whole.train.age_cut),
        "seed": whole.seed,
        "fold": 3,
        "label_files": Path("data/fix_labels"),
    }


def test_the_trainer_cannot_see_what_it_does_not_declare(toy_params: params.Params) -> None:
    recipe = view(toy_params, recipes.Recipe)
    assert type(recipe) is recipes.Recipe
    assert recipe.lr == toy_params.train.lr  # type: ignore[attr-defined]
    for hidden in ("folds", "age_cut", "young_cut"):
        assert not hasattr(recipe, hidden)


def test_folds_are_seen_alone(toy_params: params.Params) -> None:
    assert view(toy_params, params.Folds).model_dump() == {"folds": toy_params.train.folds}


def test_sections_come_as_they_are(toy_params: params.Params) -> None:
    for name, field in params.Params.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, config.Config):
            assert view(toy_params, field.annotation) == getattr(toy_params, name)


def test_a_class_that_is_no_section_is_the_programmers_mistake(toy_params: params.Params) -> None:
    with pytest.raises(TypeError, match="Scratch"):
        view(toy_params, recipes.Scratch)


def test_seconds_are_kept_beside_the_outputs(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(*, fold: int) -> None:
        if fold == 2:
            raise UserError("broken")

    assert times() == []
    for fold in (1, 0, 2, 1):
        with contextlib.suppress(SystemExit):
            call(run, monkeypatch, "--fold", str(fold))
    stages = [one.stage.rpartition("-")[2] for one in times()]
    assert stages == ["0", "1"], "in the order in which they ended, without what failed"
    assert all(0 <= one.seconds < 60 and "cores" in one.machine for one in times())


@pytest.mark.parametrize(
    "arguments", [(), ("--out", "a", "--fold", "one"), ("--out", "a", "--fold", "1", "--more", "2")]
)
def test_options_are_checked(
    project: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    arguments: tuple[str, ...],
) -> None:
    def run(cfg: params.Infer, *, fold: int, out: Path) -> None:
        raise AssertionError("not to be reached")

    with pytest.raises(SystemExit) as ended:
        call(run, monkeypatch, *arguments)
    assert ended.value.code == 2
    assert "usage: python -m stages." in capsys.readouterr().err


def test_a_users_mistake_ends_in_one_line(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(cfg: params.Infer) -> None:
        raise UserError("train.csv: row 3: age is 'old'; write a number")

    with pytest.raises(SystemExit) as ended:
        call(run, monkeypatch)
    assert ended.value.code == "error: train.csv: row 3: age is 'old'; write a number"


def test_a_programmers_mistake_keeps_its_traceback(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def run(cfg: params.Infer) -> None:
        raise ValueError("a bug")

    with pytest.raises(ValueError, match="a bug"):
        call(run, monkeypatch)


def test_wrong_params_are_told_before_the_stage_starts(
    project: Path, toy_yaml: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    def run(cfg: params.Infer) -> None:
        raise AssertionError("not to be reached")

    toy_yaml["train"]["epoch"] = toy_yaml["train"].pop("epochs")
    (project / "params.yaml").write_text(yaml.safe_dump(toy_yaml))
    with pytest.raises(SystemExit, match=r"^error: params.yaml: .*did you mean train.epochs\?"):
        call(run, monkeypatch)


SCRIPT = """
from pathlib import Path
from facemask.settings import params
from facemask.runtime.errors import UserError
from facemask.runtime.launch import launch

def run(cfg: params.Infer, *, fold: int) -> None:
    raise UserError("nothing to do")

launch(run)
"""


@pytest.mark.slow
def test_from_the_shell_a_mistake_is_one_line_and_code_1(project: Path, repository: Path) -> None:
    (project / "slow.py").write_text(textwrap.dedent(SCRIPT))
    environment = os.environ | {"PYTHONPATH": str(repository)}
    command = [sys.executable, "slow.py", "--fold", "0"]
    ended = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", "error: nothing to do\n")


@pytest.mark.slow
def test_a_second_copy_is_locked_out(project: Path, repository: Path) -> None:
    (project / "slow.py").write_text(textwrap.dedent(SCRIPT))
    environment = os.environ | {"PYTHONPATH": str(repository)}
    command = [sys.executable, "slow.py", "--fold"]
    (project / ".dvc" / "tmp" / "stages").mkdir(parents=True)
    with FileLock(project / ".dvc" / "tmp" / "stages" / "slow-0.lock"):
        same = subprocess.run([*command, "0"], env=environment, capture_output=True, text=True, check=False)
        other = subprocess.run([*command, "1"], env=environment, capture_output=True, text=True, check=False)
    assert same.returncode == 1
    assert "slow-0: another copy of this stage is still running" in same.stderr
    assert same.stderr.count("\n") == 1
    # Another fold is another stage.
    assert other.stderr == "error: nothing to do\n"
    after = subprocess.run([*command, "0"], env=environment, capture_output=True, text=True, check=False)
    assert after.stderr == "error: nothing to do\n"


@pytest.mark.slow
def test_a_stage_neither_searches_nor_takes_apart_what_libraries_made(
    repository: Path, project: Path
) -> None:
    """Not while they are imported, and not at its end, if all went well; in the stage's own process alone."""
    program = (
        "import atexit, gc, sys; atexit.register(lambda: print(gc.get_freeze_count() > 0)); "
        "sys.orig_argv = sys.orig_argv[:1] + {words}; import stages; print(gc.isenabled()); "
        "atexit.register(print, 'tidied'); "
    )
    program += "from facemask.runtime import errors, launch; sys.argv = ['stage']\n"
    program += "def run() -> None:\n    print(gc.isenabled())\n    {last}\nlaunch.launch(run)"

    def seen(words: list[str], last: str = "") -> tuple[int, list[str]]:
        ended = subprocess.run(
            [sys.executable, "-c", program.format(words=words, last=last)],
            cwd=project,
            env=os.environ | {"DVC_STAGE": "train", "PYTHONPATH": str(repository)},
            capture_output=True,
            text=True,
            check=False,
        )
        return ended.returncode, ended.stdout.split()

    stage = ["-m", "stages.train"]
    assert seen(stage) == (0, ["False", "True", "tidied"])
    assert seen(stage, "raise errors.UserError('no')") == (1, ["False", "True", "tidied", "True"])
    assert seen(stage, "raise SystemExit(3)") == (3, ["False", "True", "tidied", "True"])
    worker = ["-c", "from multiprocessing.forkserver import main"]
    assert seen(worker) == (0, ["True", "True", "tidied", "False"])
