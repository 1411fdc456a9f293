"""Files that are whole and the ones meant: outputs are written under a temporary name, models told by their hash."""

from __future__ import annotations

import contextlib
import hashlib
import itertools
import json
import os
import re
import shutil
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import IO, Any, Final

import psutil  # type: ignore[import-untyped]

from facemask.runtime.errors import UserError

SEAL: Final = "sha256"
_check: Callable[[], None] = lambda: None  # noqa: E731
_scratch: set[Path] = set()
_numbers = itertools.count()
_PART: Final = re.compile(r"\.(?P<name>.+)\.(?P<process>[0-9]+)\.part")


@contextlib.contextmanager
def guarded(check: Callable[[], None]) -> Iterator[None]:
    """Call ``check`` before anything is renamed to its name within the block; what it raises keeps the older one."""
    global _check
    before, _check = _check, check
    try:
        yield
    finally:
        _check = before


@contextlib.contextmanager
def replacing(path: Path) -> Iterator[Path]:
    """Yield a temporary path beside ``path``; rename it to ``path`` if the block succeeds.

    The block may create a file or a folder there. If it raises, what it left is removed and an older ``path`` stays
    as it was. What a process that was killed left there is removed at the start.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    for left in path.parent.iterdir():
        found = _PART.fullmatch(left.name)
        if found and found["name"] == path.name and _is_left(int(found["process"])):
            _remove(left)
    temporary = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        yield temporary
        _check()
        if temporary.is_dir() and path.is_dir():
            shutil.rmtree(path)
        os.replace(temporary, path)
    finally:
        _remove(temporary)


@contextlib.contextmanager
def scratch(name: str, project: Path = Path()) -> Iterator[Path]:
    """Yield an empty folder below a project's ``.cache/tmp`` that goes with the block.

    In ``TMPDIR`` one that a killed process left would stay: here it goes at the next start.
    """
    home = project / ".cache" / "tmp"
    home.mkdir(parents=True, exist_ok=True)
    for left in home.iterdir():
        found = _PART.fullmatch(left.name)
        if found and left.absolute() not in _scratch and _is_left(int(found["process"])):
            _remove(left)
    folder = (home / f".{name}{next(_numbers)}.{os.getpid()}.part").absolute()
    folder.mkdir()
    _scratch.add(folder)
    try:
        yield folder
    finally:
        _scratch.remove(folder)
        _remove(folder)


def _is_left(process: int) -> bool:
    """Whether what carries this process's number was left by one that was killed."""
    # Each container counts from 1: a stage often has the number of the killed one before it.
    return process == os.getpid() or not psutil.pid_exists(process)


def _remove(path: Path) -> None:
    if path.is_dir():
        shutil.rmtree(path)
    path.unlink(missing_ok=True)


def write_json(path: Path, content: Any) -> None:
    """Write ``content`` as indented JSON with a final newline; key order is kept."""
    with replacing(path) as temporary:
        temporary.write_text(
            json.dumps(content, indent=2, ensure_ascii=False, allow_nan=False) + "\n", encoding="utf-8"
        )


def read_json(path: Path, remedy: str) -> dict[str, Any]:
    """Read a JSON object.

    Parameters
    ----------
    remedy
        What to do where the file is missing or damaged, as an order such as "run `dvc repro infer`".

    Raises
    ------
    UserError
        If there is no such file or it holds something else.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; {remedy}") from None
    except (OSError, ValueError) as error:
        raise UserError(f"{path}: not JSON ({error}); {remedy}") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: a JSON object is wanted; {remedy}")
    return content


def write_sealed(path: Path, content: Mapping[str, Any]) -> None:
    """Write ``content`` as JSON that carries, under ``sha256``, the hash of itself and of each file beside it."""
    sums = {one.name: _sha256(one.read_bytes()) for one in sorted(path.parent.iterdir()) if one != path}
    write_json(path, {**content, SEAL: {path.name: _sha256(_canonical(content)), **sums}})


def sealed(path: Path, *beside: str, remedy: str) -> dict[str, Any]:
    """Read what :func:`write_sealed` wrote, if it and the files ``beside`` it are those that were meant.

    Raises
    ------
    UserError
        If one of them is missing or is not, bit for bit, what was written; ``remedy`` is the end of the line.
    """
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        sums = content.pop(SEAL)
        found = {path.name: _sha256(_canonical(content))}
        found |= {name: _sha256((path.parent / name).read_bytes()) for name in beside}
        other = [name for name, value in found.items() if sums.get(name) != value]
    except FileNotFoundError as error:
        raise UserError(f"{path.parent}: no {Path(error.filename).name}; {remedy}") from None
    except OSError as error:
        raise UserError(f"{path.parent}: cannot be read ({error.strerror}); {remedy}") from None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        raise UserError(f"{path}: damaged, or of another version; {remedy}") from None
    if other:
        raise UserError(
            f"{path.parent / other[0]}: not the file that was written there (copied, edited, or damaged on a disk or "
            f"remote); {remedy}"
        )
    return dict(content)


def _canonical(content: Mapping[str, Any]) -> bytes:
    return json.dumps(content, sort_keys=True, allow_nan=False).encode()


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def reserve(file: IO[bytes], size: int) -> None:
    """Give an empty file ``size`` bytes that the disk really holds.

    Raises
    ------
    OSError
        If there is no room.
    """
    if hasattr(os, "posix_fallocate"):
        os.posix_fallocate(file.fileno(), 0, max(size, 1))
        return
    zeros = bytes(2**20)
    for start in range(0, size, len(zeros)):
        file.write(zeros[: size - start])
    file.flush()


def sha256(path: Path) -> str:
    """Hash a file's content."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def checked(path: Path, sha256: str, *, keys: str, fetch: str) -> bytes:
    """Read a file that the params name by path and hash.

    Parameters
    ----------
    keys
        What stands before ``path`` and ``sha256`` in the names of the two params.
    fetch
        What to do where the file is not there, as an order.

    Raises
    ------
    UserError
        If there is no such file or it is another one.
    """
    if not path.is_file():
        raise UserError(f"{keys}path: no file {path}; {fetch}")
    content = path.read_bytes()
    found = _sha256(content)
    if found != sha256:
        raise UserError(f"{keys}sha256: {path} has {found}, not {sha256}; correct one of the two, or {fetch}")
    return content
