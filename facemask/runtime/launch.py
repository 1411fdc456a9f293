"""Run a stage from the command line: arguments, its view of the params, a lock, and errors in one line."""

from __future__ import annotations

import argparse
import contextlib
import gc
import inspect
import os
import sys
import time
import typing
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any, Final, NamedTuple

from filelock import FileLock, Timeout

from facemask.runtime import ending, files, hardware, inputs, parent, shortages
from facemask.runtime.errors import UserError
from facemask.settings import config, loading, params, recipes

# Parameters of a stage that are folders of a user's, and which key of params.yaml says where they are.
FOLDERS: Final = {"root": "root", "extra": "extra", "unmasked_faces": "faces"}
# Config classes that hold a few keys of a section, and whose.
VIEWS: Final[Mapping[type[config.Config], str]] = {
    params.Bands: "train",
    params.Folds: "train",
    params.Grouping: "infer",
    recipes.Logging: "train",
}
# Parameters that are written; all other paths are read.
WRITTEN: Final = frozenset({"out", "scores", "plots", "curves", "live"})
# Locks, and how long each stage took.
KEPT: Final = Path(".dvc/tmp/stages")


class Ran(NamedTuple):
    """How long a stage took, and on which machine."""

    stage: str
    seconds: float
    machine: str


def view(whole: params.Params, wanted: type[config.Config]) -> config.Config:
    """Return the part of ``whole`` that a stage asked for by its config class."""
    if wanted is params.Params:
        return whole
    for name in params.Params.model_fields:
        section = getattr(whole, name)
        if isinstance(section, wanted):
            # A base class (train's recipe) gets its own fields only: the rest stays unseen.
            return wanted.model_construct(**{field: getattr(section, field) for field in wanted.model_fields})
    if wanted not in VIEWS:
        raise TypeError(f"no section of params.yaml is a {wanted.__name__}")
    section = getattr(whole, VIEWS[wanted])
    return wanted.model_construct(**{field: getattr(section, field) for field in wanted.model_fields})


def launch(run: Callable[..., None]) -> None:
    """Call ``run`` with what its signature asks for.

    A parameter annotated with a config class gets that view of ``params.yaml``; ``seed``, ``engine`` and the
    :data:`FOLDERS` get theirs; a ``Path`` or another ``int`` becomes a command-line option of its name. A
    :class:`UserError` is printed in one line and ends the process with code 1; so do a second copy of the same stage
    started beside a running one, a lack of room, of a permission or of memory, and an edit of what the stage was given
    while it ran: DVC, which hashes dependencies after a command, would record it as used. Ctrl-C is one line too.
    """
    gc.enable()
    stage = run.__module__ if run.__module__ != "__main__" else Path(sys.argv[0]).stem
    stage = stage.rsplit(".", 1)[-1]
    kinds = typing.get_type_hints(run)
    names = list(inspect.signature(run).parameters)
    parser = argparse.ArgumentParser(prog=f"python -m stages.{stage}", description=inspect.getdoc(run))
    options = [
        n for n in names if (kinds[n] is Path and n not in FOLDERS) or (kinds[n] is int and n != "seed")
    ]
    for name in options:
        parser.add_argument(f"--{name.replace('_', '-')}", type=kinds[name], required=True)
    chosen = vars(parser.parse_args())
    try:
        arguments = chosen | _configured(kinds, set(names) - set(chosen))
        made = {arguments[name].resolve() for name in names if name in WRITTEN}
        given = (arguments[name] for name in names if kinds[name] is Path)
        read = [path for path in given if path.resolve() not in made]
        label = "-".join([stage, *(str(chosen[n]) for n in options if kinds[n] is int)])
        unchanged = inputs.Unchanged(
            read, lambda: _configured(kinds, set(names) - set(chosen)), label.replace("-", "@")
        )
        # The other processes of a multi-GPU training are the same stage, not a twin.
        first = os.environ.get("LOCAL_RANK", "0") == "0"
        start = time.monotonic()
        with _alone(label) if first else contextlib.nullcontext():
            with files.guarded(unchanged.verify):
                run(**arguments)
            unchanged.verify()
        if first:
            # Beside the lock and no output: the clock is no part of a result.
            ran = {"stage": label, "seconds": time.monotonic() - start, "machine": hardware.machine()}
            files.write_json(KEPT / f"{label}.json", ran)
        ending.succeed()
    except UserError as error:
        sys.exit(f"error: {error}")
    except KeyboardInterrupt:
        sys.stderr.write(f"{parent.INTERRUPTED}\n")
        sys.exit(parent.CODE)
    except Exception as error:
        if (told := shortages.line(error)) is None:
            raise
        sys.exit(f"error: {stage}: {told}")


def _configured(kinds: Mapping[str, Any], names: Iterable[str]) -> dict[str, Any]:
    """What ``params.yaml`` gives the parameters of these names and types."""
    whole = loading.load(Path("params.yaml"))
    given: dict[str, Any] = {}
    for name in names:
        if name in FOLDERS and kinds[name] is Path:
            given[name] = Path(getattr(whole.data, FOLDERS[name]))
        elif name in ("seed", "engine"):
            given[name] = getattr(whole, name)
        else:
            given[name] = view(whole, kinds[name])
    return given


def times() -> list[Ran]:
    """Seconds that each stage took when it last ran in this folder, in the order in which they ended."""
    found = sorted(KEPT.glob("*.json"), key=lambda path: (path.stat().st_mtime_ns, path.name))
    return [Ran(**files.read_json(path, "delete it")) for path in found]


def _alone(label: str) -> FileLock:
    """Lock out a second copy of a stage: one that outlived a killed DVC would overwrite the new one's outputs."""
    KEPT.mkdir(parents=True, exist_ok=True)
    lock = FileLock(KEPT / f"{label}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"{label}: another copy of this stage is still running in {Path.cwd().name}/ "
            "(left over from a killed run?); wait for it or stop it"
        ) from None
    return lock
