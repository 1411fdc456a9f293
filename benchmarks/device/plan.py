"""Device, size and time of a part, and the recipes of presets with networks from scratch."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import torch
import yaml

from benchmarks.speed import material, train_loop
from benchmarks.speed.outcome import HERE
from facemask.runtime.arrays import Pixels
from facemask.settings import params, recipes
from facemask.training.batches import Side

Figures = dict[str, Any]
PRESETS: Final = HERE / "presets"
# The preset whose network stands for training at the contest's size.
LARGE: Final = "contest"


@dataclass(frozen=True)
class Plan:
    """What a part is given.

    Attributes
    ----------
    device
        ``cuda`` or ``cpu``.
    tiny
        Whether this only rehearses: one small case of each kind.
    seconds
        How long the part may take.
    root
        Photos in the contest's layout; empty for drawn people.
    """

    device: str
    tiny: bool
    seconds: float
    root: str

    def clock(self) -> float:
        """When the part has to end, on the clock of :func:`time.monotonic`."""
        return time.monotonic() + self.seconds


def presets() -> list[str]:
    """Names of all presets."""
    return sorted(path.stem for path in PRESETS.glob("*.yaml"))


def shipped(name: str, **changes: Any) -> params.Params:
    """A preset's params, its network from scratch, some of its sections' keys replaced."""
    content = yaml.safe_load((PRESETS / f"{name}.yaml").read_text(encoding="utf-8"))["params"]
    backbone = content["train"]["backbone"]
    if "weights" in backbone:
        backbone["weights"] = {"kind": "scratch"}
    for section, keys in changes.items():
        content.setdefault(section, {}).update(keys)
    return material.shipped(**content)


def recipe(name: str, plan: Plan, **changes: Any) -> recipes.Recipe:
    """The part of :func:`shipped` that training sees; a rehearsal's has a small network on small photos."""
    if plan.tiny:
        scratch = {"kind": "timm", "name": "test_resnet", "weights": {"kind": "scratch"}}
        changes |= {
            "image": shipped(name).train.image.model_dump(mode="json") | {"size": [64, 64]},
            "backbone": scratch | {"options": {}, "pool": {"kind": "native"}},
            "batch_size": 8,
        }
    return material.recipe_of(shipped(name, train=changes))


def side(count: int, size: tuple[int, int]) -> Side:
    """Photos of noise with classes at random."""
    return train_loop.side(noise(count, size))


def noise(count: int, size: tuple[int, int]) -> Pixels:
    """(count, height, width, 3) by chance."""
    return np.random.default_rng(0).integers(0, 256, (count, *size, 3), dtype=np.uint8)


def told(error: BaseException) -> str:
    """An error in one short line."""
    return " ".join(str(error).split())[:200] or type(error).__name__


def peak() -> float | None:
    """Most memory of the GPU since the last call, GiB; None without one."""
    if not torch.cuda.is_available():
        return None
    found = torch.cuda.max_memory_allocated() / 2**30
    torch.cuda.reset_peak_memory_stats()
    return round(found, 2)


def root(plan: Plan) -> Path | None:
    """Folder of photos that was given."""
    return Path(plan.root).resolve() if plan.root else None
