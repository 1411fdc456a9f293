"""``python -m facemask``."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from facemask.photos import memo


def facemask(folder: Path, repository: Path, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "facemask", *arguments],
        cwd=folder,
        env={"PYTHONPATH": str(repository), "PATH": "/usr/bin:/bin"},
        capture_output=True,
        text=True,
        check=False,
    )


@pytest.fixture
def project(tmp_path: Path, repository: Path) -> Path:
    (tmp_path / "params.yaml").write_bytes((repository / "params.yaml").read_bytes())
    (tmp_path / "presets").mkdir()
    (tmp_path / "presets" / "tiny.yaml").write_text(
        "description: One short\n  epoch.\nparams:\n  train:\n    epochs: 1\n"
    )
    return tmp_path


@pytest.mark.slow
def test_presets_are_listed(project: Path, repository: Path) -> None:
    for arguments in (("preset", "--list"), ("preset",)):
        ended = facemask(project, repository, *arguments)
        assert (ended.returncode, ended.stdout, ended.stderr) == (0, "tiny  One short epoch.\n", "")


@pytest.mark.slow
def test_a_preset_shows_what_it_changes_once(project: Path, repository: Path) -> None:
    ended = facemask(project, repository, "preset", "tiny")
    assert ended.returncode == 0
    assert "+  epochs: 1\n" in ended.stdout
    again = facemask(project, repository, "preset", "tiny")
    assert (again.returncode, again.stdout) == (0, "params.yaml already has all of tiny\n")


@pytest.mark.slow
def test_a_kind_is_set_and_shown_once(project: Path, repository: Path) -> None:
    ended = facemask(project, repository, "set", "train.loss", "focal", "gamma=2", "train.lr", "3e-5")
    assert (ended.returncode, ended.stderr) == (0, "")
    for line in (
        "-    kind: cross_entropy",
        "-    smoothing: 0.1",
        "+    kind: focal",
        "+    gamma: 2",
        "+  lr: 3e-05",
    ):
        assert line in ended.stdout.splitlines()
    again = facemask(project, repository, "set", "train.loss", "focal", "gamma=2")
    assert (again.returncode, again.stdout) == (0, "params.yaml already says so\n")
    wrong = facemask(project, repository, "set", "train.loss", "soft_f1")
    assert (wrong.returncode, wrong.stdout) == (1, "")
    assert wrong.stderr.startswith(
        "error: params.yaml with train.loss soft_f1: train.loss.eps: missing (number > 0;"
    )
    assert wrong.stderr.count("\n") == 1


@pytest.mark.slow
def test_mistakes_are_one_line_and_code_1(project: Path, repository: Path) -> None:
    ended = facemask(project, repository, "preset", "tny")
    assert (ended.returncode, ended.stdout, ended.stderr) == (
        1,
        "",
        "error: no preset 'tny'; did you mean tiny?\n",
    )
    (project / "params.yaml").write_text("seed: 1\n")
    ended = facemask(project, repository, "params")
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: params.yaml: ")
    assert ended.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("file", "content", "told", "commands"),
    [
        ("presets/tiny.yaml", b"params: [", "not valid YAML: ", ["preset tiny", "preset --list"]),
        ("presets/tiny.yaml", b"description: x\nparams: 3\n", "params: sections", ["preset tiny"]),
        ("presets/tiny.yaml", b"description: caf\xe9\nparams: {}\n", "not UTF-8 ", ["preset tiny"]),
        ("params.yaml", b"seed: 1  # caf\xe9\n", "not UTF-8 ", ["preset tiny", "params"]),
        ("params.yaml", b"seed: 1\nseed: 2\n", "line 2: seed stands twice", ["preset tiny", "params"]),
        ("params.yaml", b"seed: &a [*a]\n", "line 1: &a: anchors", ["preset tiny", "params"]),
    ],
)
def test_broken_files_are_one_line_and_code_1(
    project: Path, repository: Path, file: str, content: bytes, told: str, commands: list[str]
) -> None:
    (project / file).write_bytes(content)
    for command in commands:
        ended = facemask(project, repository, *command.split())
        assert (ended.returncode, ended.stdout) == (1, "")
        assert ended.stderr.startswith(f"error: {file}: {told}")
        assert ended.stderr.count("\n") == 1


@pytest.mark.slow
@pytest.mark.parametrize(
    ("command", "told"),
    [
        ("preset --list", "presets: no presets here"),
        ("preset tiny", "presets: no presets here"),
    ],
)
def test_outside_the_project_commands_say_where_to_run(
    command: str, told: str, tmp_path: Path, repository: Path
) -> None:
    ended = facemask(tmp_path, repository, *command.split())
    wanted = f"error: {told}; run from the project's folder\n"
    assert (ended.returncode, ended.stdout, ended.stderr) == (1, "", wanted)


@pytest.mark.slow
def test_the_reference_is_printed(project: Path, repository: Path) -> None:
    ended = facemask(project, repository, "params")
    assert ended.returncode == 0
    assert "| `train.lr` | number > 0 |" in ended.stdout


@pytest.mark.slow
def test_a_reader_that_leaves_early_ends_a_command_quietly(project: Path, repository: Path) -> None:
    command = f"'{sys.executable}' -m facemask params | true"
    env = {"PYTHONPATH": str(repository), "PATH": "/usr/bin:/bin"}
    ended = subprocess.run(
        command, shell=True, cwd=project, env=env, capture_output=True, text=True, check=False
    )
    assert (ended.returncode, ended.stderr) == (0, "")


def test_help_names_the_commands(project: Path, repository: Path) -> None:
    ended = facemask(project, repository, "--help")
    for command in ("preset", "set", "check", "scores", "params", "page", "cache"):
        assert f"\n    {command} " in ended.stdout


@pytest.mark.slow
def test_the_memo_is_shown(project: Path, repository: Path) -> None:
    ended = facemask(project, repository, "cache")
    assert (ended.returncode, ended.stdout) == (0, "nothing is kept yet in .cache/facemask\n")
    assert not (project / ".cache").exists()
    for stage, results in (("stage", 2), ("other_stage", 1)):
        kept = memo.Memo(project / ".cache" / "facemask" / stage)
        kept.put([(str(k), bytes(1_000_000)) for k in range(results)])
        kept.close()
    ended = facemask(project, repository, "cache")
    assert (ended.returncode, ended.stdout, ended.stderr) == (
        0,
        "other_stage  1 results, 1.0 MB of at most 4.3 GB\nstage        2 results, 2.0 MB of at most 4.3 GB\n",
        "",
    )
    (project / ".cache" / "facemask" / "stage" / "cache.db").write_bytes(b"no database" * 1000)
    ended = facemask(project, repository, "cache")
    assert ended.returncode == 0
    assert ended.stdout.startswith("other_stage  1 results")
    assert ended.stderr == (
        ".cache/facemask/stage: damaged (file is not a database); set aside, its results are computed anew\n"
    )
