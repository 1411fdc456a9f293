"""Tables as people and spreadsheets save them are read right, or told with the remedy that helps."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facemask.records import csvfile
from facemask.runtime.errors import UserError

TABLE = "id,gender,note\n김철수,male,똠방각하 펲시\n000001,female,\n"
ROWS = [["김철수", "male", "똠방각하 펲시"], ["000001", "female", ""]]


@pytest.fixture
def read(tmp_path):
    def text(content: bytes):
        (tmp_path / "t.csv").write_bytes(content)
        return csvfile.text(tmp_path / "t.csv", "REMEDY")

    return text


@pytest.mark.parametrize(
    "encoding",
    ["utf-8", "utf-8-sig", "cp949", "utf-16", "utf-16-le", "utf-16-be", "utf-32"],
)
@pytest.mark.parametrize(("end", "separator"), [("\n", ","), ("\r\n", ";"), ("\r\n", "\t"), ("\r", ",")])
def test_every_usual_encoding_and_separator_is_read(read, encoding, end, separator):
    frame = read(TABLE.replace(",", separator).replace("\n", end).encode(encoding))
    assert list(frame.columns) == ["id", "gender", "note"]
    assert frame.to_numpy().tolist() == ROWS
    assert frame.index.tolist() == [2, 3]


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_the_header_alone_tells_the_separator(read, end):
    frame = read(f"id;note{end}x;a,b{end}y;c\td{end}".encode())
    assert frame.to_numpy().tolist() == [["x", "a,b"], ["y", "c\td"]]
    assert frame.index.tolist() == [2, 3]


def test_euc_kr_is_read_too(read):
    assert read("id,note\n가,나\n".encode("euc_kr")).to_numpy().tolist() == [["가", "나"]]


def test_what_a_spreadsheet_leaves_empty_is_left_out_and_lines_stay_right(read):
    frame = read(b"sep=;\r\n id ; gender;;\r\nx;male;;\r\n;;;\r\n\r\ny;;;\r\nz;female;;;;\r\n")
    assert list(frame.columns) == ["id", "gender"]
    assert frame.to_numpy().tolist() == [["x", "male"], ["y", ""], ["z", "female"]]
    assert frame.index.tolist() == [3, 6, 7]


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"PK\x03\x04" + bytes(99), "an Excel workbook, not a CSV table; save it as 'CSV UTF-8'"),
        (b"\xd0\xcf\x11\xe0" + bytes(99), "an Excel workbook"),
        (
            "id,note\nJosé,x\n".encode("cp1252"),
            r"byte 11 \(line 2\) is no text in UTF-8, UTF-16 or CP949; save",
        ),
        ("id,note\n王小明,重庆\n".encode("gbk"), r"\(line 2\) is no text"),
        (TABLE.encode("utf-16")[:-1], "is no text in UTF-8"),
        (b"id,note\nx,y,z\n", "line 2: 3 fields, but the header has 2; correct the line"),
        (b"id,note\nx\n", "line 2: 1 fields, but the header has 2; correct the line"),
        (b"id,note,\nx,y,z\n", "line 2: 'z' stands in a column without a name; name it"),
        (b"id,id\nx,y\n", "column 'id' occurs twice"),
        (b'id,note\n"x,y\n', "not a CSV table .*; correct the line"),
    ],
)
def test_what_cannot_be_read_is_told_with_its_own_remedy(read, content, told):
    with pytest.raises(UserError, match=told) as error:
        read(content)
    assert "REMEDY" not in str(error.value)


def test_a_missing_file_is_told_with_the_remedy_of_who_asked(tmp_path):
    with pytest.raises(UserError, match="no such file; REMEDY"):
        csvfile.text(tmp_path / "no.csv", "REMEDY")


@given(
    content=st.binary(max_size=300),
    start=st.sampled_from([b"", b"id,note\n", b"\xff\xfe", b"\xef\xbb\xbf", b"sep=;\n"]),
)
def test_any_bytes_are_a_table_or_told(tmp_path_factory, content, start):
    path = tmp_path_factory.getbasetemp() / "any.csv"
    path.write_bytes(start + content)
    try:
        csvfile.text(path, "")
    except UserError as error:
        assert "\n" not in str(error)
