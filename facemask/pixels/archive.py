"""Many small images in one stored zip: the same bytes whenever its entries are the same."""

from __future__ import annotations

import contextlib
import os
import zipfile
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final

from facemask.runtime import files
from facemask.runtime.errors import UserError

_DATE: Final = (1980, 1, 1, 0, 0, 0)
_UNIX: Final = 3
_MODE: Final = 0o100644 << 16


class Writer:
    """Adds entries to an open archive, in order of their names."""

    def __init__(self, archive: zipfile.ZipFile) -> None:
        self._archive = archive
        self._last = ""

    def add(self, name: str, data: bytes) -> None:
        """Append one entry.

        Raises
        ------
        ValueError
            If ``name`` does not come after the last one: only sorted archives are the same on every run.
        """
        if name <= self._last:
            raise ValueError(f"entry {name!r} must come after {self._last!r}")
        self._last = name
        entry = zipfile.ZipInfo(name, date_time=_DATE)
        entry.create_system = _UNIX
        entry.external_attr = _MODE
        entry.compress_type = zipfile.ZIP_STORED
        self._archive.writestr(entry, data)


@contextlib.contextmanager
def writing(path: Path) -> Iterator[Writer]:
    """Yield a :class:`Writer`; ``path`` appears whole when the block ends, or not at all if it raises.

    Entries go to disk as they are added.
    """
    with files.replacing(path) as temporary, zipfile.ZipFile(temporary, "w", zipfile.ZIP_STORED) as archive:
        yield Writer(archive)


def write(path: Path, entries: Mapping[str, bytes] | Iterable[tuple[str, bytes]]) -> None:
    """Write all entries, whatever their order.

    Raises
    ------
    ValueError
        If a name occurs twice.
    """
    pairs = entries.items() if isinstance(entries, Mapping) else entries
    with writing(path) as writer:
        for name, data in sorted(pairs):
            writer.add(name, data)


class Reader:
    """Random access to an archive; the file is opened once in each process that reads.

    May be pickled and survives ``fork``: every process reopens the file by itself, so that no two share one
    file position.

    Raises
    ------
    UserError
        If the file is missing or is not a zip archive.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._opened: tuple[int, zipfile.ZipFile] | None = None
        self._names = frozenset(self._zip().namelist())

    @property
    def names(self) -> frozenset[str]:
        """Names of all entries."""
        return self._names

    def read(self, name: str) -> bytes:
        """Return one entry's bytes; their checksum is verified.

        Raises
        ------
        KeyError
            If there is no such entry.
        UserError
            If the entry's bytes are damaged, or are not stored as :class:`Writer` stores them.
        """
        archive = self._zip()
        entry = archive.getinfo(name)
        try:
            # Room is taken for what an entry announces, before it is read.
            room = self.path.stat().st_size
            if (
                entry.compress_type != zipfile.ZIP_STORED
                or not entry.file_size == entry.compress_size <= room
            ):
                raise zipfile.BadZipFile(f"entry {name!r} is not stored as it is")
            return archive.read(entry)
        except MemoryError:
            raise
        except Exception as error:
            # On damaged bytes zipfile raises whatever it stumbles over, such as NotImplementedError.
            raise UserError(
                f"{self.path}: damaged ({_reason(error)}); delete the file and run `dvc repro`"
            ) from None

    def close(self) -> None:
        """Close this process's file, if it is open; reading opens it again."""
        if self._opened is not None and self._opened[0] == os.getpid():
            self._opened[1].close()
        self._opened = None

    def __enter__(self) -> Reader:
        """Return the reader itself."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close the file."""
        self.close()

    def __getstate__(self) -> dict[str, object]:
        """Leave the open file behind when pickled."""
        return {"path": self.path, "_names": self._names, "_opened": None}

    def _zip(self) -> zipfile.ZipFile:
        if self._opened is None or self._opened[0] != os.getpid():
            try:
                self._opened = (os.getpid(), zipfile.ZipFile(self.path))
            except FileNotFoundError:
                raise UserError(f"{self.path}: no such file; run `dvc repro`") from None
            except MemoryError:
                raise
            except Exception as error:
                raise UserError(
                    f"{self.path}: not a zip archive ({_reason(error)}); delete the file and run `dvc repro`"
                ) from None
        return self._opened[1]


def _reason(error: Exception) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__


class Sets:
    """Archives of one name, in a folder for each set of photos; each is opened when it is first read.

    Parameters
    ----------
    folder
        Holds a folder for each of :data:`facemask.records.tables.SETS`.
    name
        File name of the archives.
    """

    def __init__(self, folder: Path, name: str) -> None:
        self._folder, self._name = folder, name
        self._readers: dict[str, Reader] = {}

    def of(self, photos: str) -> Reader:
        """Return the archive of one set.

        Raises
        ------
        UserError
            As for :class:`Reader`.
        """
        if photos not in self._readers:
            self._readers[photos] = Reader(self._folder / photos / self._name)
        return self._readers[photos]

    def __enter__(self) -> Sets:
        """Return the archives themselves."""
        return self

    def __exit__(self, *_: object) -> None:
        """Close all files."""
        for reader in self._readers.values():
            reader.close()
