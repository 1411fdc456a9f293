"""Locks of DVC below ``.dvc/tmp`` that outlived the process which took them."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import psutil  # type: ignore[import-untyped]
import zc.lockfile  # type: ignore[import-untyped]

from facemask.runtime import files

_DAY: Final = 86400.0


@contextlib.contextmanager
def held(path: Path) -> Iterator[bool]:
    """Hold one of DVC's locks, if it is free."""
    try:
        lock = zc.lockfile.LockFile(str(path))
    except (zc.lockfile.LockError, OSError):
        yield False
        return
    try:
        yield True
    finally:
        lock.close()


def claim(path: Path, home: Path) -> str:
    """Remove a lock of the kind ``core.hardlink_lock``, which outlives its process for a year, if no DVC is at work."""
    if not path.is_file() or path.stat().st_mtime < time.time() + _DAY:
        return ""
    for process in psutil.process_iter(["cmdline", "cwd"]):
        words = [Path(word).name for word in process.info["cmdline"] or ()]
        if "dvc" in words and Path(process.info["cwd"] or "/").is_relative_to(home):
            return ""
    path.unlink()
    return ".dvc/tmp/lock was left by a DVC that was killed: removed"


def processes(tmp: Path) -> str:
    """Drop entries of processes that are no more, or whose number is another process's now."""
    path = tmp / "rwlock"
    with held(tmp / "rwlock.lock") as free:
        if not free or not path.is_file():
            return ""
        try:
            content = json.loads(path.read_text(encoding="utf-8"))
            entries = {
                mode: [
                    (place, info) for place, some in content.get(mode, {}).items() for info in _listed(some)
                ]
                for mode in ("read", "write")
            }
            alive = {
                mode: [(place, info) for place, info in some if _runs(int(info["pid"]), info["cmd"], path)]
                for mode, some in entries.items()
            }
        except (ValueError, AttributeError, TypeError, KeyError, OSError):
            path.unlink()
            return ".dvc/tmp/rwlock was cut short by a kill: removed"
        if alive == entries:
            return ""
        read: dict[str, list[Any]] = {}
        for place, info in alive["read"]:
            read.setdefault(place, []).append(info)
        files.write_json(path, {"write": dict(alive["write"]), "read": read})
    return ".dvc/tmp/rwlock held files for a DVC that was killed: released"


def _listed(some: Any) -> list[Any]:
    return some if isinstance(some, list) else [some]


def _runs(pid: int, cmd: str, path: Path) -> bool:
    """Whether the process that wrote an entry is running: older than the file, and with the same arguments."""
    with contextlib.suppress(psutil.Error):
        process = psutil.Process(pid)
        arguments = " ".join(cmd.split()[1:])
        # A clock's tick, or a file system's.
        before = process.create_time() < path.stat().st_mtime + 2
        return bool(before and " ".join(" ".join(process.cmdline()).split()).endswith(arguments))
    return False
