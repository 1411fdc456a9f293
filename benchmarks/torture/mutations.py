"""Damage by chance: of bytes, of nested values, of tables' dress and of names."""

from __future__ import annotations

import copy
import unicodedata
from collections.abc import Sequence
from typing import Any, Final

import numpy as np

_EDGES: Final = (0, 1, 10, 13, 32, 34, 39, 44, 59, 127, 128, 254, 255)
_VALUES: Final[tuple[Any, ...]] = (
    None, True, False, 0, -1, 1, 2**31, 2**63, 10**400, 0.5, -0.0, 1e308, float("nan"), float("inf"), "", " ", "0",
    "none", "x" * 5000, "\x00", "\u202e", "../../etc", "${x}", [], [None], [[[]]], {}, {"kind": "none"}, {"kind": 1},
    {"a": {"b": []}},
)  # fmt: skip
_LETTERS: Final = (
    "abcXYZ019", "가나다한글", "éüñ", "ｱｲｳ", " _-.", "'\"`$;&|<>*?[]{}()#%!~^=+,@", "\u202e\u200b\u2066\ufeff",
    "\x01\x1b\x7f\n\t\r",
    "😀\U0001f1f0", "\udc80\udcff",
)  # fmt: skip


def data(content: bytes, rng: np.random.Generator, edits: int = 5) -> bytes:
    """Some edits; half of them near the beginning, where headers are."""
    some = bytearray(content)
    for _ in range(int(rng.integers(1, edits + 1))):
        if not some:
            break
        start = int(rng.random() ** int(rng.choice([1, 3])) * len(some))
        end = min(len(some), start + int(rng.integers(1, 64)))
        match int(rng.integers(9)):
            case 0:
                some[start] ^= 1 << int(rng.integers(8))
            case 1 | 2:
                some[start] = int(rng.choice(_EDGES)) if edits > 1 else int(rng.integers(32, 127))
            case 3:
                some[start:end] = rng.bytes(end - start)
            case 4:
                some[start:end] = bytes([int(rng.choice([0, 255]))]) * (end - start)
            case 5:
                del some[start:end]
            case 6:
                some[start:start] = some[start:end]
            case 7:
                some[start:start] = rng.bytes(int(rng.integers(1, 9)))
            case _:
                del some[max(1, int(len(some) * rng.random())) :]
    return bytes(some)


def value(content: Any, rng: np.random.Generator) -> Any:
    """A copy of nested lists and dicts in which one to three places hold something else, are gone or are new."""
    whole = copy.deepcopy(content)
    for _ in range(int(rng.integers(1, 4))):
        places = list(_places(whole))
        if not places:
            break
        where, key = places[int(rng.integers(len(places)))]
        match int(rng.integers(6)):
            case 0:
                del where[key]
            case 1:
                other, name = places[int(rng.integers(len(places)))]
                where[key] = copy.deepcopy(other[name]) if other is not where else where[key]
            case 2 if isinstance(where, dict):
                where[f"{key}{rng.choice(['', 'x', '.', ' '])}"] = where.pop(key)
            case 3 if isinstance(where[key], int | float):
                where[key] = where[key] * float(rng.choice([-1, 0, 1e-300, 1e9, 1.0000001]))
            case _:
                where[key] = _VALUES[int(rng.integers(len(_VALUES)))]
    return whole


def _places(content: Any) -> Any:
    """Every container and key below a value."""
    if isinstance(content, dict | list):
        for key in content if isinstance(content, dict) else range(len(content)):
            yield content, key
            yield from _places(content[key])


def dressed(rows: Sequence[Sequence[str]], rng: np.random.Generator) -> bytes:
    """The same table as another program would write it: encoding, separator, quotes, line ends, empty lines."""
    separator = str(rng.choice([",", ";", "\t"]))
    end, always = str(rng.choice(["\n", "\r\n", "\r"])), bool(rng.integers(2))
    wide = int(rng.choice([0, 0, 1, 3]))
    lines = []
    for row in rows:
        fields = [*row, *[""] * wide]
        quoted = [
            '"' + text.replace('"', '""') + '"' if always or set(text) & set(',;\t"\n\r') else text
            for text in fields
        ]
        lines.append(separator.join(quoted))
        if rng.random() < 0.1:
            lines.append(separator * int(rng.integers(0, 4)))
    text = end.join(lines) + (end if rng.integers(2) else "")
    codecs = ["utf-8", "utf-8-sig", "utf-16", "utf-32"]
    if all(letter.isascii() or "가" <= letter <= "힣" for letter in text):
        codecs.append("cp949")
    return text.encode(str(rng.choice(codecs)))


def name(rng: np.random.Generator) -> str:
    """A file's name of letters, marks and signs that people, and other systems, use or should not."""
    parts = [
        "".join(rng.choice(list(_LETTERS[int(rng.integers(len(_LETTERS)))]), int(rng.integers(1, 6))))
        for _ in range(int(rng.integers(1, 4)))
    ]
    text = "".join(parts)
    form = str(rng.choice(["", "NFC", "NFD", "NFKC"]))
    if form and not any("\ud800" <= letter <= "\udfff" for letter in text):
        text = unicodedata.normalize(form, text)  # type: ignore[arg-type]
    return text.replace("/", "").replace("\x00", "")[:60]
