"""A comparison for a terminal."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from facemask.comparison.changes import Flip
from facemask.comparison.comparison import LABELS, Comparison
from facemask.comparison.paired import Difference

WIDTH = 110
FEW_FLIPS = 10


def render(found: Comparison) -> str:
    """Lay a comparison out, in colour where standard output is a terminal."""
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    with console.capture() as captured:
        console.print(Text(f"{found.after} against {found.first}", "bold"), soft_wrap=True)
        console.print(
            f"{found.part}, {found.photos:,} photos of {found.people:,} people that both scored", markup=False
        )
        console.print()
        for sentence in found.sentences:
            console.print(Text(sentence), soft_wrap=True)
        console.print(_table(found))
        for line in _lines(found):
            console.print(Text(line), soft_wrap=True)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def verdict(one: Difference, name: str) -> str:
    """``better`` or ``worse`` where a score differs by more than chance, ``within chance`` where it does not."""
    if np.isnan(one.low):
        return "few people"
    if not one.value:
        return "the same"
    if not one.beyond_chance:
        return "within chance"
    return "better" if (one.value > 0) != (name == "log_loss") else "worse"


def _table(found: Comparison) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    heads = ["", "before", "after", "difference", "interval", ""]
    spread = len(found.second) > 1
    if spread:
        heads.insert(4, "spread over seeds")
    for place, head in enumerate(heads):
        table.add_column(head, justify="left" if place in (0, len(heads) - 1) else "right")
    rows = [(label, found.scores[key], key) for key, label in LABELS.items()]
    rows += [(f"{name} ({one.people} people)", one, "f1") for name, one in found.moved.items()]
    for label, one, key in rows:
        cells = [label, f"{one.before:.3f}", f"{one.after:.3f}", f"{one.value:+.3f}"]
        cells += [f"{one.spread:.3f}"] if spread else []
        table.add_row(*map(Text, [*cells, f"{one.low:+.3f} to {one.high:+.3f}", verdict(one, key)]))
    return table


def _lines(found: Comparison) -> Iterator[str]:
    yield found.coverage
    yield from found.notes
    if found.still:
        yield found.still
    yield from _flipped(found.flips)
    if found.knobs:
        yield "Params that differ:"
    for knob in found.knobs:
        yield f"  {knob.key}: {knob.before} -> {knob.after}"
    if not found.knobs:
        yield "The params are the same."
    if found.code:
        more = " ..." if len(found.code) > 5 else ""
        yield f"{len(found.code)} files of code differ: {', '.join(found.code[:5])}{more}"


def _flipped(flips: Sequence[Flip]) -> Iterator[str]:
    worse = [flip for flip in flips if not flip.better]
    yield f"{len(worse)} photos became wrong, {len(flips) - len(worse)} became right"
    for flip in worse[:FEW_FLIPS]:
        yield f"  {flip.photo}: {flip.truth}, answered {flip.after} ({flip.sure:.0%})"
    if len(worse) > FEW_FLIPS:
        yield f"  and {len(worse) - FEW_FLIPS} more: --json lists all, --html FILE shows them"
