"""The one exception that a user is meant to see."""

from __future__ import annotations


class UserError(Exception):
    """A mistake in the input, told in one line: where, what is wrong, what to do.

    Stages and the command line print its text without a traceback and exit with code 1.
    """
