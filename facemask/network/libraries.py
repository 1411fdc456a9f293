"""timm, imported without wandb: where that is installed, timm would import it for nothing, a second each time."""

from __future__ import annotations

import sys
from typing import Any

_HIDDEN: dict[str, Any] = {} if "wandb" in sys.modules else {"wandb": None}
sys.modules.update(_HIDDEN)
try:
    import timm as timm
finally:
    for _name in _HIDDEN:
        del sys.modules[_name]
