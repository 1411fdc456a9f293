"""Text of tables that people made, whatever program wrote it."""

from __future__ import annotations

import codecs
from pathlib import Path
from typing import Final

from facemask.runtime.errors import UserError

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)
_KOREAN: Final = ("euc_kr", "cp949")
_WORKBOOKS: Final = (b"PK\x03\x04", b"\xd0\xcf\x11\xe0")
_SAVE: Final = "save it as 'CSV UTF-8' (Excel: Save As)"


def decoded(path: Path, content: bytes) -> str:
    """Decode a table: UTF-8, UTF-16 or UTF-32, with a byte-order mark or without, and Korean Windows' CP949 (EUC-KR).

    Nearly any bytes are text in CP949: only what gives Hangul and plain ASCII is taken for it.

    Raises
    ------
    UserError
        If it is none of them, or a workbook; names file, line and remedy.
    """
    if content.startswith(_WORKBOOKS):
        raise UserError(f"{path}: an Excel workbook, not a CSV table; {_SAVE}")
    marked = next((name for mark, name in _MARKS if content.startswith(mark)), None)
    for name in (marked,) if marked else _unmarked(content):
        try:
            text = content.decode(name)
        except UnicodeDecodeError:
            continue
        # Names with control characters are refused by whoever reads them, by line.
        if name == "utf-8" or ("\0" not in text and (name not in _KOREAN or all(map(_korean, text)))):
            return text
    raise UserError(
        f"{path}: {_where(content, marked or 'utf-8')} is no text in UTF-8, UTF-16 or CP949; {_SAVE}"
    )


def _unmarked(content: bytes) -> tuple[str, ...]:
    """Encodings to try where there is no byte-order mark: column names are ASCII, which UTF-16 fills up with zeros."""
    head = content[:64]
    if not head or head.count(0) * 4 < len(head):
        return ("utf-8", *_KOREAN)
    return ("utf-16-be",) if head[::2].count(0) > head[1::2].count(0) else ("utf-16-le",)


def _korean(letter: str) -> bool:
    """Whether a letter is ASCII, Hangul, or punctuation of Korean text."""
    return letter.isascii() or "\uac00" <= letter <= "\ud7a3" or letter in "·‘’“”…×～、。"


def _where(content: bytes, encoding: str) -> str:
    try:
        content.decode(encoding)
    except UnicodeDecodeError as error:
        line = content.count(b"\n", 0, error.start) + 1
        return f"byte {error.start} (line {line})"
    return "the file"
