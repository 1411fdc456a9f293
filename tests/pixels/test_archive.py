"""Archives: equal entries, equal bytes; whole or absent; each process its own file."""

from __future__ import annotations

import os
import pickle
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from facemask.pixels import archive
from facemask.runtime.errors import UserError

ENTRIES = {f"train/images/{k:02d}.jpg": bytes([k]) * (k + 1) for k in range(20)}


def test_bytes_do_not_depend_on_order_or_time(tmp_path: Path) -> None:
    archive.write(tmp_path / "a.zip", ENTRIES)
    archive.write(tmp_path / "b.zip", dict(reversed(ENTRIES.items())))
    assert (tmp_path / "a.zip").read_bytes() == (tmp_path / "b.zip").read_bytes()
    with zipfile.ZipFile(tmp_path / "a.zip") as opened:
        assert {entry.date_time for entry in opened.infolist()} == {(1980, 1, 1, 0, 0, 0)}
        assert {entry.compress_type for entry in opened.infolist()} == {zipfile.ZIP_STORED}
        assert opened.namelist() == sorted(ENTRIES)


def test_entries_come_back(tmp_path: Path) -> None:
    archive.write(tmp_path / "a.zip", ENTRIES)
    with archive.Reader(tmp_path / "a.zip") as reader:
        assert reader.names == set(ENTRIES)
        assert {name: reader.read(name) for name in reader.names} == ENTRIES
        with pytest.raises(KeyError):
            reader.read("absent")
        again = pickle.loads(pickle.dumps(reader))
        assert again.read("train/images/03.jpg") == ENTRIES["train/images/03.jpg"]
        again.close()


def test_unsorted_or_doubled_names_are_refused_and_nothing_is_left(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="must come after"), archive.writing(tmp_path / "a.zip") as writer:
        writer.add("b", b"")
        writer.add("a", b"")
    with pytest.raises(ValueError, match="must come after"):
        archive.write(tmp_path / "a.zip", [("a", b"1"), ("a", b"2")])
    assert list(tmp_path.iterdir()) == []


def test_a_failed_write_keeps_the_old_archive(tmp_path: Path) -> None:
    archive.write(tmp_path / "a.zip", ENTRIES)
    before = (tmp_path / "a.zip").read_bytes()
    with pytest.raises(RuntimeError), archive.writing(tmp_path / "a.zip") as writer:
        writer.add("a", b"new")
        raise RuntimeError
    assert (tmp_path / "a.zip").read_bytes() == before


def test_a_forked_child_reads_through_its_own_file(tmp_path: Path) -> None:
    archive.write(tmp_path / "a.zip", ENTRIES)
    with archive.Reader(tmp_path / "a.zip") as reader:
        name = "train/images/07.jpg"
        reader.read(name)
        mine = reader._opened
        reader._opened = (os.getpid() + 1, mine[1])
        assert reader.read(name) == ENTRIES[name]
        assert reader._opened[1] is not mine[1]
        mine[1].close()


@pytest.mark.parametrize("content", [None, b"", b"PK\x03\x04 half"])
def test_missing_or_broken_archives_are_one_clear_line(tmp_path: Path, content: bytes | None) -> None:
    if content is not None:
        (tmp_path / "a.zip").write_bytes(content)
    with pytest.raises(UserError, match=r"a\.zip.*dvc repro"):
        archive.Reader(tmp_path / "a.zip")


def test_damaged_entries_are_noticed(tmp_path: Path) -> None:
    archive.write(tmp_path / "a.zip", {"x": b"abcdefgh"})
    data = (tmp_path / "a.zip").read_bytes().replace(b"abcdefgh", b"abcdefgX")
    (tmp_path / "a.zip").write_bytes(data)
    with archive.Reader(tmp_path / "a.zip") as reader, pytest.raises(UserError, match="delete the file"):
        reader.read("x")


def test_an_entry_that_announces_more_than_there_is_takes_no_room(tmp_path: Path) -> None:
    with zipfile.ZipFile(tmp_path / "a.zip", "w", zipfile.ZIP_DEFLATED) as packed:
        packed.writestr("x", bytes(10_000_000))
    with (
        archive.Reader(tmp_path / "a.zip") as reader,
        pytest.raises(UserError, match="'x' is not stored as it is"),
    ):
        reader.read("x")


@pytest.mark.slow
@settings(max_examples=300)
@given(
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=8),
    keep=st.floats(0.1, 1),
)
def test_a_mutated_archive_is_read_or_told(
    tmp_path_factory: pytest.TempPathFactory, edits: list[tuple[float, int]], keep: float
) -> None:
    """Bytes that come back are those that were put in: entries have checksums."""
    path = tmp_path_factory.getbasetemp() / "mutated.zip"
    few = dict(sorted(ENTRIES.items())[:3])
    archive.write(path, few)
    content = bytearray(path.read_bytes())
    content = content[: max(1, int(keep * len(content)))] if keep < 0.5 else content
    for place, value in edits:
        content[int(place * len(content))] = value
    path.write_bytes(content)
    try:
        with archive.Reader(path) as reader:
            for name in reader.names:
                assert reader.read(name) in few.values()
    except UserError as error:
        assert "\n" not in str(error)


def test_of_several_sets_only_what_is_read_is_opened(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("labelled", "eval"):
        archive.write(tmp_path / name / "a.zip", {f"{name}.jpg": name.encode()})
    opened: list[str] = []
    real = zipfile.ZipFile
    monkeypatch.setattr(zipfile, "ZipFile", lambda path: opened.append(path.parent.name) or real(path))
    with archive.Sets(tmp_path, "a.zip") as sets:
        assert opened == []
        for _ in range(2):
            assert sets.of("eval").read("eval.jpg") == b"eval"
        assert opened == ["eval"]
        with pytest.raises(UserError, match=r"extra/a\.zip: no such file"):
            sets.of("extra")
        with pickle.loads(pickle.dumps(sets)) as again:
            assert again.of("labelled").read("labelled.jpg") == b"labelled"
            assert again.of("eval").read("eval.jpg") == b"eval"
    assert sets.of("eval")._opened is None, "left open"
