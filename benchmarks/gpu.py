"""What a GPU does with this project, all in one go and within eight minutes.

Run from the project's folder::

    python -m benchmarks.gpu --root ../shared/data/realfaces
    python -m benchmarks.gpu --device cpu --tiny

It needs no DVC, so it can be carried to a bare machine: ``docs/gpu.md`` lists what it does need. Each part runs in a
process of its own with a limit, and its figures go to ``benchmarks/gpu.json`` as soon as they are there; the table goes
to ``docs/gpu.md``. On a CPU this is a rehearsal, and writes only where it is told to.
"""

from __future__ import annotations

import argparse
import datetime
import importlib
import importlib.metadata
import importlib.util
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any, Final

import torch

from benchmarks.device.plan import Plan
from benchmarks.speed.outcome import HERE
from facemask.runtime import files, hardware

# Parts in the order of what matters most, and seconds that each may take.
PARTS: Final[Mapping[str, float]] = {
    "networks": 130,
    "loop": 110,
    "stages": 130,
    "answers": 50,
    "packages": 30,
}
# What a part may take beyond, before it is ended: it looks at the clock between cases only.
_GRACE: Final = 20.0
PACKAGES: Final = ("torch", "lightning", "timm", "numpy", "albumentations", "onnxruntime")
MARKS: Final = ("<!-- figures -->", "<!-- end of figures -->")
Results = dict[str, Any]


def main(arguments: Sequence[str] | None = None) -> None:
    """Run the parts and write both files."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.gpu", description=__doc__.splitlines()[0])
    parser.add_argument("--device", choices=("cuda", "cpu"), default="cuda")
    parser.add_argument(
        "--tiny", action="store_true", help="rehearse: one small case of each kind, one process"
    )
    parser.add_argument("--root", default="", help="photos in the contest's layout (default: drawn people)")
    parser.add_argument("--only", nargs="+", choices=PARTS, default=list(PARTS), metavar="PART")
    parser.add_argument("--results", type=Path, help="default benchmarks/gpu.json, on a CPU none")
    parser.add_argument("--page", type=Path, help="default docs/gpu.md, on a CPU none")
    parser.add_argument("--part", nargs=2, help=argparse.SUPPRESS)
    chosen = parser.parse_args(arguments)
    if chosen.part:
        name, content = chosen.part
        print(json.dumps(_measured(name, Plan(**json.loads(content)))))
        return
    gpu = chosen.device == "cuda"
    if not gpu:
        os.environ["CUDA_VISIBLE_DEVICES"] = ""
    if gpu and not torch.cuda.is_available():
        sys.exit("error: torch finds no GPU here; --device cpu --tiny rehearses without one")
    results = run(
        chosen.only,
        chosen.device,
        chosen.tiny,
        chosen.root,
        chosen.results or _default(gpu, "benchmarks/gpu.json"),
    )
    print("\n".join(lines(results)))
    if page := chosen.page or _default(gpu, "docs/gpu.md"):
        before, _, rest = page.read_text(encoding="utf-8").partition(MARKS[0])
        after = rest.partition(MARKS[1])[2]
        with files.replacing(page) as temporary:
            told = "\n".join([f"{before}{MARKS[0]}", *lines(results), f"{MARKS[1]}{after}"])
            temporary.write_text(told, encoding="utf-8")


def _default(gpu: bool, path: str) -> Path | None:
    return HERE / path if gpu else None


def run(parts: Sequence[str], device: str, tiny: bool, root: str, path: Path | None) -> Results:
    """Run ``parts``; what is there so far is always in ``path``."""
    results: Results = {"machine": machine(device), "tiny": tiny, "parts": {}}
    start = time.monotonic()
    for name in parts:
        print(f"== {name}", file=sys.stderr, flush=True)
        plan, began = Plan(device, tiny, 3600.0 if tiny else PARTS[name], root), time.monotonic()
        # A rehearsal saves the imports.
        found = _measured(name, plan) if tiny else _apart(name, plan)
        results["parts"][name] = found | {"seconds": round(time.monotonic() - began, 1)}
        results["seconds"] = round(time.monotonic() - start, 1)
        if path is not None:
            files.write_json(path, results)
    return results


def machine(device: str) -> dict[str, Any]:
    """Card, date and versions."""
    found: dict[str, Any] = {
        "date": datetime.date.today().isoformat(),
        "device": torch.cuda.get_device_name() if device == "cuda" else "CPU, a rehearsal",
        "machine": hardware.machine(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
        "dvc": importlib.util.find_spec("dvc") is not None,
    }
    if device == "cuda":
        about = torch.cuda.get_device_properties(0)
        found |= {"memory_gib": round(about.total_memory / 2**30, 1), "cuda": torch.version.cuda}
    return found


def _measured(name: str, plan: Plan) -> dict[str, Any]:
    found: dict[str, Any] = importlib.import_module(f"benchmarks.device.{name}").measure(plan)
    return found


def _apart(name: str, plan: Plan) -> dict[str, Any]:
    """Run a part in a process of its own, so that neither a crash nor a hang costs the others."""
    with tempfile.TemporaryFile("w+") as told:
        try:
            ended = subprocess.run(
                [sys.executable, "-m", "benchmarks.gpu", "--part", name, json.dumps(asdict(plan))],
                cwd=HERE,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=told,
                text=True,
                timeout=plan.seconds + _GRACE,
            )
        except subprocess.TimeoutExpired:
            return {"error": f"ended after {plan.seconds + _GRACE:g} s"}
        told.seek(0)
        if ended.returncode:
            return {"error": " ".join(told.read().split())[-300:]}
    found: dict[str, Any] = json.loads(ended.stdout.splitlines()[-1])
    return found


def lines(results: Results) -> Iterator[str]:
    """Markdown: the machine, then each part's figures as tables."""
    about = results["machine"]
    versions = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    yield ""
    yield f"{about['date']}, {about['device']}; {about['machine']}; {versions}. {results.get('seconds', 0):g} s in all."
    for name, part in results["parts"].items():
        yield from ("", f"### {name}, {part['seconds']:g} s", "")
        plain = {
            key: value for key, value in part.items() if not isinstance(value, Mapping) and key != "seconds"
        }
        yield from (f"- {key}: {value}" for key, value in plain.items() if value)
        tables = {key: value for key, value in part.items() if isinstance(value, Mapping)}
        for rows in tables.values() if all(map(_nested, tables.values())) else [tables]:
            yield from _table(rows)
    yield ""


def _nested(rows: Mapping[str, Any]) -> bool:
    return any(isinstance(value, Mapping) for value in rows.values())


def _table(rows: Mapping[str, Any]) -> Iterator[str]:
    """A row a case; columns are the figures that any of them has."""
    full = {name: row if isinstance(row, Mapping) else {"value": row} for name, row in rows.items()}
    columns = list(dict.fromkeys(column for row in full.values() for column in row))
    yield ""
    yield f"| | {' | '.join(column.replace('_', ' ') for column in columns)} |"
    yield "|---" * (len(columns) + 1) + "|"
    for name, row in full.items():
        cells = ("" if row.get(column) is None else str(row[column]).replace("|", "/") for column in columns)
        yield f"| {name.replace('_', ' ')} | {' | '.join(cells)} |"


if __name__ == "__main__":
    main()
