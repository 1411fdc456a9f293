"""Files at a revision, of a project that is a whole repository or a folder of one."""

from __future__ import annotations

import subprocess
from pathlib import Path, PurePosixPath

import pytest
from dvc.repo import Repo

from facemask.records import revisions


@pytest.mark.slow
@pytest.mark.parametrize("place", [".", "a team's/mask project"])
def test_files_of_git_and_of_dvc_are_those_of_the_revision(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, place: str
) -> None:
    def git(*arguments: str) -> None:
        subprocess.run(["git", *arguments], cwd=tmp_path, check=True, capture_output=True)

    git("init", "-q", "-b", "main")
    git("config", "user.name", "test")
    git("config", "user.email", "test@localhost")
    project = tmp_path / place
    project.mkdir(parents=True, exist_ok=True)
    monkeypatch.chdir(project)
    with Repo.init(subdir=place != ".") as repo:
        for text in ("old", "new"):
            Path("params.yaml").write_text(text)
            Path("out").mkdir(exist_ok=True)
            Path("out/table.csv").write_text(f"{text} table")
            repo.add("out")
            git("add", "-A")
            git("commit", "-qm", text)
    for revision, text in (("main~1", "old"), ("main", "new")):
        read = revisions.opened(project, revision)
        assert read(PurePosixPath("params.yaml")) == text.encode()
        assert read(PurePosixPath("out/table.csv")) == f"{text} table".encode()
    with pytest.raises(FileNotFoundError):
        read(PurePosixPath("out/other.csv"))
