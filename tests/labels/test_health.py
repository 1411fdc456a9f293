"""Photo files that can be read, those that cannot, and why."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from pathlib import Path

import pytest

from facemask.labels import health
from facemask.records import raw
from facemask.records.roots import Roots
from facemask.runtime.errors import UserError


@pytest.fixture
def where(contest_folder: Callable[..., Path]) -> Roots:
    root = contest_folder(people=1, eval_people=0, size=(8, 6))
    return Roots(root, root / "extra", root / "synthesise")


@pytest.fixture
def keys(where: Roots) -> list[str]:
    """Photos of the one person, not in their order on disk."""
    return raw.scan(where.main).train["photo"].tolist()[::-1]


@pytest.fixture
def lock(monkeypatch: pytest.MonkeyPatch) -> Callable[..., None]:
    """Takes away the right to read some files; root, who often runs the tests, may read any."""
    read = Path.read_bytes

    def locked(*paths: Path) -> None:
        def denied(path: Path) -> bytes:
            if path in paths:
                raise PermissionError(13, "Permission denied", str(path))
            return read(path)

        monkeypatch.setattr(Path, "read_bytes", denied)

    return locked


def test_every_photo_has_a_row_with_its_hash(where: Roots, keys: list[str]) -> None:
    where.path(keys[2]).write_bytes(b"no image")
    checked = health.check(where, keys)
    assert checked["photo"].tolist() == keys
    assert checked["sha256"].tolist() == [
        hashlib.sha256(where.path(key).read_bytes()).hexdigest() for key in keys
    ]
    assert (checked["status"] == "unreadable").tolist() == [key == keys[2] for key in keys]
    assert (checked["reason"] != "").tolist() == [key == keys[2] for key in keys]


def test_a_photo_that_may_not_be_opened_keeps_its_row(
    where: Roots, keys: list[str], lock: Callable[..., None]
) -> None:
    lock(where.path(keys[1]))
    checked = health.check(where, keys)
    assert checked["photo"].tolist() == keys
    assert checked.iloc[1].tolist() == [keys[1], "", "unreadable", "Permission denied"]
    assert (checked["status"] == "ok").sum() == len(keys) - 1


def test_a_part_that_may_not_be_opened_is_told(
    where: Roots, keys: list[str], lock: Callable[..., None]
) -> None:
    lock(*map(where.path, keys))
    with pytest.raises(UserError, match=r"train/images: none of 7 photos can be read, .*Permission denied"):
        health.check(where, keys)
