"""Errors that say what this machine lacks (room, a permission, open files, memory), each told in one line."""

from __future__ import annotations

import errno
import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

import psutil  # type: ignore[import-untyped]
from rich import filesize

from facemask.runtime.errors import UserError

Kind = Literal["room", "permission", "files", "memory"]

_NUMBERS: Final[dict[int, Kind]] = {
    errno.ENOSPC: "room",
    errno.EDQUOT: "room",
    errno.EFBIG: "room",
    errno.EACCES: "permission",
    errno.EPERM: "permission",
    errno.EROFS: "permission",
    errno.EMFILE: "files",
    errno.ENFILE: "files",
    errno.ENOMEM: "memory",
}
# What libraries say that raise errors of their own: torch, safetensors, SQLite, OpenCV, ONNX Runtime, tempfile.
_WORDS: Final[dict[Kind, tuple[str, ...]]] = {
    "room": (
        "no space left on device",
        "disk quota exceeded",
        "file too large",
        "disk is full",
        "disk i/o error",
        "file write failed",
        "no usable temporary directory",
    ),
    "permission": (
        "permission denied",
        "read-only file system",
        "readonly database",
        "unable to open database",
    ),
    "files": ("too many open files",),
    "memory": (
        "out of memory",
        "outofmemory",
        "allocate memory",
        "failed to allocate",
        "insufficient memory",
        "bad_alloc",
        "bad allocation",
        "signal: bus error",
    ),
}


def kind(error: BaseException) -> Kind | None:
    """Return what is lacking, or None for an error of another kind."""
    for one in _causes(error):
        if isinstance(one, MemoryError):
            return "memory"
        if isinstance(one, OSError) and one.errno in _NUMBERS:
            return _NUMBERS[one.errno]
        text = f"{type(one).__name__} {one}".lower()
        for found, words in _WORDS.items():
            if not isinstance(one, UserError) and any(word in text for word in words):
                return found
    return None


def line(error: BaseException) -> str | None:
    """Say what is lacking, where, how much there is, and what to do; None for an error of another kind."""
    what = kind(error)
    told = _told(error)
    match what:
        case "room":
            return f"no room left ({told}): {room(_path(error))}; make room, or set TMPDIR to another disk"
        case "permission":
            where = _path(error) or Path.cwd()
            return (
                f"no permission to write {where} ({told}); make it writable for this user: `ls -ld '{where}'`"
            )
        case "files":
            return f"too many open files ({told}); raise the limit: `ulimit -n 8192`"
        case "memory":
            memory = psutil.virtual_memory()
            sizes = f"{filesize.decimal(memory.available)} of {filesize.decimal(memory.total)} free"
            return (
                f"not enough memory ({told}): {sizes}; close other programs, or lower the stage's batch_size"
            )
        case _:
            return None


def room(path: Path | None) -> str:
    """Tell the free space of the disk that ``path`` is on; by default, of the current folder's and of TMPDIR's."""
    folders = [path] if path else [Path.cwd(), temporary()]
    return ", ".join(f"{folder} has {filesize.decimal(_free(folder))} free" for folder in folders)


def temporary() -> Path:
    """Return the folder for temporary files, or where it was looked for."""
    try:
        return Path(tempfile.gettempdir())
    except FileNotFoundError:
        return Path(os.environ.get("TMPDIR") or "/tmp")


def _free(path: Path) -> int:
    there = next((one for one in (path, *path.absolute().parents) if one.exists()), Path.cwd())
    return shutil.disk_usage(there).free


def _path(error: BaseException) -> Path | None:
    names = (one.filename for one in _causes(error) if isinstance(one, OSError))
    return next((Path(os.fsdecode(name)) for name in names if isinstance(name, (str, bytes))), None)


def _told(error: BaseException) -> str:
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return " ".join(str(error).split())[:150] or type(error).__name__


def _causes(error: BaseException) -> Iterator[BaseException]:
    one: BaseException | None = error
    while one is not None:
        yield one
        one = one.__cause__
