"""The memo keeps bytes and nothing else, within its bound, for whoever asks."""

from __future__ import annotations

import contextlib
import pickle
import re
import sqlite3
from pathlib import Path

import diskcache
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facemask.photos import memo
from facemask.runtime.errors import UserError


def test_two_open_memos_share_what_is_kept(tmp_path: Path) -> None:
    one, other = memo.Memo(tmp_path / "m"), memo.Memo(tmp_path / "m")
    one.put([("a", b"1"), ("b", b"\x00" * 100_000)])
    assert "a" in other
    assert other.get("a") == b"1"
    assert other.get("b") == b"\x00" * 100_000
    assert "c" not in other
    assert other.get("c") is None
    one.close()
    other.close()


@pytest.mark.slow
def test_the_size_is_bounded(tmp_path: Path) -> None:
    kept = memo.Memo(tmp_path / "m", limit=20_000_000)
    for k in range(60):
        kept.put([(str(k), bytes(1_000_000))])
    size = sum(file.stat().st_size for file in (tmp_path / "m").rglob("*") if file.is_file())
    assert size < 30_000_000  # SQLite's journal comes on top
    assert "59" in kept
    assert "0" not in kept
    kept.close()


def test_switched_off_it_keeps_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setenv("FACEMASK_MEMO", "0")
    with memo.opened("stage") as kept:
        kept.put([("a", b"1")])
        assert kept.get("a") is None
    assert list(tmp_path.iterdir()) == []
    monkeypatch.delenv("FACEMASK_MEMO")
    with memo.opened("stage") as kept:
        kept.put([("a", b"1")])
    assert (tmp_path / ".cache" / "facemask" / "stage").is_dir()


def test_only_bytes_are_kept_and_foreign_pickles_stay_shut(tmp_path: Path) -> None:
    kept = memo.Memo(tmp_path / "m")
    with pytest.raises(TypeError, match="bytes"):
        kept.put([("a", {"not": "bytes"})])  # type: ignore[list-item]
    kept.close()

    class Trap:
        def __reduce__(self) -> tuple[object, tuple[str]]:
            return Path.touch, (tmp_path / "sprung",)  # type: ignore[return-value]

    pickle.loads(pickle.dumps(Trap()))
    assert (tmp_path / "sprung").exists()
    (tmp_path / "sprung").unlink()
    with diskcache.Cache(str(tmp_path / "m")) as foreign:
        foreign["a"] = Trap()
    kept = memo.Memo(tmp_path / "m")
    with pytest.raises(UserError, match="foreign entry"):
        kept.get("a")
    assert not (tmp_path / "sprung").exists()
    kept.close()


@pytest.mark.parametrize("size", [1, 100, 100_000])
def test_a_flipped_bit_is_no_result(tmp_path: Path, size: int) -> None:
    """Every damaged value is recomputed: bits anywhere in it, a shorter one, another key's."""
    kept = memo.Memo(tmp_path / "m")
    kept.put([("a", bytes(size)), ("b", b"\x01" * size)])
    database = sqlite3.connect(tmp_path / "m" / "cache.db")
    whole = database.execute("SELECT value FROM Cache WHERE key = 'a'").fetchone()[0]
    other = database.execute("SELECT value FROM Cache WHERE key = 'b'").fetchone()[0]
    flipped = [whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :] for at in (0, 15, 16, len(whole) - 1)]
    for damaged in (*flipped, whole[:-1], whole[:10], b"", other, None, 7, "text"):
        database.execute("UPDATE Cache SET value = ? WHERE key = 'a'", (damaged,))
        database.commit()
        assert kept.get("a") is None
        assert "a" not in kept
    kept.put([("a", bytes(size))])
    assert kept.get("a") == bytes(size)
    database.close()
    kept.close()


def test_no_file_that_an_entry_names_is_read_or_removed(tmp_path: Path) -> None:
    secret = tmp_path / "secret"
    secret.write_bytes(b"a user's file")
    kept = memo.Memo(tmp_path / "m", limit=200_000)
    kept.put([("a", b"1")])
    database = sqlite3.connect(tmp_path / "m" / "cache.db")
    for mode in (diskcache.core.MODE_RAW, diskcache.core.MODE_BINARY, diskcache.core.MODE_TEXT):
        database.execute("UPDATE Cache SET mode = ?, filename = ? WHERE key = 'a'", (mode, "../secret"))
        database.commit()
        with pytest.raises(UserError, match="foreign entry"):
            kept.get("a")
    for k in range(60):
        kept.put([(str(k), bytes(20_000))])
    assert database.execute("SELECT COUNT(*) FROM Cache WHERE key = 'a'").fetchone() == (0,)
    assert secret.read_bytes() == b"a user's file"
    database.close()
    kept.close()


