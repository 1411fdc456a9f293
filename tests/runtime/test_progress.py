"""Progress in a file or in CI: plain lines, few of them, and the items untouched."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pytest

from facemask.runtime import progress


class Clock:
    """Stands still until an item takes its seconds."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.now = 100.0
        monkeypatch.setattr(progress.time, "monotonic", lambda: self.now)

    def items(self, seconds: Iterable[float]) -> Iterator[int]:
        for k, taken in enumerate(seconds):
            self.now += taken
            yield k


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    return Clock(monkeypatch)


@pytest.mark.parametrize(("seconds", "told"), [(0.3, ""), (0.5, "faces: 3/3 in 1.5 s\n")])
def test_items_pass_through_and_the_end_is_told_if_it_took_a_second(
    seconds: float, told: str, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    assert list(progress.track(clock.items([seconds] * 3), total=3, label="faces")) == [0, 1, 2]
    assert capsys.readouterr().err == told


def test_lines_come_at_most_every_so_often(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    list(progress.track(clock.items([1.0] * 30), total=30, label="photos", every=10))
    assert capsys.readouterr().err.splitlines() == [
        "photos: 10/30 (1.0/s, 20 s left)",
        "photos: 20/30 (1.0/s, 10 s left)",
        "photos: 30/30 in 30.0 s",
    ]


@pytest.mark.parametrize(
    ("seconds", "total", "expected"),
    [
        # Nothing is known from one item, nor from two that came together after the start.
        ([12], 100, "photos: 1/100"),
        ([9.9, 0.2], 100, "photos: 2/100"),
        # The first one's seconds are those of starting.
        ([6, 2, 2], 100, "photos: 3/100 (0.5/s, 194 s left)"),
        # What is not done takes time.
        ([0.25] * 40, 41, "photos: 40/41 (4.0/s, 1 s left)"),
    ],
)
def test_time_left_is_told_once_it_is_known(
    seconds: list[float], total: int, expected: str, clock: Clock, capsys: pytest.CaptureFixture[str]
) -> None:
    list(progress.track(clock.items(seconds), total=total, label="photos", every=10))
    assert capsys.readouterr().err.splitlines() == [expected]


def test_batches_count_by_their_size(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    sizes = [0, 64, 64, 0, 64]
    parts = ([0] * sizes[k] for k in clock.items([4.0] * 5))
    list(progress.track(parts, total=1000, label="photos", size=len, every=8))
    assert capsys.readouterr().err.splitlines() == [
        "photos: 64/1000 (16.0/s, 59 s left)",
        "photos: 128/1000 (10.7/s, 82 s left)",
    ]


def test_items_without_size_give_no_rate(clock: Clock, capsys: pytest.CaptureFixture[str]) -> None:
    parts = ([] for _ in clock.items([4.0] * 3))
    list(progress.track(parts, total=10, label="photos", size=len, every=10))
    assert capsys.readouterr().err.splitlines() == ["photos: 0/10"]


def test_nothing_to_do_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track([], total=0, label="faces")) == []
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert list(progress.track(range(3), total=3, label="faces")) == [0, 1, 2]
    told = capsys.readouterr().err
    assert "faces" in told
    assert "3/3" in told
    assert "/s" not in told


def test_a_bar_tells_time_left_once_it_is_known(
    clock: Clock, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    list(progress.track(clock.items([1.0] * 6), total=6, label="faces"))
    assert "/s" in capsys.readouterr().err
