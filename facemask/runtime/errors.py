"""The one exception that a user is meant to see."""

from __future__ import annotations

from typing import Final

# Letters of a line; what stands in a file may be of any length, and the remedy is at the end.
_BEGINNING: Final = 1000
_END: Final = 500


def printable(text: str) -> str:
    r"""Return ``text`` with control characters, directions of writing and the like as escapes, such as ``\u202e``.

    A name could otherwise show as another one, or send commands to a terminal.
    """
    return "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)


class UserError(Exception):
    """A mistake in the input, told in one line: where, what is wrong, what to do.

    Stages and the command line print its text without a traceback and exit with code 1. What cannot be
    shown is escaped (:func:`printable`), and of a very long line the middle is left out.
    """

    def __init__(self, text: str) -> None:
        line = printable(text)
        if len(line) > _BEGINNING + _END:
            line = f"{line[:_BEGINNING]} […] {line[-_END:]}"
        super().__init__(line)
