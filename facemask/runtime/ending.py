"""The end of a process, without taking apart all that libraries have made."""

from __future__ import annotations

import atexit
import gc
import os
import sys

_succeeded = False


def end_quickly() -> None:
    """Let this process, once :func:`succeed` was called, end as soon as libraries have tidied up.

    Python would go on to free object after object: with torch two and a half seconds, most of them a search for
    cycles, which a process that fails leaves out too. To be called before libraries are imported: what they register
    with ``atexit`` afterwards comes before.
    """
    atexit.register(_end)


def succeed() -> None:
    """Say that nothing is left to be done but to tidy up."""
    global _succeeded
    _succeeded = True


def _end() -> None:
    gc.freeze()
    if _succeeded:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(0)
