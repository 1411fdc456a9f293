"""A stage ends with DVC, and so do its workers; Ctrl-C is one line."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

PATIENCE = 120.0
# What is promised is ten seconds; a busy machine is given more.
SOON = 30.0
# As a stage begins: its package first, then its work, here in two workers that never end.
STAGE = """
import stages
import os, threading, time
from pathlib import Path
from facemask.runtime import executor
from facemask.runtime.launch import launch
from facemask.settings import params

def sleep(chunk):
    Path(f"worker{chunk[0]}").write_text(str(os.getpid()))
    time.sleep(600)

def run(cfg: params.Infer) -> None:
    Path("stage").write_text(str(os.getpid()))
    try:
        list(executor.processes(sleep, [[0], [1]], workers=2))
    finally:
        Path("threads").write_text(" ".join(each.name for each in threading.enumerate() if not each.daemon))

if __name__ == "__main__":
    launch(run)
"""
# As DVC starts a stage.
PARENT = "import subprocess, sys; subprocess.Popen(sys.argv[1:]).wait()"


@pytest.fixture
def project(tmp_path: Path, toy_yaml: dict[str, Any]) -> Path:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(toy_yaml))
    (tmp_path / "slow.py").write_text(STAGE)
    return tmp_path


@pytest.fixture
def start(project: Path, repository: Path) -> Iterator[Callable[..., subprocess.Popen[bytes]]]:
    running = []

    def begin(*command: str) -> subprocess.Popen[bytes]:
        above = {"PYTHONPATH": f"{repository}", "DVC_STAGE": "slow"}
        with (project / "said").open("wb") as said:
            process = subprocess.Popen(
                command, cwd=project, env=os.environ | above, stdout=said, stderr=said, start_new_session=True
            )
        running.append(process)
        return process

    yield begin
    for process in running:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(reached: Callable[[], bool], patience: float = PATIENCE) -> None:
    end = time.monotonic() + patience
    while not reached():
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def begun(project: Path) -> list[psutil.Process]:
    """The stage and its workers, once all are at work."""
    files = [project / name for name in ("stage", "worker0", "worker1")]
    until(lambda: all(file.exists() and file.read_text() for file in files))
    stage = psutil.Process(int(files[0].read_text()))
    found = [stage, *stage.children(recursive=True)]
    assert {int(file.read_text()) for file in files} <= {process.pid for process in found}
    return found


def alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
@pytest.mark.parametrize(
    "line", ["exec python slow.py", "python slow.py; true"], ids=["alone", "below a shell"]
)
@pytest.mark.parametrize("by", [signal.SIGTERM, signal.SIGKILL])
def test_it_ends_with_its_parent(
    project: Path, start: Callable[..., subprocess.Popen[bytes]], line: str, by: signal.Signals
) -> None:
    shell = ["sh", "-c", line.replace("python", sys.executable)]
    parent = start(sys.executable, "-c", PARENT, *shell)
    running = begun(project)
    os.kill(parent.pid, by)
    parent.wait(SOON)
    until(lambda: not any(map(alive, running)), SOON)


@pytest.mark.slow
def test_ctrl_c_is_one_line_and_code_130(
    project: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    stage = start(sys.executable, "slow.py")
    running = begun(project)
    os.killpg(stage.pid, signal.SIGINT)
    assert stage.wait(SOON) == 130
    assert (project / "said").read_text() == "interrupted; `dvc repro` goes on from here\n"
    # A pool that is still ending races with Python's own end, and now and then loses with a traceback.
    assert (project / "threads").read_text() == "MainThread"
    until(lambda: not any(map(alive, running)), SOON)


def test_ctrl_c_while_libraries_are_imported_is_one_line_too(
    project: Path, start: Callable[..., subprocess.Popen[bytes]]
) -> None:
    (project / "slow.py").write_text(
        "import stages, pathlib, time\npathlib.Path('stage').touch()\ntime.sleep(600)\n"
    )
    stage = start(sys.executable, "slow.py")
    until((project / "stage").exists)
    stage.send_signal(signal.SIGINT)
    assert stage.wait(SOON) == 130
    assert (project / "said").read_text() == "interrupted; `dvc repro` goes on from here\n"


@pytest.mark.slow
def test_it_ends_with_dvc(
    project: Path,
    start: Callable[..., subprocess.Popen[bytes]],
    start_project: Callable[[str, str], None],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(project)
    start_project(f"stages:\n  slow:\n    cmd: {sys.executable} slow.py\n    outs: [never]\n", "never\n")
    monkeypatch.delenv("DVC_STAGE", raising=False)
    dvc = start(sys.executable, "-m", "dvc", "repro")
    running = begun(project)
    dvc.terminate()
    dvc.wait(SOON)
    until(lambda: not any(map(alive, running)), SOON)
