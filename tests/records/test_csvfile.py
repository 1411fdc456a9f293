"""CSV files as text: read in parts, with nothing to tell where one ends."""

from __future__ import annotations

import tracemalloc
from pathlib import Path

import pytest

from facemask.records import csvfile, tables
from facemask.runtime.errors import UserError


@pytest.fixture(autouse=True)
def _small_blocks(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(csvfile, "BLOCK", 3)


@pytest.mark.parametrize("count", [0, 1, 2, 3, 4, 6, 7])
def test_rows_come_in_order_with_their_lines(count: int, tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    path.write_text("name,colour\n\n" + "".join(f"{k},red\n" for k in range(count)))
    found = csvfile.text(path, "")
    assert found["name"].tolist() == [str(k) for k in range(count)]
    assert found["colour"].tolist() == ["red"] * count
    # The second line is empty.
    assert found.index.tolist() == list(range(3, 3 + count))
    assert list(found.columns) == ["name", "colour"]


@pytest.mark.parametrize(
    ("row", "told"),
    [
        ("p7,ok,x", "line 9, column coverage: 'x' is not a number"),
        ("p7,ok", "line 9: 2 fields, but the header has 3"),
        ("p0,ok,0.5", "line 9: photo 'p0' occurs twice"),
    ],
)
def test_mistakes_beyond_the_first_part_are_told_by_line(row: str, told: str, tmp_path: Path) -> None:
    path = tmp_path / "mattes.csv"
    path.write_text("photo,status,coverage\n" + "".join(f"p{k},ok,0.5\n" for k in range(7)) + row + "\n")
    with pytest.raises(UserError, match=told):
        tables.read(path, tables.MATTES)


@pytest.mark.slow
def test_memory_for_numbers_and_names_that_recur_is_that_of_the_table(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A field of text is an object of fifty bytes and more: all at once they took 1,070 bytes a row."""
    monkeypatch.setattr(csvfile, "BLOCK", 500)
    path, rows = tmp_path / "boxes.csv", 5_000
    numbers = [name for name, kind in tables.BOXES.columns.items() if kind is float and name != "score"]
    fields = ",".join(["0.5"] * len(numbers))
    with path.open("w") as file:
        file.write(f"photo,status,score,{','.join(numbers)},faces\n")
        file.writelines(f"{k},found,{k / 7:.5f},{fields},1\n" for k in range(rows))
    tables.read(path, tables.BOXES)
    tracemalloc.start()
    tables.read(path, tables.BOXES)
    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # 756, of which the numbers themselves are 160.
    assert most / rows < 850
