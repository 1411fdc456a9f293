"""Order and results do not depend on how many work."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Sequence
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


def blas(chunk: Sequence[int]) -> str | None:
    return os.environ.get("OPENBLAS_NUM_THREADS")


CHUNKS = [list(range(start, start + 3)) for start in range(0, 21, 3)]


@pytest.mark.parametrize("workers", [1, 2])
def test_results_come_in_order(workers: int) -> None:
    expected = [squares(chunk) for chunk in CHUNKS]
    assert list(executor.processes(squares, CHUNKS, workers=workers)) == expected
    assert list(executor.threads(squares, CHUNKS, workers=workers)) == expected
    assert list(executor.processes(squares, [], workers=workers)) == []


@pytest.mark.slow
def test_errors_of_a_worker_arrive() -> None:
    with pytest.raises(UserError, match="five"):
        list(executor.processes(fail, CHUNKS, workers=2))
    with pytest.raises(UserError, match="was killed"):
        list(executor.processes(die, CHUNKS, workers=2))


def test_workers_keep_blas_to_a_core_each_and_this_process_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENBLAS_NUM_THREADS", "7")
    assert set(executor.processes(blas, CHUNKS, workers=2)) == {"1"}
    assert blas([]) == "7"


POOL = """
import os, signal, sys
from facemask.runtime import executor

if __name__ == "__main__":
    for place in executor.processes(len, [[0], [1], [2]], workers=2):
        if sys.argv[1:]:
            os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.fixture
def pool(tmp_path: Path, repository: Path) -> Callable[..., int]:
    """Run the pool of a script with a ``TMPDIR`` of one's own; with a further word it is killed at its first result."""
    (tmp_path / "pool.py").write_text(POOL)

    def run(folder: Path, *words: str) -> int:
        command = [sys.executable, str(tmp_path / "pool.py"), *words]
        environment = os.environ | {"TMPDIR": str(folder), "PYTHONPATH": str(repository)}
        return subprocess.run(command, env=environment, check=False).returncode

    return run


@pytest.mark.slow
def test_what_a_killed_pool_left_in_tmpdir_goes_at_the_next_start(pool: Callable[..., int]) -> None:
    # pytest's own folders may be too long for a socket's path.
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        assert pool(Path(folder), "die") == -signal.SIGKILL
        (left,) = Path(folder).iterdir()
        assert pool(Path(folder), "die") == -signal.SIGKILL
        (other,) = Path(folder).iterdir()
        assert other != left
        assert pool(Path(folder)) == 0
        assert list(Path(folder).iterdir()) == []


@pytest.mark.slow
@pytest.mark.parametrize("length", [62, 63, 200])
def test_a_tmpdir_of_any_length_will_do(length: int, pool: Callable[..., int]) -> None:
    with tempfile.TemporaryDirectory(dir="/tmp") as folder:
        long = Path(folder) / ("x" * (length - len(folder) - 1))
        long.mkdir()
        assert pool(long) == 0
        assert list(long.iterdir()) == []
