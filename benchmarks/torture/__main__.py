"""Kill the pipeline and feed it damaged input, count what comes of it, and write the counts down.

Run from the project's folder::

    python -m benchmarks.torture
    python -m benchmarks.torture fuzz --only "train.csv" memo --share 0.1
    python -m benchmarks.torture kills --kills 30
    python -m benchmarks.torture queue --experiments 10

The counts go to ``docs/reliability.json``, the tables into ``docs/reliability.md``. What is not run this time keeps its
last counts; all carry their own date, machine and seed.
"""

from __future__ import annotations

import argparse
import datetime
import json
import sys
import tempfile
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

from benchmarks.bench import surroundings
from benchmarks.speed.outcome import HERE
from benchmarks.torture import fuzz, kills, queued
from facemask.runtime import files

JSON: Final = HERE / "docs" / "reliability.json"
PAGE: Final = HERE / "docs" / "reliability.md"
MARKS: Final = ("<!-- written by make torture -->\n", "<!-- end -->\n")
PARTS: Final = ("fuzz", "queue", "kills")
# Counts that have to be nothing.
FAULTS: Final = ("stuck", "different_files", "left_over_files", "left_over_processes")
FAILED: Final = ("lost", "wrong", "left_over_files", "left_over_processes")
WRONG: Final = ("tracebacks", "hangs", "crashes", "altered")


def main() -> None:
    """Run what is asked for; end with code 1 if anything was found."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.torture", description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", help=f"{', '.join(PARTS)}; all by default")
    parser.add_argument("--kills", type=int, default=100, help="SIGKILLs beside those at dvc.lock (100)")
    parser.add_argument("--experiments", type=int, default=100, help="through the queue (100)")
    parser.add_argument(
        "--only", nargs="+", metavar="KIND", default=list(fuzz.MODULES), help="kinds of input"
    )
    parser.add_argument("--share", type=float, default=1.0, help="of the inputs of a full run (1)")
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--work", type=Path, help="folder for copies and logs; kept if named")
    chosen = parser.parse_args()
    if unknown := sorted({*chosen.what} - {*PARTS} | ({*chosen.only} - {*fuzz.MODULES})):
        sys.exit(
            f"error: no {unknown[0]!r}; there are {', '.join(PARTS)}, and the kinds {', '.join(fuzz.MODULES)}"
        )
    found: dict[str, Any] = json.loads(JSON.read_text()) if JSON.exists() else {}
    what = chosen.what or PARTS
    if "fuzz" in what:
        for kind in chosen.only:
            print(f"== {kind}", file=sys.stderr, flush=True)
            read = fuzz.run(kind, max(1, round(fuzz.count(kind) * chosen.share)), chosen.seed)
            _put(found, ("fuzz", kind), asdict(read), chosen.seed)
    with tempfile.TemporaryDirectory(prefix="facemask-torture-") as folder:
        work = chosen.work or Path(folder)
        work.mkdir(parents=True, exist_ok=True)
        if "queue" in what:
            became = queued.run(work, chosen.experiments)
            _put(found, ("queue",), asdict(became), chosen.seed)
        if "kills" in what:
            kills.run(
                work, chosen.kills, chosen.seed, lambda now: _put(found, ("kills",), asdict(now), chosen.seed)
            )
    print(tables(found))
    if wrong := [*_wrong(found)]:
        sys.exit(f"error: {wrong[0]}; {JSON.relative_to(HERE)} says more")


def _put(found: dict[str, Any], place: tuple[str, ...], counts: dict[str, Any], seed: int) -> None:
    """Write counts to their place in the file, and the page anew."""
    around = surroundings()
    about = {
        "seed": seed,
        "date": datetime.date.today().isoformat(),
        "cpu": around["cpu"],
        "cores": around["cores"],
    }
    *parents, last = place
    inner = found
    for name in parents:
        inner = inner.setdefault(name, {})
    inner[last] = about | counts
    files.write_json(JSON, found)
    with files.replacing(PAGE) as temporary:
        temporary.write_text(page(PAGE.read_text(encoding="utf-8"), found), encoding="utf-8")


def page(text: str, found: dict[str, Any]) -> str:
    """The page with its tables as they are in ``found``."""
    before, _, rest = text.partition(MARKS[0])
    _, _, after = rest.partition(MARKS[1])
    return f"{before}{MARKS[0]}{tables(found)}{MARKS[1]}{after}"


def tables(found: dict[str, Any]) -> str:
    """Markdown of what was counted."""
    lines: list[str] = []
    if counts := found.get("kills"):
        lines += ["| sent | times |", "|---|---|"]
        lines += [f"| {WORDS.get(name, name)} | {times} |" for name, times in counts["by_moment"].items()]
        lines += ["", _about(counts), "", "| after them | count |", "|---|---|"]
        lines += [f"| {name.replace('_', ' ')} | {counts[name]} |" for name in FAULTS]
        lines += [
            f"| {name.replace('_', ' ')} | {counts[name]} |"
            for name in ("damaged_locks_mended", "resumed_trainings")
        ]
        lines.append("")
    if counts := found.get("queue"):
        first, last = counts["worker_mib"]
        lines += ["| experiments through a queue with two workers | |", "|---|---|"]
        lines += [
            f"| {name.replace('_', ' ')} | {counts[name]} |" for name in ("experiments", *FAILED, "minutes")
        ]
        lines += [
            f"| memory of a worker, first and last quarter, MiB | {first}, {last} |",
            f"| memory of all at most, MiB | {counts['peak_mib']} |",
            f"| disk an experiment, KiB | {counts['disk_kib']} |",
            "",
            _about(counts),
            "",
        ]
    if kinds := found.get("fuzz"):
        lines += [
            f"| input | inputs | read | refused in one line | {' | '.join(WRONG)} | memory grew by, MiB | slowest, s |"
        ]
        lines += ["|---" * (6 + len(WRONG)) + "|"]
        for kind, counts in kinds.items():
            shown = [
                counts[name] for name in ("inputs", "read", "refused", *WRONG, "grown_mib", "slowest_seconds")
            ]
            lines.append(f"| {kind} | {' | '.join(map(str, shown))} |")
        sums = [
            sum(counts[name] for counts in kinds.values()) for name in ("inputs", "read", "refused", *WRONG)
        ]
        lines += [
            f"| all | {' | '.join(map(str, sums))} | | |",
            "",
            *dict.fromkeys(map(_about, kinds.values())),
            "",
        ]
    return "\n".join(["", *lines]) if lines else ""


def _about(counts: dict[str, Any]) -> str:
    return f"{counts['date']}, seed {counts['seed']}, {counts['cores']} cores of {counts['cpu']}."


def _wrong(found: dict[str, Any]) -> list[str]:
    bad = [
        f"{part}: {name} {found[part][name]}"
        for part, names in (("kills", FAULTS), ("queue", FAILED))
        for name in names
        if found.get(part, {}).get(name)
    ]
    return bad + [
        f"{kind}: {name} {counts[name]}"
        for kind, counts in found.get("fuzz", {}).items()
        for name in WRONG
        if counts[name]
    ]


WORDS: Final = {
    "start-up": "SIGKILL while DVC starts",
    "begin": "SIGKILL as a stage begins",
    "middle": "SIGKILL in the middle of a stage",
    "epoch": "SIGKILL after an epoch",
    "commit": "SIGKILL in DVC's commit",
    "lock": "SIGKILL while dvc.lock is written",
}

if __name__ == "__main__":
    main()
