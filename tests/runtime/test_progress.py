"""Progress in a file or in CI: plain lines, few of them, and the items untouched."""

from __future__ import annotations

import pytest

from facemask.runtime import progress


def test_items_pass_through_and_the_end_is_told(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track(iter("abc"), total=3, label="faces")) == ["a", "b", "c"]
    told = capsys.readouterr().err.splitlines()
    assert len(told) == 1
    assert told[0].startswith("faces: 3/3 (")
    assert "\r" not in told[0]


def test_lines_come_at_most_every_so_often(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = iter(range(1000))
    monkeypatch.setattr(progress.time, "monotonic", lambda: next(clock))
    list(progress.track(range(30), total=30, label="photos", every=10))
    told = capsys.readouterr().err.splitlines()
    assert [line.split(" ")[1] for line in told] == ["10/30", "20/30", "30/30"]
    assert told[0] == "photos: 10/30 (1.0/s, 20 s left)"


def test_nothing_to_do_says_nothing(capsys: pytest.CaptureFixture[str]) -> None:
    assert list(progress.track([], total=0, label="faces")) == []
    assert capsys.readouterr().err == ""


def test_a_terminal_gets_a_bar(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("sys.stderr.isatty", lambda: True)
    assert list(progress.track(range(3), total=3, label="faces")) == [0, 1, 2]
    told = capsys.readouterr().err
    assert "faces" in told
    assert "3/3" in told
