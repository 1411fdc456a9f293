"""Run a stage from the command line: arguments, its view of the params, a lock, and errors in one line."""

from __future__ import annotations

import argparse
import contextlib
import inspect
import os
import sys
import typing
from collections.abc import Callable
from pathlib import Path
from typing import Any

from filelock import FileLock, Timeout

from facemask.runtime.errors import UserError
from facemask.settings import config, loading, params


def view(whole: params.Params, wanted: type[config.Config]) -> config.Config:
    """Return the part of ``whole`` that a stage asked for by its config class."""
    if wanted is params.Params:
        return whole
    for name in params.Params.model_fields:
        section = getattr(whole, name)
        if isinstance(section, wanted):
            # A base class (train's recipe) gets its own fields only: the rest stays unseen.
            return wanted.model_construct(**{field: getattr(section, field) for field in wanted.model_fields})
    if wanted is params.Bands:
        return params.Bands(young_cut=whole.train.young_cut, age_cut=whole.train.age_cut)
    if wanted is params.Folds:
        return params.Folds(folds=whole.train.folds)
    raise TypeError(f"no section of params.yaml is a {wanted.__name__}")


def launch(run: Callable[..., None]) -> None:
    """Call ``run`` with what its signature asks for.

    A parameter annotated with a config class gets that view of ``params.yaml``, ``seed`` and ``engine`` get
    theirs, a ``Path`` or another ``int`` becomes a command-line option of its name. A :class:`UserError` is printed
    in one line and ends the process with code 1; so does a second copy of the same stage started beside a running one.
    """
    stage = run.__module__ if run.__module__ != "__main__" else Path(sys.argv[0]).stem
    stage = stage.rsplit(".", 1)[-1]
    kinds = typing.get_type_hints(run)
    names = list(inspect.signature(run).parameters)
    parser = argparse.ArgumentParser(prog=f"python -m stages.{stage}", description=inspect.getdoc(run))
    options = [n for n in names if kinds[n] is Path or (kinds[n] is int and n != "seed")]
    for name in options:
        parser.add_argument(f"--{name.replace('_', '-')}", type=kinds[name], required=True)
    chosen = vars(parser.parse_args())
    try:
        whole = loading.load(Path("params.yaml"))
        arguments: dict[str, Any] = {}
        for name in names:
            if name in chosen:
                arguments[name] = chosen[name]
            elif name in ("seed", "engine"):
                arguments[name] = getattr(whole, name)
            else:
                arguments[name] = view(whole, kinds[name])
        label = "-".join([stage, *(str(chosen[n]) for n in options if kinds[n] is int)])
        # The other processes of a multi-GPU training are the same stage, not a twin.
        with _alone(label) if os.environ.get("LOCAL_RANK", "0") == "0" else contextlib.nullcontext():
            run(**arguments)
    except UserError as error:
        sys.exit(f"error: {error}")


def _alone(label: str) -> FileLock:
    """Lock out a second copy of a stage: one that outlived a killed DVC would overwrite the new one's outputs."""
    folder = Path(".dvc/tmp/stages")
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / f"{label}.lock", timeout=0)
    try:
        lock.acquire()
    except Timeout:
        raise UserError(
            f"{label}: another copy of this stage is still running in {Path.cwd().name}/ "
            "(left over from a killed run?); wait for it or stop it"
        ) from None
    return lock
