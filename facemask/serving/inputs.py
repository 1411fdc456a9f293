"""Photos that a person names: files, folders, standard input."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from facemask.records import raw
from facemask.runtime.errors import UserError

STDIN: Final = "-"


class Named(NamedTuple):
    """One photo: what it is called in the answer, and its file, or its bytes where there is no file."""

    name: str
    source: Path | bytes

    def read(self) -> bytes:
        """Return its bytes.

        Raises
        ------
        OSError
            If it cannot be read.
        """
        return self.source if isinstance(self.source, bytes) else self.source.read_bytes()


def expand(words: Sequence[str]) -> list[Named]:
    """List the photos that are meant.

    Parameters
    ----------
    words
        A file stands for itself, whatever its name; a folder for all files in and below it whose ending is that of a
        photo, sorted; ``-`` for the bytes of one photo from standard input.

    Raises
    ------
    UserError
        If a folder holds no photo.
    """
    found: list[Named] = []
    for word in words:
        path = Path(word)
        if word == STDIN:
            found.append(Named("stdin", sys.stdin.buffer.read()))
        elif path.is_dir():
            inside = sorted(
                one for one in path.rglob("*") if one.suffix.lower() in raw.EXTENSIONS and one.is_file()
            )
            if not inside:
                endings = ", ".join(raw.EXTENSIONS)
                raise UserError(f"{path}: no photo in this folder or below it (endings: {endings})")
            found += [Named(str(one), one) for one in inside]
        else:
            found.append(Named(word, path))
    return found
