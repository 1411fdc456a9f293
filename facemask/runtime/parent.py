"""End with the process that started this one, and by Ctrl-C in one line.

Cheap to import: a stage begins with it, before the libraries that take seconds.
"""

from __future__ import annotations

import os
import sys
import threading
import time
from types import TracebackType
from typing import Final

import psutil  # type: ignore[import-untyped]

INTERRUPTED: Final = "interrupted; `dvc repro` goes on from here"
# As a shell tells of a process that SIGINT ended.
CODE: Final = 130
_SHELLS: Final = frozenset({"sh", "bash", "dash", "zsh", "fish", "ksh", "busybox"})
_EVERY: Final = 1.0


def follow() -> None:
    """Watch the parent, and end this process within some seconds once it has gone.

    DVC starts a stage through a shell: one that waits for the stage would outlive DVC, so its parent is watched too.
    """
    watched: list[psutil.Process] = []
    for process in psutil.Process().parents()[:2]:
        watched.append(process)
        if process.name() not in _SHELLS:
            break
    # Who lost its parent while Python started has a new one, which will not end.
    words = " ".join(watched[-1].cmdline()) if watched else ""
    if not watched or (watched[-1].pid == 1 and "dvc" not in words and "python" not in words):
        os._exit(1)
    threading.Thread(target=_end_after, args=(watched,), daemon=True).start()


def _end_after(watched: list[psutil.Process]) -> None:
    # A number that another process has by now is not taken for the parent.
    while all(process.is_running() and process.status() != psutil.STATUS_ZOMBIE for process in watched):
        time.sleep(_EVERY)
    # Workers watch this process in their turn; what has no name on the disk needs no clearing.
    os._exit(1)


def quietly() -> None:
    """Let Ctrl-C, in the libraries' import too, end this process with one line and code 130."""
    before = sys.excepthook

    def told(kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        if not issubclass(kind, KeyboardInterrupt):
            before(kind, error, trace)
            return
        sys.stderr.write(f"{INTERRUPTED}\n")
        sys.stderr.flush()
        os._exit(CODE)

    sys.excepthook = told
