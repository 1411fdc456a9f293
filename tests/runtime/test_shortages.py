"""Lack of room, permission, open files or memory is one line with the place and what there is."""

from __future__ import annotations

import errno
import os
import resource
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import yaml

from facemask.runtime import shortages
from facemask.runtime.errors import UserError
from facemask.runtime.launch import launch
from facemask.settings import params


class OutOfMemoryError(RuntimeError):
    """As torch names it."""


LACKING = [
    (OSError(errno.ENOSPC, "No space left on device", "data/face_crop/labelled"), "room"),
    (OSError(errno.EDQUOT, "Disk quota exceeded"), "room"),
    (OSError(errno.EFBIG, "File too large"), "room"),
    (RuntimeError("[enforce fail at inline_container.cc:664] . file write failed"), "room"),
    (Exception("Error while serializing: I/O error: No space left on device (os error 28)"), "room"),
    (sqlite3.OperationalError("database or disk is full"), "room"),
    (FileNotFoundError(errno.ENOENT, "No usable temporary directory found in ['/tmp']"), "room"),
    (PermissionError(errno.EACCES, "Permission denied", "data/infer"), "permission"),
    (OSError(errno.EROFS, "Read-only file system", "data/infer"), "permission"),
    (sqlite3.OperationalError("attempt to write a readonly database"), "permission"),
    (OSError(errno.EMFILE, "Too many open files", "a.jpg"), "files"),
    (RuntimeError("unable to open shared memory object: Too many open files (24)"), "files"),
    (MemoryError(), "memory"),
    (OSError(errno.ENOMEM, "Cannot allocate memory"), "memory"),
    (OutOfMemoryError("CUDA out of memory. Tried to allocate 2 GiB"), "memory"),
    (RuntimeError("DefaultCPUAllocator: can't allocate memory: you tried to allocate 9 bytes"), "memory"),
    (RuntimeError("DataLoader worker (pid 7) is killed by signal: Bus error."), "memory"),
]


@pytest.mark.parametrize(("error", "kind"), LACKING)
def test_what_libraries_raise_is_told_apart(error: Exception, kind: str) -> None:
    assert shortages.kind(error) == kind
    line = shortages.line(error)
    assert line is not None
    assert "\n" not in line
    # Raised again as another error, it is still known.
    above = ValueError("something else")
    above.__cause__ = error
    assert shortages.kind(above) == kind


@pytest.mark.parametrize(
    "error",
    [
        ValueError("a bug"),
        FileNotFoundError(2, "No such file", "x"),
        KeyError("memory"),
        UserError("disk is full"),
    ],
)
def test_other_errors_are_none_of_it(error: Exception) -> None:
    assert shortages.kind(error) is None
    assert shortages.line(error) is None


def test_the_line_names_the_place_and_what_is_free_there(tmp_path: Path) -> None:
    line = shortages.line(OSError(errno.ENOSPC, "No space left on device", str(tmp_path / "a" / "b")))
    assert line is not None
    assert line.startswith(f"no room left (No space left on device): {tmp_path}/a/b has ")
    assert "B free; make room" in line
    # Without a place, where a stage writes.
    assert f"{Path.cwd()} has " in str(shortages.line(OSError(errno.ENOSPC, "No space left on device")))


@pytest.fixture
def project(tmp_path: Path, toy_yaml: dict[str, Any], monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(toy_yaml))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "argv", ["stage"])
    return tmp_path


@pytest.mark.parametrize(("error", "kind"), LACKING)
def test_a_stage_ends_in_one_line(project: Path, error: Exception, kind: str) -> None:
    def run(cfg: params.Infer) -> None:
        raise error

    with pytest.raises(SystemExit) as ended:
        launch(run)
    # Python prints it to standard error and ends with code 1.
    assert str(ended.value.code) == f"error: test_shortages: {shortages.line(error)}"


def test_ctrl_c_ends_a_stage_with_code_130(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    def run(cfg: params.Infer) -> None:
        raise KeyboardInterrupt

    with pytest.raises(SystemExit) as ended:
        launch(run)
    assert ended.value.code == 130
    assert capsys.readouterr().err == "interrupted; `dvc repro` goes on from here\n"


@pytest.fixture
def small_files() -> Iterator[None]:
    """No file may grow beyond 64 KiB: what a full disk looks like, to this process alone."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (2**16, before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_FSIZE, before)


def test_no_room_for_an_output_keeps_the_older_one(project: Path, small_files: None) -> None:
    from facemask.runtime import files

    (project / "out").write_text("older")

    def run(cfg: params.Infer) -> None:
        with files.replacing(Path("out")) as temporary:
            temporary.write_bytes(bytes(2**17))

    with pytest.raises(SystemExit, match=r"no room left \(File too large\)"):
        launch(run)
    assert (project / "out").read_text() == "older"
    assert not list(project.glob(".out*"))


SCRIPT = """
import numpy as np
from facemask.runtime.launch import launch
from facemask.settings import params

def run(cfg: params.Infer) -> None:
    np.ones(2**45)

launch(run)
"""


@pytest.mark.slow
def test_from_the_shell_too_large_an_array_is_one_line(project: Path, repository: Path) -> None:
    (project / "large.py").write_text(SCRIPT)
    ended = subprocess.run(
        [sys.executable, "large.py"],
        env=os.environ | {"PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: large: not enough memory (Unable to allocate 256. TiB")
    assert ended.stderr.count("\n") == 1


def test_the_memo_goes_on_without_keeping_and_says_so_once(
    tmp_path: Path, small_files: None, capsys: pytest.CaptureFixture[str]
) -> None:
    from facemask.photos import memo

    kept = memo.Memo(tmp_path / "m")
    kept.put([("a", b"1")])
    for name in "bcd":
        kept.put([(name, bytes(2**17))])
    assert kept.get("b") is None
    assert kept.usage() == (0, 0)
    kept.close()
    said = capsys.readouterr().err
    assert said.startswith(f"{tmp_path}/m: nothing more is kept: no room left (")
    assert said.count("\n") == 1


def test_a_memo_that_cannot_be_opened_keeps_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    from facemask.photos import memo

    def refuse(*_: object, **__: object) -> None:
        raise PermissionError(errno.EACCES, "Permission denied", str(tmp_path / "m"))

    monkeypatch.setattr(memo.diskcache, "Cache", refuse)
    kept = memo.Memo(tmp_path / "m")
    kept.put([("a", b"1")])
    assert kept.get("a") is None
    assert capsys.readouterr().err.startswith(
        f"{tmp_path}/m: nothing more is kept: no permission to write {tmp_path}/m"
    )
