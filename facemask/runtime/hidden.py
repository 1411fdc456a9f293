"""Modules that an import would look for in vain, so that it does not wait for what nobody asked for."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any


@contextlib.contextmanager
def hidden(stand_ins: Mapping[str, ModuleType | None]) -> Iterator[None]:
    """Let imports in the block find these in the place of the real modules, None for one that is not installed.

    What has been imported already stays; after the block all can be imported.
    """
    placed: dict[str, Any] = {name: one for name, one in stand_ins.items() if name not in sys.modules}
    sys.modules.update(placed)
    try:
        yield
    finally:
        for name in placed:
            del sys.modules[name]
