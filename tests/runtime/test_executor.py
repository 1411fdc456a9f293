"""Order and results do not depend on how many work."""

from __future__ import annotations

import os
from collections.abc import Sequence

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
