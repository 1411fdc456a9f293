"""A cluster gives what one machine gives, in order, whatever becomes of its workers."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from types import SimpleNamespace
from typing import Any, NamedTuple

import pytest

from facemask.runtime import actors, cluster
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


def refuse(chunk: Sequence[int]) -> list[int]:
    if 10 in chunk:
        raise UserError("ten")
    return list(chunk)


def stumble(chunk: Sequence[int]) -> list[int]:
    raise ValueError("a bug")


def die(chunk: Sequence[int]) -> list[int]:
    os._exit(9)


def where(chunk: Sequence[int]) -> tuple[str, list[str]]:
    return str(Path.cwd()), sys.path


def test_two_machines_work_side_by_side_and_results_come_in_order(machines: Any, tmp_path: Path) -> None:
    import ray

    with cluster.workers("ray") as spread:
        assert list(spread(squares, [])) == []
        assert not ray.is_initialized(), "a cluster was joined for nothing"
        assert list(spread(Gathering(tmp_path, 2), CHUNKS)) == EXPECTED
    assert len(list(tmp_path.iterdir())) == 2
    assert str(os.getpid()) not in {path.name for path in tmp_path.iterdir()}
    assert not ray.is_initialized()


def test_workers_stand_where_the_stage_stands(
    machines: Any, tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    with cluster.workers("ray") as spread:
        ((folder, path),) = spread(where, [[1]])
    assert folder == str(tmp_path)
    assert str(repository) in path


def test_no_more_is_handed_out_than_two_chunks_a_worker(machines: Any) -> None:
    handed: list[int] = []

    class Watched(list[list[int]]):
        def __getitem__(self, place: Any) -> Any:
            handed.append(place)
            return super().__getitem__(place)

    with cluster.workers("ray") as spread:
        for taken, result in enumerate(spread(squares, Watched(CHUNKS))):
            assert result == EXPECTED[taken]
            assert len(handed) <= taken + 4
            # Workers have time to finish all that they are given.
            time.sleep(0.05)
    assert handed == list(range(len(CHUNKS)))


def test_mistakes_come_as_they_are(machines: Any) -> None:
    with cluster.workers("ray") as spread:
        with pytest.raises(UserError) as told:
            list(spread(refuse, CHUNKS))
        assert (type(told.value), str(told.value)) == (UserError, "ten")
        with pytest.raises(ValueError, match="a bug"):
            list(spread(stumble, CHUNKS))


def test_a_killed_worker_loses_nothing(machines: Any, tmp_path: Path) -> None:
    with cluster.workers("ray") as spread:
        assert list(spread(DiesOnce(tmp_path / "mark"), CHUNKS)) == EXPECTED
        assert (tmp_path / "mark").exists()
        with pytest.raises(UserError, match="was killed 3 times") as told:
            list(spread(die, CHUNKS))
    assert "\n" not in str(told.value)


def test_a_lost_machine_loses_nothing(machines: Any, tmp_path: Path) -> None:
    third = machines.add_node(num_cpus=1, object_store_memory=2**27)
    try:
        with cluster.workers("ray") as spread:
            work = spread(Gathering(tmp_path, 3), CHUNKS)
            first = next(work)
            assert len(list(tmp_path.iterdir())) == 3
            machines.remove_node(third, allow_graceful=False)
            assert [first, *work] == EXPECTED
    finally:
        if third in machines.list_all_nodes():
            machines.remove_node(third)


def test_workers_that_cannot_start_are_told(machines: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    class Elsewhere(actors.Worker):
        def __init__(self, folder: str, task: Any) -> None:
            super().__init__(f"{folder}/not/there", task)

    monkeypatch.setattr(actors, "Worker", Elsewhere)
    with cluster.workers("ray") as spread, pytest.raises(UserError, match="cannot start") as told:
        list(spread(squares, CHUNKS))
    assert "No such file" in str(told.value)
    assert "\n" not in str(told.value)


def test_without_an_address_a_cluster_comes_and_goes(monkeypatch: pytest.MonkeyPatch) -> None:
    import ray

    monkeypatch.delenv("RAY_ADDRESS", raising=False)
    with cluster.workers("ray") as spread:
        assert list(spread(squares, CHUNKS)) == EXPECTED
        assert ray.is_initialized()
    assert not ray.is_initialized()


def test_no_cluster_and_no_ray_are_told_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("RAY_ADDRESS", "127.0.0.1:1")
    start = time.monotonic()
    with (
        cluster.workers("ray") as spread,
        pytest.raises(UserError, match="RAY_ADDRESS=127.0.0.1:1 cannot be used"),
    ):
        list(spread(squares, CHUNKS))
    assert time.monotonic() - start < 30
    monkeypatch.setitem(sys.modules, "ray", None)
    with cluster.workers("ray") as spread, pytest.raises(UserError, match="pip install"):
        list(spread(squares, CHUNKS))


@pytest.mark.parametrize(
    ("rooms", "gpus", "expected"),
    [
        ([{"CPU": 8.0}, {"CPU": 4.0}], 0, 12),
        ([{}, {"CPU": 0.0}, {"CPU": 2.0}], 0, 2),
        ([{"CPU": 16.0, "GPU": 2.0}, {"CPU": 16.0}], 1, 2),
        ([{"CPU": 1.0, "GPU": 2.0}], 1, 1),
    ],
)
def test_machines_are_filled(rooms: list[dict[str, float]], gpus: int, expected: int) -> None:
    nodes = [{"Alive": True, "Resources": room} for room in rooms]
    gone = {"Alive": False, "Resources": {"CPU": 64.0, "GPU": 8.0}}
    assert cluster._places([gone, *nodes], gpus) == expected
    with pytest.raises(UserError, match="has no"):
        cluster._places([gone], gpus)


class LostError(Exception):
    """What Ray raises for a worker that is gone."""


class Remote:
    """A worker of a cluster that is not there; lost when it first meets a chunk of ``fatal``.

    With ``late`` its other answers were given before that and are read all the same.
    """

    def __init__(self, fatal: list[int], late: bool) -> None:
        self.started = SimpleNamespace(remote=lambda: Promise(None, lambda: None))
        self.work = SimpleNamespace(remote=lambda chunk: Promise(chunk, lambda: self._work(chunk)))
        self._fatal, self._late, self._dead = fatal, late, False

    def _work(self, chunk: int) -> int:
        if chunk in self._fatal:
            self._fatal.remove(chunk)
            self._dead = not self._late
            raise LostError
        if self._dead:
            raise LostError
        return chunk


class Promise(NamedTuple):
    """What a worker was asked for."""

    chunk: int | None
    get: Callable[[], int | None]


@pytest.mark.parametrize("late", [False, True])
@pytest.mark.parametrize("fatal", [[0], [1], [5], [1, 2], [3, 3]], ids=str)
def test_a_lost_chunk_goes_before_later_ones(fatal: list[int], late: bool) -> None:
    fatal = list(fatal)

    def wait(asked: list[Promise], **_: Any) -> tuple[list[Promise], list[Promise]]:
        assert asked, "nobody works, and not all is done"
        return asked[:1], asked[1:]

    ray = SimpleNamespace(
        wait=wait,
        get=lambda promise: promise.get(),
        kill=lambda actor: None,
        exceptions=SimpleNamespace(RayTaskError=KeyError, RayError=LostError),
    )
    team = actors.Team(ray, lambda: Remote(fatal, late), 1)
    assert list(team.work(range(6))) == list(range(6))
    assert not fatal
