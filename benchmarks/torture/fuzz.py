"""Feed damaged input to the readers, each kind in a process of its own, and count what they do with it.

Case ``n`` of a kind is drawn from the seed, the kind and ``n`` alone, so that one can be repeated::

    python -m benchmarks.torture.fuzz "train.csv" 4711 4712 --seed 1
"""

from __future__ import annotations

import argparse
import faulthandler
import importlib
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
import traceback
import zlib
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import numpy as np

from benchmarks.speed.outcome import HERE

MODULES: Final = {
    name: module
    for module, names in {
        "text_inputs": (
            "train.csv", "tables of other programs", "label_fixes.csv", "tables between stages", "names of photos",
            "combiner.json and dvc.lock",
        ),
        "params_inputs": ("params.yaml, bytes", "params.yaml, values", "facemask set"),
        "binary_inputs": ("photos", "archives", "memo"),
        "network_inputs": (
            "trained folds", "pretrained weights", "checkpoints to resume", "ONNX backbones", "ONNX mattes",
        ),
    }.items()
    for name in names
}  # fmt: skip
# A single input may take so long on a busy machine; one that takes more hangs.
PATIENCE: Final = 60.0
# What a process may allocate beside what it maps: other programs share the machine.
ROOM: Final = 8 * 2**30


@dataclass
class Kind:
    """What became of the inputs of one kind; ``told`` holds the first failures."""

    inputs: int = 0
    read: int = 0
    refused: int = 0
    tracebacks: int = 0
    hangs: int = 0
    crashes: int = 0
    altered: int = 0
    grown_mib: int = 0
    slowest_seconds: float = 0.0
    told: list[str] = field(default_factory=list)


def count(kind: str) -> int:
    """How many inputs of a kind a full run takes."""
    return int(_parts(kind)[kind][1])


def _parts(kind: str) -> dict[str, Any]:
    found: dict[str, Any] = importlib.import_module(f"benchmarks.torture.{MODULES[kind]}").PARTS
    return found


def run(kind: str, inputs: int, seed: int) -> Kind:
    """Try some inputs of a kind; behind one that ends or stops the process, another process goes on."""
    whole, done = Kind(), 0
    with tempfile.TemporaryDirectory(prefix="facemask-fuzz-") as folder:
        while done < inputs:
            out = Path(folder) / f"{done}.jsonl"
            words = [kind, str(done), str(inputs), "--seed", str(seed), "--out", str(out)]
            environment = os.environ | {"TMPDIR": folder, "OMP_NUM_THREADS": "1"}
            with (Path(folder) / "said").open("wb") as said:
                process = subprocess.Popen(
                    [sys.executable, "-m", "benchmarks.torture.fuzz", *words],
                    cwd=HERE, env=environment, stdin=subprocess.DEVNULL, stdout=said, stderr=said,
                )  # fmt: skip
                hung = _watched(process, out)
            tried = _add(whole, out)
            if done + tried >= inputs:
                break
            said_last = (Path(folder) / "said").read_text(errors="replace")[-1500:]
            if not out.exists():
                raise RuntimeError(f"{kind}: cannot begin: {said_last}")
            whole.inputs += 1
            whole.hangs, whole.crashes = whole.hangs + hung, whole.crashes + (not hung)
            ended = "no end" if hung else f"ended with {process.returncode}"
            whole.told.append(f"{done + tried}: {ended}: {said_last[-300:]}")
            done += tried + 1
    return whole


def _watched(process: subprocess.Popen[bytes], out: Path) -> bool:
    """Wait for the end; True if there was none, so that it had to be killed."""
    size, since = -1, time.monotonic()
    while process.poll() is None:
        now = out.stat().st_size if out.exists() else -1
        if now != size or now < 0:
            size, since = now, time.monotonic()
        if time.monotonic() - since > PATIENCE:
            process.kill()
            process.wait()
            return True
        time.sleep(0.2)
    return False


def _add(whole: Kind, out: Path) -> int:
    """Add what a process has noted; how many inputs that were."""
    tried = 0
    for line in out.read_text().splitlines() if out.exists() else ():
        case = json.loads(line)
        if "begun" in case:
            continue
        tried += 1
        whole.inputs += 1
        setattr(whole, case["became"], getattr(whole, case["became"]) + 1)
        whole.slowest_seconds = max(whole.slowest_seconds, case["seconds"])
        whole.grown_mib = max(whole.grown_mib, case["grown_mib"])
        if case["told"] and len(whole.told) < 40:
            whole.told.append(f"{case['case']}: {case['told']}")
    return tried


def one(attempt: Any, kind: str, case: int, seed: int) -> tuple[str, str]:
    """Try one input: what became of it, and the failure if it is one."""
    from benchmarks.torture.text_inputs import Altered
    from facemask.pixels.codec import UnreadableImage
    from facemask.runtime.errors import UserError

    rng = np.random.default_rng([seed, zlib.crc32(kind.encode()), case])
    try:
        attempt(rng)
    except (UserError, UnreadableImage) as error:
        if "\n" in str(error) or len(str(error)) > 2000:
            return "tracebacks", f"not one line: {str(error)[:200]!r}"
        return "refused", ""
    except Altered as error:
        return "altered", str(error)[:300]
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-4:]
        where = " < ".join(f"{Path(part.filename).name}:{part.lineno}" for part in reversed(last))
        return "tracebacks", f"{type(error).__name__}: {' '.join(str(error).split())[:150]} ({where})"
    return "read", ""


def main() -> None:
    """Try the inputs of one kind from one number to another; note each as a line of JSON."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.torture.fuzz", description=__doc__)
    parser.add_argument("kind", choices=list(MODULES))
    parser.add_argument("first", type=int)
    parser.add_argument("end", type=int)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--out", type=Path)
    chosen = parser.parse_args()
    faulthandler.enable()
    resource.setrlimit(resource.RLIMIT_DATA, (ROOM, ROOM))
    with tempfile.TemporaryDirectory(prefix="facemask-fuzz-") as folder:
        attempt = _parts(chosen.kind)[chosen.kind][0](Path(folder))
        counts: Counter[str] = Counter()
        out = chosen.out.open("w", buffering=1) if chosen.out else sys.stdout
        print(json.dumps({"begun": chosen.first}), file=out)
        start = 0
        for case in range(chosen.first, chosen.end):
            begun = time.monotonic()
            became, told = one(attempt, chosen.kind, case, chosen.seed)
            seconds = time.monotonic() - begun
            # What the libraries take at their first use is no growth.
            start = start or resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
            grown = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - start) // 1024
            noted = {
                "case": case,
                "became": became,
                "seconds": round(seconds, 2),
                "grown_mib": grown,
                "told": told,
            }
            print(json.dumps(noted), file=out)
            counts[became] += 1
    print(dict(counts), file=sys.stderr)


if __name__ == "__main__":
    main()
