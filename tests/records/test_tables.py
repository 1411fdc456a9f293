"""CSV files between stages."""

from __future__ import annotations

import errno
import os
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facemask.records import tables
from facemask.runtime.errors import UserError

TRICKY = [
    "000123",
    "001498-1",
    "None",
    "nan",
    "NA",
    "",
    "1e5",
    "0x10",
    'a "quoted", one',
    "Ünïcode",
    " spaced ",
    "a\rb",
    "a\r\nb",
    "\n",
    "\0",
]
names = st.text(st.characters(codec="utf-8"), max_size=12)


def mattes(photos: list[str]) -> pd.DataFrame:
    return pd.DataFrame({"photo": photos, "status": "ok", "coverage": np.linspace(0, 1, len(photos))})


def test_text_that_looks_like_something_else_comes_back_as_it_was(tmp_path: Path) -> None:
    tables.write(tmp_path / "mattes.csv", mattes(TRICKY), tables.MATTES)
    back = tables.read(tmp_path / "mattes.csv", tables.MATTES)
    assert back["photo"].tolist() == TRICKY
    assert back["coverage"].tolist() == pytest.approx(np.linspace(0, 1, len(TRICKY)), rel=1e-5)


@pytest.mark.slow
@given(photos=st.lists(names, unique=True, max_size=8))
def test_any_text_round_trips(photos: list[str], tmp_path_factory: pytest.TempPathFactory) -> None:
    path = tmp_path_factory.mktemp("any") / "mattes.csv"
    tables.write(path, mattes(photos), tables.MATTES)
    assert tables.read(path, tables.MATTES)["photo"].tolist() == photos


@pytest.mark.parametrize(
    "schema", [value for value in vars(tables).values() if isinstance(value, tables.Schema)]
)
def test_an_empty_table_keeps_its_columns_and_types(schema: tables.Schema, tmp_path: Path) -> None:
    path = tmp_path / schema.name
    tables.write(path, pd.DataFrame(columns=list(schema.columns)), schema)
    back = tables.read(path, schema)
    assert list(back.columns) == list(schema.columns)
    kinds = {"str": str, "int64": int, "float64": float}
    assert {name: kinds[str(kind)] for name, kind in back.dtypes.items()} == dict(schema.columns)


def test_unknown_floats_are_empty_fields_and_nan_again(tmp_path: Path) -> None:
    frame = pd.DataFrame({"photo": ["a", "b"], "status": ["ok", "unreadable"], "coverage": [1 / 3, np.nan]})
    tables.write(tmp_path / "mattes.csv", frame, tables.MATTES)
    assert (tmp_path / "mattes.csv").read_bytes() == b"photo,status,coverage\na,ok,0.333333\nb,unreadable,\n"
    assert np.isnan(tables.read(tmp_path / "mattes.csv", tables.MATTES)["coverage"]).tolist() == [False, True]


def test_a_byte_order_mark_crlf_and_blank_lines_are_tolerated(tmp_path: Path) -> None:
    path = tmp_path / "answers.csv"
    path.write_bytes(b"\xef\xbb\xbfImageID,ans\r\n\r\n0012,7\r\n\r\n")
    assert tables.read(path, tables.ANSWERS).to_dict("records") == [{"ImageID": "0012", "ans": 7}]


def test_a_missing_file_names_the_stage_that_writes_it(tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match=r"boxes\.csv: no such file; stage face_crop writes it: run `dvc repro face_crop`"
    ):
        tables.read(tmp_path / "boxes.csv", tables.BOXES)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("photo,status\na,ok\n", "column 'coverage' is missing .found: photo, status."),
        ("", "column 'photo' is missing .found: an empty file."),
        ("photo;status;coverage\na;ok;1\n", "separated by commas"),
        ("photo,status,coverage\na,ok,1\n\nb,ok,much\n", "line 4, column coverage: 'much' is not a number"),
        ("photo,status,coverage\na,ok,1\n\nb,ok\n", "line 4: 2 fields, but the header has 3"),
        ("photo,status,coverage\na,ok,1\na,ok,1\n", "line 3: photo 'a' occurs twice"),
        ("photo,photo,status,coverage\na,b,ok,1\n", "column 'photo' occurs twice"),
        ('photo,status,coverage\n"a,ok,1\n', "not a CSV table"),
        (b"photo,status,coverage\n\xff,ok,1\n", "not a CSV table in UTF-8"),
    ],
)
def test_a_damaged_table_is_told_by_file_and_line(content: str | bytes, message: str, tmp_path: Path) -> None:
    path = tmp_path / "mattes.csv"
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    with pytest.raises(UserError, match=message) as caught:
        tables.read(path, tables.MATTES)
    assert str(caught.value).startswith(str(path))
    assert "dvc repro background_removal" in str(caught.value)


@pytest.mark.parametrize("number", [errno.EACCES, errno.EIO, errno.ELOOP])
def test_a_file_that_cannot_be_opened_is_told(
    number: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def locked(path: Path, **_: object) -> None:
        raise OSError(number, os.strerror(number), str(path))

    monkeypatch.setattr(Path, "open", locked)
    with pytest.raises(UserError, match=rf"mattes\.csv: cannot be read \({os.strerror(number)}\).*dvc repro"):
        tables.read(tmp_path / "mattes.csv", tables.MATTES)


@pytest.mark.parametrize("value", ["1.5", "", "one", "1_0", "99999999999999999999"])
def test_what_is_not_a_whole_number_is_refused(value: str, tmp_path: Path) -> None:
    path = tmp_path / "submission.csv"
    path.write_text(f"ImageID,ans\na.jpg,{value}\n")
    with pytest.raises(UserError, match="line 2, column ans: .* is not a whole number"):
        tables.read(path, tables.SUBMISSION)


@pytest.mark.parametrize(
    "change",
    [
        {"more": 1},
        {"status": np.nan},
        {"status": [None, "ok"]},
        {"coverage": "1"},
        {"coverage": True},
        {"photo": ["a", "a"]},
    ],
)
def test_writing_refuses_what_would_not_come_back(change: dict[str, object], tmp_path: Path) -> None:
    path = tmp_path / "mattes.csv"
    tables.write(path, mattes(["old"]), tables.MATTES)
    before = path.read_bytes()
    with pytest.raises(ValueError, match=r"mattes\.csv"):
        tables.write(path, mattes(["a", "b"]).assign(**change), tables.MATTES)
    assert path.read_bytes() == before
    assert list(tmp_path.iterdir()) == [path]


def test_floats_are_no_whole_numbers(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="column ans"):
        tables.write(tmp_path / "s.csv", pd.DataFrame({"ImageID": ["a"], "ans": [1.0]}), tables.SUBMISSION)
