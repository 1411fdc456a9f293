"""Order and results do not depend on how many work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest

from facemask.runtime import executor
from facemask.runtime.errors import UserError


def squares(chunk: Sequence[int]) -> list[int]:
    return [item * item for item in chunk]


def fail(chunk: Sequence[int]) -> list[int]:
    if 5 in chunk:
        raise UserError("five")
    return list(chunk)


def die(chunk: Sequence[int]) -> list[int]:
    os._exit(9)


CHUNKS = [list(range(start, start + 3)) for start in range(0, 21, 3)]


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    expected = [squares(chunk) for chunk in CHUNKS]
    assert list(executor.processes(squares, CHUNKS, workers=workers)) == expected
    assert list(executor.threads(squares, CHUNKS, workers=workers)) == expected
    assert list(executor.processes(squares, [], workers=workers)) == []


def test_errors_of_a_worker_arrive() -> None:
    with pytest.raises(UserError, match="five"):
        list(executor.processes(fail, CHUNKS, workers=2))
    with pytest.raises(UserError, match="was killed"):
        list(executor.processes(die, CHUNKS, workers=2))


POOL = """
import os, signal, sys
from facemask.runtime import executor

if __name__ == "__main__":
    for place in executor.processes(len, [[0], [1], [2]], workers=2):
        if sys.argv[1:]:
            os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_pool_left_in_tmpdir_goes_at_the_next_start(tmp_path: Path, repository: Path) -> None:
    (tmp_path / "pool.py").write_text(POOL)
    (tmp_path / "tmp").mkdir()
    more = {"TMPDIR": str(tmp_path / "tmp"), "PYTHONPATH": str(repository)}

    def run(*words: str) -> int:
        command = [sys.executable, str(tmp_path / "pool.py"), *words]
        return subprocess.run(command, env=os.environ | more, check=False).returncode

    assert run("die") == -signal.SIGKILL
    (left,) = (tmp_path / "tmp").iterdir()
    assert run("die") == -signal.SIGKILL
    (other,) = (tmp_path / "tmp").iterdir()
    assert other != left
    assert run() == 0
    assert list((tmp_path / "tmp").iterdir()) == []
