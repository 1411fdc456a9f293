"""A cluster gives what one machine gives, in order, whatever becomes of its workers."""

from __future__ import annotations

import os
import signal
import sys
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from facemask.runtime import cluster
from facemask.runtime.errors import UserError

pytestmark = pytest.mark.slow

CHUNKS = [list(range(start, start + 3)) for start in range(0, 36, 3)]


def squares(chunk: Sequence[int]) -> list[int]:
    return [item * item for item in chunk]


EXPECTED = [squares(chunk) for chunk in CHUNKS]


@dataclass(frozen=True)
class Gathering:
    """Squares that are told only once ``wanted`` processes are at work."""

    folder: Path
    wanted: int

    def __call__(self, chunk: Sequence[int]) -> list[int]:
        (self.folder / str(os.getpid())).touch()
        end = time.monotonic() + 60
        while len(list(self.folder.iterdir())) < self.wanted and time.monotonic() < end:
            time.sleep(0.05)
        return squares(chunk)


@dataclass(frozen=True)
class DiesOnce:
    """Squares; the first process that meets a 10 is gone."""

    mark: Path

    def __call__(self, chunk: Sequence[int]) -> list[int]:
        if 10 in chunk and not self.mark.exists():
            self.mark.touch()
            os._exit(9)
        return squares(chunk)


@dataclass(frozen=True)
class SetUp:
    """Tells its process; leaves a file each time that it arrives in one."""

    folder: Path

    def __call__(self, chunk: Sequence[int]) -> int:
        time.sleep(0.05)
        return os.getpid()

    def __setstate__(self, state: dict[str, Any]) -> None:
        vars(self).update(state)
        (self.folder / f"{time.monotonic_ns()}").touch()


def refuse(chunk: Sequence[int]) -> list[int]:
    if 10 in chunk:
        raise UserError("ten")
    return list(chunk)


def stumble(chunk: Sequence[int]) -> list[int]:
    raise ValueError("a bug")


def die(chunk: Sequence[int]) -> list[int]:
    os._exit(9)


def last(chunk: Sequence[int]) -> None:
    time.sleep(60)


def where(chunk: Sequence[int]) -> tuple[str, list[str]]:
    return str(Path.cwd()), sys.path


def test_two_machines_work_side_by_side_and_results_come_in_order(machines: Any, tmp_path: Path) -> None:
    import ray

    with cluster.workers("ray") as pool:
        assert list(pool(squares, [])) == []
        assert not ray.is_initialized(), "a cluster was joined for nothing"
        assert list(pool(Gathering(tmp_path, 2), CHUNKS)) == EXPECTED
    assert len(list(tmp_path.iterdir())) == 2
    assert str(os.getpid()) not in {path.name for path in tmp_path.iterdir()}
    assert not ray.is_initialized()


def test_workers_stand_where_the_stage_stands(
    machines: Any, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with cluster.workers("ray") as pool:
        ((folder, path),) = pool(where, [[1]])
    assert folder == str(tmp_path)
    assert str(repository) in path


def test_no_more_is_handed_out_than_two_chunks_a_worker(machines: Any) -> None:
    handed: list[int] = []

    class Watched(list[list[int]]):
        def __iter__(self) -> Iterator[list[int]]:
            for place, chunk in enumerate(super().__iter__()):
                handed.append(place)
                yield chunk

    with cluster.workers("ray") as pool:
        for taken, result in enumerate(pool(squares, Watched(CHUNKS))):
            assert result == EXPECTED[taken]
            assert len(handed) <= taken + 4
            # Workers have time to finish all that they are given.
            time.sleep(0.05)
    assert handed == list(range(len(CHUNKS)))


def test_mistakes_come_as_they_are(machines: Any) -> None:
    with cluster.workers("ray") as pool:
        with pytest.raises(UserError) as told:
            list(pool(refuse, CHUNKS))
        assert (type(told.value), str(told.value)) == (UserError, "ten")
        with pytest.raises(ValueError, match="a bug"):
            list(pool(stumble, CHUNKS))


def test_a_killed_worker_loses_nothing(machines: Any, tmp_path: Path) -> None:
    with cluster.workers("ray") as pool:
        assert list(pool(DiesOnce(tmp_path / "mark"), CHUNKS)) == EXPECTED
        assert (tmp_path / "mark").exists()
        with pytest.raises(UserError, match="was killed 3 times") as told:
            list(pool(die, CHUNKS))
    assert "\n" not in str(told.value)


def test_a_lost_machine_loses_nothing(machines: Any, tmp_path: Path) -> None:
    third = machines.add_node(num_cpus=1, object_store_memory=2**27)
    try:
        with cluster.workers("ray") as pool:
            work = pool(Gathering(tmp_path, 3), CHUNKS)
            first = next(work)
            assert len(list(tmp_path.iterdir())) == 3
            machines.remove_node(third, allow_graceful=False)
            assert [first, *work] == EXPECTED
    finally:
        if third in machines.list_all_nodes():
            machines.remove_node(third)


def test_a_task_is_set_up_once_a_process_even_beside_a_gpu(machines: Any, tmp_path: Path) -> None:
    third = machines.add_node(num_cpus=1, num_gpus=1, object_store_memory=2**27)
    try:
        for gpus in (0, 1):
            folder = tmp_path / str(gpus)
            folder.mkdir()
            with cluster.workers("ray", gpus=gpus) as pool:
                processes = set(pool(SetUp(folder), CHUNKS))
            assert len(list(folder.iterdir())) == len(processes) <= 3 - 2 * gpus
    finally:
        machines.remove_node(third)


def test_machines_without_the_project_or_a_gpu_are_told(
    machines: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    with cluster.workers("ray", gpus=1) as pool, pytest.raises(UserError, match="has no GPU"):
        list(pool(squares, CHUNKS))
    monkeypatch.setattr(cluster.Path, "cwd", lambda: Path("/not/there"))
    with cluster.workers("ray") as pool, pytest.raises(UserError, match="lacks what this one has") as told:
        list(pool(squares, CHUNKS))
    assert "No such file or directory: '/not/there'" in str(told.value)
    assert "\n" not in str(told.value)


def test_without_an_address_a_cluster_comes_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with cluster.workers("ray") as pool:
        assert list(pool(squares, CHUNKS)) == EXPECTED
        assert ray.is_initialized()
    assert not ray.is_initialized()


def test_a_task_that_takes_all_memory_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    monkeypatch.setenv("RAY_memory_usage_threshold", "0.001")
    signal.signal(signal.SIGALRM, lambda *_: pytest.fail("it is started anew for ever"))
    signal.alarm(120)
    try:
        with (
            cluster.workers("ray") as pool,
            pytest.raises(UserError, match="killed 3 times .*low on memory"),
        ):
            list(pool(last, [[1]]))
    finally:
        signal.alarm(0)


def test_no_cluster_and_no_ray_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    start = time.monotonic()
    with (
        cluster.workers("ray") as pool,
        pytest.raises(UserError, match="RAY_ADDRESS=127.0.0.1:1 cannot be used"),
    ):
        list(pool(squares, CHUNKS))
    assert time.monotonic() - start < 30
    monkeypatch.setitem(sys.modules, "ray", None)
    with cluster.workers("ray") as pool, pytest.raises(UserError, match="pip install"):
        list(pool(squares, CHUNKS))
