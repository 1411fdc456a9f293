"""Which folder a photo's key belongs to.

A key is a path with slashes. Those of the main data set stand below its root (``train/images/...``,
``eval/images/...``); those of a data set beside it begin with ``extra/<set>/``.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Final

PREFIX: Final = "extra"
SYNTHESISED: Final = "synthesise"


def dataset(key: str) -> str:
    """Name of the extra data set that a photo belongs to; empty for the main one."""
    first, *rest = key.split("/")
    return rest[0] if first == PREFIX else ""


@dataclass(frozen=True)
class Roots:
    """Where the photos lie.

    Attributes
    ----------
    main
        The main data set.
    extra
        Folder of extra data sets, one a sub-folder.
    synthetic
        The extra data set named ``synthesise``.
    """

    main: Path
    extra: Path
    synthetic: Path

    def folder(self, name: str) -> Path:
        """Folder of the extra data set ``name``."""
        return self.synthetic if name == SYNTHESISED else self.extra / name

    def path(self, key: str) -> Path:
        """File of a photo."""
        name = dataset(key)
        return self.folder(name) / key.split("/", 2)[2] if name else self.main / key
