"""CSV files as text: what people and stages wrote, with the line where each row stands."""

from __future__ import annotations

import contextlib
import csv
import io
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pandas as pd

from facemask.records import encodings
from facemask.runtime.errors import UserError

# Rows that are text at a time.
BLOCK: Final = 4096
CORRECT: Final = "correct the line (a field with a separator or a line break needs quotation marks)"
# Of the three, a lone carriage return is Excel's for the Macintosh.
_LINE_END: Final = re.compile(r"\r\n|\r|\n")
_SEPARATOR: Final = re.compile(r"sep=(.)", re.IGNORECASE)


def text(path: Path, remedy: str) -> pd.DataFrame:
    """Read a CSV file that a person or a spreadsheet made, with every field as text, indexed by line number.

    Any encoding of :func:`facemask.records.encodings.decoded`, any line ends, commas, semicolons or tabs (Excel's
    ``sep=`` line too). Empty lines, lines and columns of empty fields alone, and blanks around column names are left
    out, as spreadsheets leave them.

    Raises
    ------
    UserError
        If the file is missing (names ``remedy``), cannot be read, is no text or is not a CSV table; names file, line
        and what to do.
    """
    with _told(path, remedy, CORRECT):
        content = encodings.decoded(path, path.read_bytes())
        first, rest = (*_LINE_END.split(content, 1), "")[:2]
        separator = _SEPARATOR.fullmatch(first.strip())
        header = _LINE_END.split(rest, 1)[0] if separator else first
        found = separator[1] if separator else next((one for one in ",;\t" if one in header), ",")
        reader = csv.reader(
            io.StringIO(rest if separator else content, newline=""), strict=True, delimiter=found
        )
        skipped = int(separator is not None)
        named = [name.strip() for name in next(reader, [])]
        wide = len(named)
        rows = ((skipped + reader.line_num, row) for row in reader if any(map(str.strip, row)))
        cut = ((line, row[:wide] if not any(map(str.strip, row[wide:])) else row) for line, row in rows)
        frame = pd.concat(_blocks(path, named, cut, CORRECT))
    unnamed = frame.loc[:, frame.columns == ""]
    for line, *fields in unnamed.itertuples(name=None):
        if value := next(filter(str.strip, fields), None):
            raise UserError(
                f"{path}: line {line}: {value!r} stands in a column without a name; name it, or {CORRECT}"
            )
    return frame.loc[:, frame.columns != ""]


def blocks(path: Path, remedy: str) -> Iterator[pd.DataFrame]:
    """Yield the rows of a CSV file that a stage wrote, in parts, at least one.

    As text a number takes six times its place.

    Raises
    ------
    UserError
        If the file is missing, cannot be read, is not UTF-8 or is not a CSV table; names file, line and ``remedy``.
    """
    with _told(path, remedy, remedy), path.open(encoding="utf-8-sig", newline="") as file:
        reader = csv.reader(file, strict=True)
        header = next(reader, [])
        yield from _blocks(path, header, ((reader.line_num, row) for row in reader if row), remedy)


def _blocks(
    path: Path, header: list[str], numbered: Iterable[tuple[int, list[str]]], remedy: str
) -> Iterator[pd.DataFrame]:
    shared: dict[str, str] = {}
    lines: list[int] = []
    rows: list[list[str]] = []
    twice = [name for place, name in enumerate(header) if name and name in header[:place]]
    if twice:
        raise UserError(f"{path}: column {twice[0]!r} occurs twice; {remedy}")
    for line, row in numbered:
        if len(row) != len(header):
            counts = f"{len(row)} fields, but the header has {len(header)}"
            raise UserError(f"{path}: line {line}: {counts}; {remedy}")
        lines.append(line)
        rows.append([_once(value, shared) for value in row])
        if len(rows) == BLOCK:
            yield _block(header, lines, rows)
            lines, rows = [], []
    yield _block(header, lines, rows)


@contextlib.contextmanager
def _told(path: Path, missing: str, damaged: str) -> Iterator[None]:
    """Say what is wrong with a file as a whole."""
    try:
        yield
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {missing}") from None
    except (IsADirectoryError, NotADirectoryError):
        raise UserError(f"{path}: not a file; {missing}") from None
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); make it readable; {missing}"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV table in UTF-8 ({error}); {damaged}") from None


def _block(header: list[str], lines: list[int], rows: list[list[str]]) -> pd.DataFrame:
    return pd.DataFrame(
        rows, columns=pd.Index(header, dtype=str), index=pd.Index(lines, dtype=int), dtype=str
    )


def _once(value: str, shared: dict[str, str]) -> str:
    """Let fields of equal text be one object, for as many different texts as a block has rows."""
    if len(shared) < BLOCK:
        return shared.setdefault(value, value)
    return shared.get(value, value)


def require(path: Path, frame: pd.DataFrame, columns: Iterable[str], remedy: str) -> None:
    """Check that a table read by :func:`text` has ``columns``.

    Raises
    ------
    UserError
        If one is missing; names it and those that were found.
    """
    missing = [column for column in columns if column not in frame.columns]
    if missing:
        found = ", ".join(frame.columns) or "an empty file"
        hint = "; fields are separated by commas" if ";" in found or "\t" in found else ""
        raise UserError(f"{path}: column {missing[0]!r} is missing (found: {found}){hint}; {remedy}")
