"""Imports of big libraries without what they would import for nothing."""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator, Mapping
from types import ModuleType
from typing import Any, Final

from facemask.runtime import ending

_COMPILER: Final = "torch._dynamo"


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


def begin() -> None:
    """Put off garbage collection in a stage's process until ``launch`` turns it on, and let it end quickly."""
    # Worker processes, which import the stage too, are not started by `-m`.
    if "-m" in sys.orig_argv:
        gc.disable()
        ending.end_quickly()


@contextlib.contextmanager
def uncollected() -> Iterator[None]:
    """Put off garbage collection: imports make none, and are searched for it again and again, a fifth of their time."""
    collecting = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if collecting:
            gc.enable()


@contextlib.contextmanager
def lean() -> Iterator[None]:
    """Import libraries built on torchvision in the block, without torch's compiler, which can be imported after it.

    Of some nine seconds that torch, timm and torchvision take to import, nearly four are the compiler, of which
    torchvision wants one function and a decorator, and timm's Kron whether it is there. Where it has been
    imported already, only garbage collection is put off.
    """
    from unittest import mock

    with uncollected():
        import torch

        if _COMPILER in sys.modules:
            yield
            return
        compiler, used = ModuleType(_COMPILER), ModuleType(f"{_COMPILER}.utils")
        used.__dict__["is_compile_supported"] = lambda device: False
        # What torch's functions on the device `meta` ask for.
        compiler.__dict__["disable"] = _plain
        stand_ins = {each.__name__: each for each in (compiler, used)}
        with hidden(stand_ins), mock.patch.object(torch.compiler, "disable", _plain):
            yield


def _plain(function: Any = None, *_: Any, **__: Any) -> Any:
    """Decorate as ``torch.compiler.disable`` does where nothing is compiled: not at all."""
    return function if function is not None else _plain
