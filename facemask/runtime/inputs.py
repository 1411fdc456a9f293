"""What a stage was given, compared at its end with what is there then.

DVC hashes dependencies after a command: an edit made while a stage runs would be recorded as what it had used, and
nothing would ever run it again.
"""

from __future__ import annotations

import hashlib
import os
import sys
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final

from facemask.runtime.errors import UserError

_HOUSE: Final = Path(__file__).parents[1]
_CODE: Final = ("facemask", "stages")
# Can change no result: it only says what params.yaml may say.
_NO_RESULT: Final = "facemask.settings"


class Unchanged:
    """Remembers a stage's inputs.

    Parameters
    ----------
    read
        Files and folders that are read; of folders the names, sizes and times of all files count.
    params
        Gives the stage's view of ``params.yaml``.
    stage
        Name of the stage in ``dvc.yaml``.
    """

    def __init__(self, read: Iterable[Path], params: Callable[[], Mapping[str, Any]], stage: str) -> None:
        self._paths = list(read)
        self._params = params
        self._stage = stage
        self._given = dict(params())
        self._files = {path: _listed(path) for path in self._paths}
        self._sources = {path: _sha256(path) for path in _HOUSE.parent.glob("facemask/*/*.py")}
        self._sources |= {path: _sha256(path) for path in _HOUSE.parent.glob("stages/*.py")}

    def verify(self) -> None:
        """Compare.

        Raises
        ------
        UserError
            At the first input that is another one now.
        """
        try:
            given = dict(self._params())
        except UserError as error:
            self._fail(f"params.yaml ({error})")
        if other := [name for name, value in self._given.items() if given[name] != value]:
            self._fail(f"params.yaml ({_differing(self._given[other[0]], given[other[0]]) or other[0]})")
        for path in self._paths:
            now = _listed(path)
            changed = sorted(name for name, _ in self._files[path].items() ^ now.items())
            if changed:
                self._fail(str(path / changed[0]) if changed[0] else str(path))
        for module in _imported():
            if module in self._sources and self._sources[module] != _sha256(module):
                self._fail(module.relative_to(_HOUSE.parent).as_posix())

    def _fail(self, what: str) -> None:
        raise UserError(
            f"{self._stage}: {what} was changed while the stage ran, so that its result belongs to neither state and "
            f"is not kept; run `dvc repro -f {self._stage}`"
        )


def _differing(before: Any, after: Any) -> str:
    """Name the first field that differs between two configs."""
    fields = getattr(type(before), "model_fields", {})
    return next((name for name in fields if getattr(before, name) != getattr(after, name)), "")


def _listed(path: Path) -> dict[str, tuple[int, int]]:
    """Size and time of a file, or of every file of a folder by its path below it."""
    found: dict[str, tuple[int, int]] = {}
    if path.is_file():
        return {"": _stat(path)}
    for folder, _, names in os.walk(path):
        for name in names:
            file = Path(folder, name)
            if not name.startswith("."):
                found[file.relative_to(path).as_posix()] = _stat(file)
    return found


def _stat(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return -1, -1
    return found.st_size, found.st_mtime_ns


def _imported() -> list[Path]:
    """Sources of the modules that this process has imported and whose code can change a result."""
    return [
        Path(file)
        for name, module in sorted(sys.modules.items())
        if name.split(".")[0] in (*_CODE, "__main__")
        and not name.startswith(_NO_RESULT)
        and (file := getattr(module, "__file__", None))
    ]


def _sha256(path: Path) -> str:
    try:
        return hashlib.sha256(path.read_bytes()).hexdigest()
    except OSError:
        return ""
