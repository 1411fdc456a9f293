"""What a million photos would cost: hours of cores, money, memory and disk, reckoned from the measured growth.

The table stands in ``docs/scale.md`` between two marks, the first of which holds what it is reckoned with::

    <!-- million: price=0.04 epochs=30 folds=5 -->
    <!-- end of million -->

Change a number there and run ``python -m benchmarks.million``; ``python -m benchmarks.bench`` does so too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Final

from benchmarks.speed.outcome import HERE
from facemask.runtime import files

PHOTOS: Final = 1_000_000
LABELLED: Final = 600_000
_MARKED: Final = re.compile(
    r"(<!-- million: price=(?P<price>[0-9.]+) epochs=(?P<epochs>[0-9]+) folds=(?P<folds>[0-9]+) -->\n)"
    r".*?(?=<!-- end of million -->)",
    re.DOTALL,
)
_WHAT: Final = {
    "photos": "the photos themselves",
    "face_crop": "`data/face_crop` (crops.zip)",
    "background_removal": "`data/background_removal` (mattes.zip)",
    "memo": "memo of the networks' results (bounded, see docs/params.md)",
    "tables": "tables",
    "decoded_store": "training's decoded store, while it runs",
}


@dataclass(frozen=True)
class Terms:
    """What is reckoned with.

    Attributes
    ----------
    price
        Of one core for one hour, in any currency.
    epochs
        Passes over the training photos.
    folds
        Networks trained.
    """

    price: float
    epochs: int
    folds: int


@dataclass(frozen=True)
class Need:
    """What one stage would take: seconds on cores, and MiB of its own memory."""

    seconds: float
    memory: float


def need(row: Mapping[str, float | None], sizes: list[int], labelled: int = LABELLED) -> Need:
    """Carry one stage's measured growth on to ``labelled`` photos.

    Seconds on cores beyond the smallest size's grow with the measured exponent, or linearly where that is below 1;
    memory grows on as it did between the first size after the smallest and the largest.

    Parameters
    ----------
    row
        The stage's figures: ``cpu_s_<size>``, ``own_mib_<size>``, ``exponent_cpu``.
    sizes
        Labelled photos at each size, at least three, rising.
    """
    start, first, last = sizes[0], sizes[1], sizes[-1]
    slope = max(1.0, row["exponent_cpu"] or 1.0)
    base, most = _number(row, f"cpu_s_{start}"), _number(row, f"cpu_s_{last}")
    seconds = base + max(0.0, most - base) * ((labelled - start) / (last - start)) ** slope
    small, large = _number(row, f"own_mib_{first}"), _number(row, f"own_mib_{last}")
    return Need(seconds, large + max(0.0, large - small) * (labelled - last) / (last - first))


def table(figures: Mapping[str, Any], terms: Terms) -> str:
    """Both tables, of time and of disk, and what they come from."""
    sizes = figures["labelled_photos"]
    needs = {stage: need(row, sizes) for stage, row in figures["by_stage"].items()}
    lines = [
        f"Reckoned from {sizes[-1]:,} labelled photos ({figures['faces']}; {figures['matting']}; "
        f"{figures['network']}) on {figures['processes']} cores, at {terms.price:g} a core-hour:",
        "",
        "| stage | core-hours | cost | memory, GiB |",
        "|---|---|---|---|",
    ]
    total = 0.0
    for stage, one in needs.items():
        seconds, name = one.seconds, f"`{stage}`"
        if stage == "train":
            more = figures["epoch_cpu_ms_per_labelled_photo"] / 1000 * LABELLED
            seconds = terms.folds * (seconds + (terms.epochs - 1) * max(0.0, more))
            name += f", {terms.folds} folds of {terms.epochs} epochs"
        total += seconds
        lines.append(f"| {name} | {_hours(seconds, terms)} | {one.memory / 1024:.1f} |")
    lines += [f"| all | {_hours(total, terms)} | |", "", "| on disk | GB |", "|---|---|"]
    for name, size in figures["bytes_per_photo"].items():
        many = LABELLED if name == "decoded_store" else PHOTOS
        lines.append(f"| {_WHAT[name]} | {size * many / 1e9:.1f} |")
    return "\n".join(lines)


def filled(page: str, result: Mapping[str, Any] | None) -> str:
    """Write the table into the page.

    Parameters
    ----------
    result
        Of the measurement ``growth_exponent``; None if it has not been run.

    Raises
    ------
    ValueError
        If the page has no marks to write between.
    """
    found = _MARKED.search(page)
    if found is None:
        raise ValueError("docs/scale.md: its marks '<!-- million: price=... -->' and their end are gone")
    terms = Terms(float(found["price"]), int(found["epochs"]), int(found["folds"]))
    if result is None or "by_stage" not in result["figures"]:
        text = "Not measured yet: `python -m benchmarks.bench --only growth_exponent` fills this in."
    else:
        around = result["surroundings"]
        text = table(result["figures"], terms)
        text += f"\n\nMeasured {around['date']} on {around['cpu']}, load {around['load']:g} before it."
    return page[: found.end(1)] + text + "\n" + page[found.end() :]


def main() -> None:
    """Rewrite the table in ``docs/scale.md`` from ``benchmarks/results.json``."""
    path = HERE / "docs" / "scale.md"
    results = json.loads((HERE / "benchmarks" / "results.json").read_text())
    text = filled(path.read_text(), results.get("growth_exponent"))
    with files.replacing(path) as temporary:
        temporary.write_text(text)


def _hours(seconds: float, terms: Terms) -> str:
    hours = seconds / 3600
    return f"{hours:,.2f} | {hours * terms.price:,.2f}"


def _number(row: Mapping[str, float | None], name: str) -> float:
    value = row[name]
    assert value is not None
    return value


if __name__ == "__main__":
    main()
