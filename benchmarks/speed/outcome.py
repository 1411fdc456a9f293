"""What a measurement is asked for and what it tells."""

from __future__ import annotations

import sys
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

HERE: Final = Path(__file__).resolve().parents[2]
PROGRESS: Final = "-- "


@dataclass(frozen=True)
class Effort:
    """How much to measure.

    Attributes
    ----------
    photos
        Photos a side.
    rounds
        Turns of each side, or more; medians are taken over them.
    seconds
        How long the turns of one case go on where a turn takes less than a few seconds.
    heights
        Heights, in pixels, of the photos that networks are fed.
    models
        timm names of those networks.
    sizes
        Labelled photos at which growth is measured.
    """

    photos: int = 300
    rounds: int = 3
    seconds: float = 120.0
    heights: tuple[int, ...] = (96, 160, 224)
    models: tuple[str, ...] = ("test_vit", "test_resnet", "mobilenetv3_small_050")
    sizes: tuple[int, ...] = (1_000, 5_000, 19_000)


@dataclass(frozen=True)
class Outcome:
    """Result of one measurement.

    Attributes
    ----------
    ratio
        The figure that the target speaks of, of several cases the worst; None if nothing could be measured.
    holds
        Whether what must be equal on both sides (boxes, mattes) was.
    figures
        Everything else, by name, in JSON's types.
    note
        What a reader must know, in a sentence or two.
    """

    ratio: float | None
    holds: bool = True
    figures: dict[str, Any] = field(default_factory=dict)
    note: str = ""


def skipped(why: str) -> Outcome:
    """Nothing was measured."""
    return Outcome(None, note=f"skipped: {why}")


def tell(line: str) -> None:
    """Say how far a long measurement is; ``benchmarks.bench`` passes such lines on."""
    print(f"{PROGRESS}{line}", file=sys.stderr, flush=True)
