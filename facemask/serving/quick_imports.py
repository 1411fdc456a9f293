"""Libraries that the networks' libraries import and that no answer needs: left out, so that the first answer is early.

Of some nine seconds that timm and torchvision take to import, nearly four are torch's compiler, of which torchvision
wants one function and timm a decorator; half a second is garbage collection.
"""

from __future__ import annotations

import contextlib
import gc
import sys
from collections.abc import Iterator
from types import ModuleType
from typing import Any, Final
from unittest import mock

from facemask.runtime.hidden import hidden

_COMPILER: Final = "torch._dynamo.utils"


@contextlib.contextmanager
def lean() -> Iterator[None]:
    """Import timm and torchvision in the block, without torch's compiler, which can be imported after it.

    Does nothing where the compiler has been imported already.
    """
    import torch

    if "torch._dynamo" in sys.modules:
        yield
        return
    compiler = ModuleType(_COMPILER)
    compiler.__dict__["is_compile_supported"] = lambda device: False
    collecting = gc.isenabled()
    gc.disable()
    try:
        with hidden({_COMPILER: compiler}), mock.patch.object(torch.compiler, "disable", _plain):
            yield
    finally:
        if collecting:
            gc.enable()


def _plain(function: Any = None, *_: Any, **__: Any) -> Any:
    """Decorate as ``torch.compiler.disable`` does where nothing is compiled: not at all."""
    return function if function is not None else _plain
