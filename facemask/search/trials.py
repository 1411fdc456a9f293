"""One trial: an experiment that DVC runs in a temporary folder, and its answers out of DVC's cache."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Protocol

from facemask.comparison import revisions
from facemask.comparison.revisions import Revision
from facemask.runtime.errors import UserError
from facemask.settings import command_lines, params

STAGE: Final = "evaluate"
# Git and DVC do not bring these into a copy of the project.
PRETRAINED: Final = Path("models/pretrained")
# DVC's own command line, which ends when the search does: a trial that outlived it would run twice.
_DVC: Final = (
    "import sys; from facemask.runtime import parent; parent.follow(); from dvc.cli import main; "
    "sys.exit(main(sys.argv[1:]))"
)
# What DVC prints of the first stage: by then it has taken the experiment out of the list that all its runs share.
_STARTED: Final = ("Running stage", "Stage '")
_EVERY: Final = 1.0


class Failed(Exception):  # noqa: N818
    """A trial came to no answers; says why in a line."""


class Runner(Protocol):
    """Runs experiments by name."""

    def run(self, name: str, settings: Mapping[str, Any], folds: Sequence[int]) -> None:
        """Run an experiment with other params, and these folds; raises Failed."""

    def read(self, name: str, part: str = revisions.OUT_OF_FOLD) -> Revision:
        """Answers of an experiment."""

    def remove(self, name: str) -> None:
        """Forget an experiment, if it is there."""

    def stop(self) -> None:
        """End what is running."""


class Dvc:
    """Experiments in temporary folders, of which several may run at once.

    Parameters
    ----------
    logs
        Folder for what DVC and the stages print, a file an experiment.
    """

    def __init__(self, logs: Path) -> None:
        self._logs = logs
        self._starting = threading.Lock()
        self._running: set[subprocess.Popen[str]] = set()

    def stop(self) -> None:
        """End what is running."""
        for process in list(self._running):
            process.terminate()

    def run(self, name: str, settings: Mapping[str, Any], folds: Sequence[int]) -> None:
        """Run an experiment; folds that an earlier one trained with the same params come from DVC's run cache.

        Raises
        ------
        Failed
            If DVC does not end with an experiment of this name.
        """
        self.remove(name)
        given = [
            part for key, value in settings.items() for part in command_lines.overrides(key, value)
        ] + command_lines.overrides("train.folds", list(folds))
        words = ["--wait-for-lock", "exp", "run", "--temp", "--name", name]
        words += [word for one in given for word in ("-S", one)]
        if PRETRAINED.is_dir():
            words += ["--copy-paths", str(PRETRAINED)]
        log = self._logs / f"{name}.log"
        log.parent.mkdir(parents=True, exist_ok=True)
        with contextlib.ExitStack() as starting, log.open("w", encoding="utf-8") as kept:
            starting.enter_context(self._starting)
            with _dvc([*words, STAGE]) as process:
                self._running.add(process)
                assert process.stdout is not None
                for line in process.stdout:
                    kept.write(line)
                    kept.flush()
                    if line.startswith(_STARTED):
                        starting.close()
        self._running.discard(process)
        # A DVC that ends takes up what another has just listed: the experiment is then made by that one.
        while not process.returncode and self._running and not _known(name):
            time.sleep(_EVERY)
        # DVC may also keep the experiment and fail afterwards, over a lock or in clearing its folder.
        if not _known(name):
            raise Failed(_reason(log))

    def read(self, name: str, part: str = revisions.OUT_OF_FOLD) -> Revision:
        """Answers of an experiment, see :func:`facemask.comparison.revisions.read`."""
        return revisions.read(name, part)

    def remove(self, name: str) -> None:
        """Forget an experiment, if it is there."""
        if _known(name):
            with self._starting, _dvc(["--wait-for-lock", "exp", "remove", "--quiet", name]) as process:
                process.communicate()


def _dvc(words: Sequence[str]) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", _DVC, *words],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        encoding="utf-8",
        errors="replace",
        env=os.environ | {"PYTHONUNBUFFERED": "1"},
    )


def _known(name: str) -> bool:
    done = subprocess.run(
        ["git", "for-each-ref", "--format=%(refname)", "refs/exps"],
        capture_output=True,
        text=True,
        check=False,
    )
    return any(ref.split("/")[-1] == name for ref in done.stdout.split())


def _reason(log: Path) -> str:
    """What stopped a trial: the first line that a stage or DVC calls an error."""
    lines = [line.strip() for line in log.read_text(encoding="utf-8").splitlines()]
    told = (
        [line for line in lines if line.lower().startswith("error: ")]
        or lines[-1:]
        or ["nothing was printed"]
    )
    return f"{told[0].removeprefix('error: ').removeprefix('ERROR: ')} ({log})"


def require(data: params.Data) -> None:
    """Look whether copies of the project can be run.

    Raises
    ------
    UserError
        If there is no commit to copy, or a copy would not find the photos.
    """
    if subprocess.run(["git", "rev-parse", "--verify", "HEAD"], capture_output=True, check=False).returncode:
        raise UserError(
            "search: no git repository with a commit here; trials are experiments of DVC, which need one"
        )
    for key in ("root", "extra", "faces"):
        path = Path(getattr(data, key))
        kept = key == "root" or not any(one.is_dir() for one in path.glob("*"))
        if not path.is_absolute() and (".." in path.parts or not kept):
            raise UserError(
                f"data.{key}: {path} is not found from a copy of the project, where trials run; "
                f"`python -m facemask set data.{key} {path.resolve()}` names it whole"
            )
