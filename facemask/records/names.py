"""Names of files, folders and people: which are equal, and which can stand in a table."""

from __future__ import annotations

import os
import sys
import unicodedata
from collections.abc import Iterator
from pathlib import Path

from facemask.runtime.errors import UserError, printable

Notes = list[tuple[str, str]]


def composed(text: str) -> str:
    """Return the form by which names are compared (NFC).

    macOS takes Hangul apart in file names (NFD), tables of other systems do not: equal to the eye, the texts differ.
    Files are opened by the name that they have.
    """
    return unicodedata.normalize("NFC", text)


def plain(text: str) -> bool:
    """Tell whether a name can stand in a table: no control characters, no bytes that are not UTF-8."""
    # Python reads such bytes of a file name as surrogates.
    return not any(unicodedata.category(letter) in ("Cc", "Cs") for letter in text)


def entries(folder: Path) -> list[os.DirEntry[str]]:
    """Entries of a folder, sorted by name.

    Raises
    ------
    UserError
        If the folder cannot be listed.
    """
    try:
        with os.scandir(folder) as found:
            return sorted(found, key=lambda entry: entry.name)
    except OSError as error:
        raise UserError(
            f"{folder}: cannot be listed ({error.strerror or error}); make it readable, or move it away"
        ) from None


def visible(root: Path, folder: Path, notes: Notes) -> Iterator[os.DirEntry[str]]:
    """Entries of a folder by name; what file managers leave behind is noted and passed over.

    Raises
    ------
    UserError
        If the folder cannot be listed, a name in it would not survive in a table, or two names are equal
        (:func:`composed`).
    """
    seen: dict[str, str] = {}
    for entry in entries(folder):
        if entry.name.startswith(".") or entry.name.lower() in {"thumbs.db", "desktop.ini", "__macosx"}:
            place = Path(entry.path).relative_to(root).as_posix()
            notes.append((printable(place), "ignored: left behind by a file manager"))
            continue
        _check(folder, entry.name)
        twin = seen.setdefault(composed(entry.name), entry.name)
        if twin != entry.name:
            raise UserError(
                f"{folder}: the names {twin!a} and {entry.name!a} are one (composed and decomposed letters); "
                "keep one of them"
            )
        yield entry


def _check(folder: Path, name: str) -> None:
    encoding = sys.getfilesystemencoding()
    if not name.isascii() and encoding.lower() not in ("utf-8", "utf8"):
        raise UserError(
            f"{folder}: has names like {name!r}, and this locale reads them as {encoding}; `export PYTHONUTF8=1` and "
            "start again"
        )
    if not plain(name):
        wrong = "has control characters or is not UTF-8"
        raise UserError(
            f"{folder}: the name {name!r} {wrong}; rename it (for Korean names of Windows: convmv -f cp949)"
        )
