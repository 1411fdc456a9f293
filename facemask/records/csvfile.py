"""CSV files as text: what people and stages wrote, with the line where each row stands."""

from __future__ import annotations

import csv
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Final

import pandas as pd

from facemask.runtime.errors import UserError

# Rows that are text at a time.
BLOCK: Final = 4096


def text(path: Path, remedy: str) -> pd.DataFrame:
    """Read a CSV file with every field as text, indexed by line number; BOM and CRLF are tolerated.

    Raises
    ------
    UserError
        If the file is missing, cannot be read, is not UTF-8 or is not a CSV table; names file, line and ``remedy``.
    """
    return pd.concat(blocks(path, remedy))


def blocks(path: Path, remedy: str) -> Iterator[pd.DataFrame]:
    """Yield the rows of :func:`text` in parts, at least one: as text a number takes six times its place.

    Raises
    ------
    UserError
        As :func:`text`.
    """
    shared: dict[str, str] = {}
    lines: list[int] = []
    rows: list[list[str]] = []
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            reader = csv.reader(file, strict=True)
            header = next(reader, [])
            twice = [name for place, name in enumerate(header) if name in header[:place]]
            if twice:
                raise UserError(f"{path}: column {twice[0]!r} occurs twice; {remedy}")
            for row in reader:
                if not row:
                    continue
                if len(row) != len(header):
                    counts = f"{len(row)} fields, but the header has {len(header)}"
                    raise UserError(f"{path}: line {reader.line_num}: {counts}; {remedy}")
                lines.append(reader.line_num)
                rows.append([_once(value, shared) for value in row])
                if len(rows) == BLOCK:
                    yield _block(header, lines, rows)
                    lines, rows = [], []
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {remedy}") from None
    except (IsADirectoryError, NotADirectoryError):
        raise UserError(f"{path}: not a file; {remedy}") from None
    except OSError as error:
        raise UserError(
            f"{path}: cannot be read ({error.strerror or error}); make it readable; {remedy}"
        ) from None
    except (UnicodeDecodeError, csv.Error) as error:
        raise UserError(f"{path}: not a CSV table in UTF-8 ({error}); {remedy}") from None
    yield _block(header, lines, rows)


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
