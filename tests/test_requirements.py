"""The pins: exact, complete, and those that the tests run with."""

from __future__ import annotations

import importlib.metadata as metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


@pytest.fixture(scope="module")
def pins(repository: Path) -> list[Requirement]:
    lines = (repository / "requirements.txt").read_text().splitlines()
    return [Requirement(line) for line in lines if line and not line.startswith("#")]


def test_every_line_is_one_exact_version(pins: list[Requirement]) -> None:
    names = [canonicalize_name(pin.name) for pin in pins]
    assert len(names) == len(set(names))
    for pin in pins:
        assert [specifier.operator for specifier in pin.specifier] == ["=="], pin
        assert pin.url is None


def test_what_is_pinned_is_what_runs(pins: list[Requirement]) -> None:
    for pin in pins:
        if pin.marker is None or pin.marker.evaluate():
            assert metadata.version(pin.name) in pin.specifier, pin


@pytest.mark.slow
def test_nothing_is_left_to_the_day_of_installation(pins: list[Requirement]) -> None:
    """All that the pinned packages ask for is pinned too."""
    names = {canonicalize_name(pin.name) for pin in pins}
    todo = [(pin.name, extra) for pin in pins for extra in ("", *pin.extras)]
    seen = set()
    while todo:
        name, extra = todo.pop()
        if (name, extra) in seen:
            continue
        seen.add((name, extra))
        for line in metadata.requires(name) or []:
            wanted = Requirement(line)
            if wanted.marker is None or wanted.marker.evaluate({"extra": extra}):
                assert canonicalize_name(wanted.name) in names, f"{name} needs {line}"
                todo += [(canonicalize_name(wanted.name), inner) for inner in ("", *wanted.extras)]
