"""Results of networks, kept by content so that each photo is paid for once.

The memo is a cache: deleting it, sharing it between processes or switching it off (``FACEMASK_MEMO=0``) changes
no output. It lies under ``.cache/facemask/<stage>`` of the main checkout (``DVC_ROOT``), so that experiments in
temporary copies share it.
"""

from __future__ import annotations

import contextlib
import functools
import hashlib
import importlib.metadata
import json
import os
import sys
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

import diskcache  # type: ignore[import-untyped]

from facemask.runtime import files, shortages
from facemask.runtime.errors import UserError

LIMIT: Final = 4 * 2**30
_HOUSE: Final = Path(__file__).parents[1]


_DIGEST: Final = 16  # bytes of checksum before each value


class _Raw(diskcache.Disk):  # type: ignore[misc]  # diskcache has no type hints
    """Text keys and bytes values inside the database only.

    Nothing that somebody else put there is unpickled, and no file that an entry names is read or removed.
    """

    def get(self, key: Any, raw: Any) -> Any:
        if not raw:
            raise UserError("the memo holds a foreign entry; delete .cache/facemask")
        return super().get(key, raw)

    def fetch(self, mode: int, filename: Any, value: Any, read: Any) -> Any:
        if mode != diskcache.core.MODE_RAW or filename is not None:
            raise UserError("the memo holds a foreign entry; delete .cache/facemask")
        return super().fetch(mode, filename, value, read)

    def remove(self, file_path: Any) -> None:
        """Leave the file alone: our values have none."""


def home() -> Path:
    """Folder of all memos."""
    return Path(os.environ.get("DVC_ROOT") or ".") / ".cache" / "facemask"


class Memo:
    """Bytes by key, on disk, safe for several processes, bounded: the oldest entries go first.

    Where there is no room or permission to keep them, it says so once and keeps nothing more.

    Parameters
    ----------
    folder
        Where it lies; None keeps nothing.
    limit
        Bytes on disk.
    """

    def __init__(self, folder: Path | None, limit: int = LIMIT) -> None:
        self.folder, self._limit = folder, limit
        self._cache: diskcache.Cache | None = None
        self._fresh = False
        self._open()

    def _open(self) -> None:
        if self.folder is None:
            return
        with self._told():
            self._cache = diskcache.Cache(
                str(self.folder),
                disk=_Raw,
                disk_min_file_size=2**40,
                size_limit=self._limit,
                eviction_policy="least-recently-stored",
                statistics=0,
            )

    def get(self, key: str) -> bytes | None:
        """Return what was kept under ``key``, or None where there is nothing, or no longer what was kept."""
        if self._cache is None:
            return None
        found = None
        with self._told():
            found = self._cache.get(key)
        if not isinstance(found, bytes) or found[:_DIGEST] != _checksum(key, found[_DIGEST:]):
            return None
        return found[_DIGEST:]

    def __contains__(self, key: str) -> bool:
        """Whether something is kept under ``key``, and whole."""
        return self.get(key) is not None

    def put(self, entries: Iterable[tuple[str, bytes]]) -> None:
        """Keep some results, in one transaction."""
        some = list(entries)
        for _, value in some:
            if not isinstance(value, bytes):
                raise TypeError(f"bytes are kept, not {type(value).__name__}")
        if self._cache is None:
            return
        with self._told(), self._cache.transact(retry=True):
            for key, value in some:
                self._cache.set(key, _checksum(key, value) + value, retry=True)

    def usage(self) -> tuple[int, int]:
        """Return how many results are kept, and their bytes on disk, as the limit counts them."""
        found = 0, 0
        if self._cache is not None:
            with self._told():
                found = len(self._cache), self._cache.volume()
        return found

    def close(self) -> None:
        """Close the files."""
        if self._cache is not None:
            self._cache.close()

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except (UserError, MemoryError):
            raise
        except Exception as error:
            if lacking := shortages.line(error):
                # It is a cache: what is lacking here is not lacking for the results.
                sys.stderr.write(f"{self.folder}: nothing more is kept: {lacking}\n")
                self._cache = None
                return
            if not self._fresh and not _held(error):
                self._set_aside(error)
                return
            remedy = "delete that folder, or set FACEMASK_MEMO=0"
            raise UserError(f"{self.folder}: the memo cannot be used ({error}); {remedy}") from None

    def _set_aside(self, error: Exception) -> None:
        """Begin anew: on damaged rows a database raises whatever it stumbles over, and a cache is not worth an end."""
        assert self.folder is not None
        with contextlib.suppress(Exception):
            self.close()
        self._cache, self._fresh = None, True
        with files.replacing(self.folder.with_name(f"{self.folder.name}.damaged")) as aside:
            os.replace(self.folder, aside)
        sys.stderr.write(f"{self.folder}: damaged ({error}); set aside, its results are computed anew\n")
        self._open()


def _held(error: Exception) -> bool:
    """Whether another process has the database, or nobody may open it: then it is not damaged."""
    return isinstance(error, diskcache.Timeout | OSError) or any(
        reason in str(error) for reason in ("locked", "unable to open", "readonly")
    )


@contextlib.contextmanager
def opened(stage: str) -> Iterator[Memo]:
    """Yield the memo of one stage; one that keeps nothing if ``FACEMASK_MEMO=0``.

    Raises
    ------
    UserError
        If the folder is damaged.
    """
    memo = Memo(None if os.environ.get("FACEMASK_MEMO") == "0" else home() / stage, LIMIT)
    try:
        yield memo
    finally:
        memo.close()


class Usage(NamedTuple):
    """What one stage's memo holds: results, their bytes on disk, and how many bytes it may grow to."""

    stage: str
    results: int
    size: int
    limit: int


def usage() -> list[Usage]:
    """Look into every stage's memo, by name.

    Raises
    ------
    UserError
        If one is damaged.
    """
    found = []
    for path in sorted(home().glob("*/cache.db")):
        memo = Memo(path.parent, LIMIT)
        try:
            found.append(Usage(path.parent.name, *memo.usage(), LIMIT))
        finally:
            memo.close()
    return found


def fingerprint(
    settings: Mapping[str, Any], rooms: Iterable[str], packages: Iterable[str], weights: Iterable[Path] = ()
) -> str:
    """Hash all that a result depends on besides the photo.

    Parameters
    ----------
    settings
        Plain values.
    rooms
        Rooms of this package that compute the result; their sources are hashed, and they are not imported.
    packages
        Installed libraries; their versions are hashed.
    weights
        Files with weights; their bytes are hashed.
    """
    whole = {
        "settings": settings,
        "rooms": {room: _sources(room) for room in rooms},
        "packages": {package: importlib.metadata.version(package) for package in packages},
        "weights": [_sha256(path) for path in weights],
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


def key(fingerprint: str, sha256: str) -> str:
    """Key of one photo's result: the ``fingerprint`` of what computes it and the photo's own hash."""
    return hashlib.sha256(f"{fingerprint} {sha256}".encode()).hexdigest()


@functools.cache
def _sources(room: str) -> dict[str, str]:
    found = {path.name: _sha256(path) for path in sorted((_HOUSE / room).glob("*.py"))}
    if not found:
        raise ValueError(f"no room {room}")
    return found


def _checksum(key: str, value: bytes) -> bytes:
    return hashlib.blake2b(value, digest_size=_DIGEST, key=key.encode()[:64]).digest()


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
