"""Work on photos: in order, paid for once, and only on the bytes that were indexed."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from pathlib import Path

import pytest

from facemask.photos import memo, photos
from facemask.photos.photos import Photo
from facemask.records.roots import Roots
from facemask.runtime import executor
from facemask.runtime.errors import UserError

ALONE = functools.partial(executor.processes, workers=1)


class Shout:
    """Reads each photo and remembers which."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.done: list[str] = []

    def __call__(self, some: Sequence[Photo]) -> list[bytes]:
        self.done += [photo.key for photo in some]
        return [photos.read(Roots(self.root, self.root, self.root), photo).upper() for photo in some]


@pytest.fixture
def some(tmp_path: Path) -> list[Photo]:
    """Ten photos."""
    made = []
    for k in range(10):
        data = f"photo {k}".encode()
        (tmp_path / f"{k}.jpg").write_bytes(data)
        made.append(Photo(f"{k}.jpg", hashlib.sha256(data).hexdigest()))
    return made


def run(task: Shout, some: list[Photo], kept: memo.Memo, fingerprint: str = "f") -> list[bytes]:
    return list(photos.each(task, some, photos.keys(some, fingerprint), kept, ALONE, chunk=3))


def test_only_what_is_new_is_computed(tmp_path: Path, some: list[Photo]) -> None:
    kept = memo.Memo(tmp_path / "memo")
    expected = [f"PHOTO {k}".encode() for k in range(10)]
    first, second, third, other = (Shout(tmp_path) for _ in range(4))
    assert run(first, [*some[:4], *some[6:9]], kept) == expected[:4] + expected[6:9]
    assert run(second, some, kept) == expected
    assert second.done == ["4.jpg", "5.jpg", "9.jpg"]
    assert run(third, some[::-1], kept) == expected[::-1]
    assert third.done == []
    assert run(other, some, kept, "another network") == expected
    assert len(other.done) == 10
    assert run(Shout(tmp_path), some, memo.Memo(None)) == expected
    kept.close()


def test_a_kill_loses_the_chunk_under_way_at_most(tmp_path: Path, some: list[Photo]) -> None:
    kept = memo.Memo(tmp_path / "memo")
    work = photos.each(Shout(tmp_path), some, photos.keys(some, "f"), kept, ALONE, chunk=3)
    for _ in range(4):
        next(work)
    work.close()
    again = Shout(tmp_path)
    run(again, some, kept)
    assert again.done == ["6.jpg", "7.jpg", "8.jpg", "9.jpg"]
    kept.close()


def test_an_entry_that_vanishes_is_computed_again(tmp_path: Path, some: list[Photo]) -> None:
    class Forgetful(memo.Memo):
        def get(self, key: str) -> bytes | None:
            return None

    kept = Forgetful(tmp_path / "memo")
    run(Shout(tmp_path), some, kept)
    assert run(Shout(tmp_path), some, kept) == [f"PHOTO {k}".encode() for k in range(10)]
    kept.close()


def test_twins_share_a_result(tmp_path: Path, some: list[Photo]) -> None:
    kept = memo.Memo(tmp_path / "memo")
    assert run(Shout(tmp_path), [some[0], some[0], some[1]], kept) == [b"PHOTO 0", b"PHOTO 0", b"PHOTO 1"]
    kept.close()


def test_changed_or_missing_photos_are_one_clear_line(tmp_path: Path, some: list[Photo]) -> None:
    (tmp_path / "3.jpg").write_bytes(b"another")
    with pytest.raises(UserError, match=r"3\.jpg: changed since it was indexed; run `dvc repro fix_labels`"):
        photos.read(Roots(tmp_path, tmp_path, tmp_path), some[3])
    (tmp_path / "4.jpg").unlink()
    with pytest.raises(UserError, match=r"4\.jpg: No such file.*fix_labels"):
        photos.read(Roots(tmp_path, tmp_path, tmp_path), some[4])


def test_short_names_tell_the_person() -> None:
    assert photos.short("train/images/001498-1_female_Asian_23/mask1.jpg") == "001498-1"
    assert photos.short("eval/images/0123456789abcdef.jpg") == "01234567"
    assert photos.short("extra/set/train/images/001498-1_female_Asian_23/mask1.jpg") == "001498-1"
    assert photos.short("extra/set/unlabelled/some where/a_walk.jpg") == "a_walk"