def test_a_damaged_memo_is_set_aside_in_one_line_and_begun_anew(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (tmp_path / "m").mkdir()
    (tmp_path / "m" / "cache.db").write_bytes(b"no database" * 1000)
    kept = memo.Memo(tmp_path / "m")
    assert re.fullmatch(
        r".*/m: damaged \(.*\); set aside, its results are computed anew\n", capsys.readouterr().err
    )
    assert (tmp_path / "m.damaged" / "cache.db").read_bytes().startswith(b"no database")
    kept.put([("a", b"1")])
    assert kept.get("a") == b"1"
    kept.close()


@pytest.mark.parametrize(
    "column", ["store_time", "expire_time", "access_count", "tag", "size", "value", "raw"]
)
@pytest.mark.parametrize("value", [None, "x", -1, 2**62, float("inf")])
def test_a_damaged_row_is_computed_again(tmp_path: Path, column: str, value: object) -> None:
    kept = memo.Memo(tmp_path / "m")
    kept.put([(name, name.encode() * 9) for name in "abc"])
    kept.close()
    with contextlib.closing(sqlite3.connect(tmp_path / "m" / "cache.db")) as database:
        with contextlib.suppress(sqlite3.Error):
            database.execute(f"UPDATE Cache SET {column} = ?", (value,))
        database.commit()
    kept = memo.Memo(tmp_path / "m")
    try:
        for name in "abc":
            assert kept.get(name) in (None, name.encode() * 9)
        kept.put([("d", b"1")])
        assert kept.get("d") in (None, b"1")
        kept.usage()
    except UserError as error:
        assert column == "raw"
        assert "foreign entry" in str(error)
    finally:
        kept.close()


@pytest.mark.slow
@settings(max_examples=60)
@given(
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=30)
)
def test_mutated_bytes_of_a_memo_give_what_was_kept_or_nothing(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[float, int]]
) -> None:
    folder = tmp_path_factory.mktemp("mutated") / "m"
    kept = memo.Memo(folder)
    kept.put([("a", b"1" * 999)])
    kept.close()
    content = bytearray((folder / "cache.db").read_bytes())
    for place, value in edits:
        content[int(place**2 * len(content))] = value
    (folder / "cache.db").write_bytes(content)
    kept = memo.Memo(folder)
    try:
        assert kept.get("a") in (None, b"1" * 999)
    except UserError as error:
        assert "foreign entry" in str(error)
    finally:
        kept.close()


def test_the_fingerprint_changes_with_all_that_matters(tmp_path: Path) -> None:
    weights = tmp_path / "w"
    weights.write_bytes(b"1")
    base = memo.fingerprint({"a": 1}, ["pixels"], ["numpy"], [weights])
    assert base == memo.fingerprint({"a": 1}, ["pixels"], ["numpy"], [weights])
    others = {
        memo.fingerprint({"a": 2}, ["pixels"], ["numpy"], [weights]),
        memo.fingerprint({"a": 1}, ["pixels", "mattes"], ["numpy"], [weights]),
        memo.fingerprint({"a": 1}, ["pixels"], ["pillow"], [weights]),
    }
    weights.write_bytes(b"2")
    others.add(memo.fingerprint({"a": 1}, ["pixels"], ["numpy"], [weights]))
    assert len(others | {base}) == 5
    assert memo.key(base, "x") != memo.key(base, "y")


def test_an_edit_in_a_room_changes_the_fingerprint(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "room").mkdir()
    monkeypatch.setattr(memo, "_HOUSE", tmp_path)
    seen = set()
    for name, text in (("one.py", "1"), ("one.py", "2"), ("other.py", "2"), ("README.md", "nothing")):
        (tmp_path / "room" / name).write_text(text)
        memo._sources.cache_clear()
        seen.add(memo.fingerprint({}, ["room"], []))
    assert len(seen) == 3
    with pytest.raises(ValueError, match="no room cellar"):
        memo.fingerprint({}, ["cellar"], [])
