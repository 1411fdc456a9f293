"""The line that a stage ends with: what it left out of what it was given, or made up for, and why."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Final

from facemask.runtime import files
from facemask.runtime.errors import printable

NAME: Final = "left_out.txt"
# Reasons that are told one by one.
MOST: Final = 4


def line(stage: str, given: int, what: str, reasons: Mapping[str, int]) -> str:
    """Say how many of ``given`` things each reason concerns; the most frequent first, reasons of none left out.

    Parameters
    ----------
    what
        What was given, such as ``photos``.
    """
    some = sorted(
        ((count, reason) for reason, count in reasons.items() if count), key=lambda one: (-one[0], one[1])
    )
    parts = [f"{count:,} {reason}" for count, reason in some[:MOST]]
    if rest := sum(count for count, _ in some[MOST:]):
        parts.append(f"{rest:,} for other reasons")
    return f"{stage}: of {given:,} {what} " + (", ".join(parts) if parts else "none left out")


def tell(line: str) -> None:
    """Print the line, on standard output as all that a stage says of its result."""
    # A terminal of another encoding than UTF-8 has no sign for some letters.
    shown = printable(line).encode(sys.stdout.encoding or "utf-8", "backslashreplace")
    sys.stdout.write(f"{shown.decode(sys.stdout.encoding or 'utf-8')}\n")
    sys.stdout.flush()


def keep(folder: Path, line: str) -> None:
    """Write the line into a stage's folder, for ``python -m facemask scores``."""
    with files.replacing(folder / NAME) as temporary:
        temporary.write_text(f"{line}\n", encoding="utf-8")


def found(line: str) -> bool:
    """Whether anything was left out."""
    return not line.endswith(" none left out")
