"""``make``: what it lists, and that setting up happens once, whole, and says what is missing."""

from __future__ import annotations

import re
import shutil
import subprocess
from pathlib import Path

import pytest

PYTHONS = ("python3.11", "python3.12", "python3.13", "python3", "python")
# Stands for Python: makes an environment whose own Python notes each call in the file `calls`.
FAKE = """\
#!/bin/sh
if [ "$1" = "-m" ] && [ "$2" = "venv" ]; then
  mkdir -p "$3/bin" && cp "$0" "$3/bin/python"
fi
echo "$@" >> calls
[ "$2" != "pip" ] || [ ! -e broken ]
"""
OLD = '#!/bin/sh\n[ "$1" = "-V" ] && echo "Python 3.9.2" && exit 0\nexit 1\n'


class Project:
    """A folder with the Makefile and fake Pythons."""

    def __init__(self, folder: Path, repository: Path, script: str) -> None:
        self.folder = folder
        shutil.copy(repository / "Makefile", folder)
        (folder / "requirements.txt").write_text("one==1.0\n")
        (folder / "bin").mkdir()
        for name in PYTHONS:
            (folder / "bin" / name).write_text(script)
            (folder / "bin" / name).chmod(0o755)

    def make(self, *arguments: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.folder / 'bin'}:/usr/local/bin:/usr/bin:/bin"
        return subprocess.run(
            ["make", *arguments],
            cwd=self.folder,
            env={"PATH": path},
            capture_output=True,
            text=True,
            check=False,
        )

    def installs(self) -> int:
        calls = (self.folder / "calls").read_text().splitlines()
        return sum(call.startswith("-m pip install") for call in calls)


@pytest.fixture
def project(tmp_path: Path, repository: Path) -> Project:
    return Project(tmp_path, repository, FAKE)


def test_every_target_is_listed(project: Project, repository: Path) -> None:
    text = (repository / "Makefile").read_text()
    (phony,) = re.findall(r"^\.PHONY: (.+)$", text, re.MULTILINE)
    listed = project.make()
    assert listed.returncode == 0
    assert re.findall(r"^  make ([a-z-]+) {2,}\S", listed.stdout, re.MULTILINE) == phony.split()
    assert "\033" not in listed.stdout


def test_setting_up_happens_once(project: Project) -> None:
    first = project.make("venv")
    assert first.returncode == 0, first.stderr
    assert "Creating .venv with python3.11" in first.stdout
    assert project.installs() == 1
    second = project.make("venv")
    assert (second.returncode, project.installs()) == (0, 1)
    assert "Installing" not in second.stdout


def test_another_pin_installs_again(project: Project) -> None:
    project.make("venv")
    (project.folder / "requirements.txt").write_text("one==1.1\n")
    assert "Creating" not in project.make("venv").stdout
    assert project.installs() == 2


def test_a_failed_installation_is_not_taken_for_whole(project: Project) -> None:
    (project.folder / "broken").touch()
    failed = project.make("venv")
    assert failed.returncode != 0
    assert "error: the packages could not be installed" in failed.stderr
    (project.folder / "broken").unlink()
    assert project.make("venv").returncode == 0
    assert project.installs() == 2


def test_an_old_python_is_named(tmp_path: Path, repository: Path) -> None:
    failed = Project(tmp_path, repository, OLD).make("venv")
    assert failed.returncode != 0
    assert "error: Python 3.11 or newer is needed, but python3 is Python 3.9.2" in failed.stderr
    assert not (tmp_path / ".venv").exists()


def test_a_python_can_be_chosen(project: Project) -> None:
    chosen = project.folder / "bin" / "mine"
    shutil.copy(project.folder / "bin" / "python3.12", chosen)
    assert f"Creating .venv with {chosen}" in project.make("venv", f"PYTHON={chosen}").stdout


@pytest.mark.parametrize(("target", "remedy"), [("back", "dvc repro makes them"), ("report", "")])
def test_what_dvc_says_of_its_failure_is_shown(project: Project, target: str, remedy: str) -> None:
    """As after a clone in which the last commit's stages have never run; --quiet hides DVC's own errors."""
    fail = 'case "$*" in *quiet*) ;; *) echo "ERROR: data/infer" >&2 ;; esac; exit 255'
    for name, script in (("git", "exit 0"), ("dvc", fail)):
        (project.folder / "bin" / name).write_text(f"#!/bin/sh\n{script}\n")
        (project.folder / "bin" / name).chmod(0o755)
    left = project.make(target)
    assert left.returncode != 0
    told = left.stderr.splitlines()
    assert told[0] == "ERROR: data/infer"
    assert remedy in told[1]
