"""How fast is it? Each claim of speed as a ratio: the same photos, both sides in turn, medians of several rounds.

Run from the project's folder::

    python -m benchmarks.bench
    python -m benchmarks.bench --only infer_vs_model noop_repro_vs_dvc --photos 1000 --rounds 5
    python -m benchmarks.bench --quick

The figures go to ``benchmarks/results.json``, the table to ``docs/benchmarks.md``. What is not run this time keeps
its last result; every result carries its own date, machine and load, since another program on the same cores
spoils a measurement.
"""

from __future__ import annotations

import argparse
import datetime
import importlib.metadata
import json
import os
import platform
import subprocess
import sys
import tempfile
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import Any, Final, NamedTuple

from benchmarks.speed.outcome import HERE, PROGRESS, Effort, Outcome
from facemask.runtime import files, hardware

PACKAGES: Final = (
    "torch",
    "timm",
    "lightning",
    "facenet-pytorch",
    "rembg",
    "onnxruntime",
    "dvc",
    "numpy",
    "pillow",
)
Results = dict[str, dict[str, Any]]


class Measurement(NamedTuple):
    """What is compared, in words; the ratio wanted, and whether more is better; the module that measures it."""

    title: str
    target: float
    at_least: bool
    module: str

    def met(self, ratio: float) -> bool:
        """Whether a ratio reaches the target."""
        return ratio >= self.target if self.at_least else ratio <= self.target

    def wanted(self) -> str:
        """The target as a reader writes it."""
        return f"{'≥' if self.at_least else '≤'} {self.target:g}"


MEASUREMENTS: Final[Mapping[str, Measurement]] = {
    "face_crop_vs_facenet": Measurement(
        "finding faces, photos/s, against facenet-pytorch's `MTCNN.detect`", 4, True, "face_crop"
    ),
    "background_removal_vs_rembg": Measurement(
        "mattes, photos/s on all cores, against `rembg.remove`", 2, True, "background_removal"
    ),
    "one_percent_more": Measurement(
        "`face_crop` after 1 % more photos, as a share of the whole run", 0.02, False, "one_percent_more"
    ),
    "train_loop_vs_constant_batch": Measurement(
        "training loop, images/s, against the same loop fed one constant batch", 0.95, True, "train_loop"
    ),
    "train_vs_plain_script": Measurement(
        "training, images/s over 10 epochs, against a plain PyTorch script", 2, True, "plain_script"
    ),
    "noop_repro_vs_dvc": Measurement(
        "`dvc repro` with nothing to do, seconds, against as large an empty project", 1.25, False, "noop"
    ),
    "infer_vs_model": Measurement(
        "answering photos, photos/s, against the network on photos in memory", 0.95, True, "infer"
    ),
    "features_vs_onnxruntime": Measurement(
        "features of a frozen ONNX network, photos/s on all cores, against onnxruntime's loop over single photos",
        2,
        True,
        "features",
    ),
    "predict_vs_stages": Measurement(
        "photos of one's own to answers, photos/s, against what face_crop and infer do for as many",
        0.9,
        True,
        "predict",
    ),
    "serve_16_clients": Measurement(
        "the server under 16 clients, photos/s, against one client at a time", 2, True, "serve"
    ),
    "growth_exponent": Measurement(
        "stages' time over the number of photos: the worst exponent, 1 being linear", 1.1, False, "growth"
    ),
    "dvc_scale": Measurement(
        "DVC with the contest's number of files, seconds, the project's settings against DVC's defaults",
        1,
        False,
        "dvc_scale",
    ),
}


def main() -> None:
    """Measure what is asked for and write both files."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.bench", description=__doc__.splitlines()[0])
    parser.add_argument("--only", nargs="+", metavar="KEY", default=list(MEASUREMENTS), help="these alone")
    parser.add_argument("--photos", type=int, help="photos a side (default 300)")
    parser.add_argument("--rounds", type=int, help="turns of each side, or more (default 3)")
    parser.add_argument(
        "--sizes",
        nargs="+",
        type=int,
        help="labelled photos at which growth is measured (default 1000 5000 19000)",
    )
    parser.add_argument("--quick", action="store_true", help="a look in a few minutes: 64 photos, one round")
    parser.add_argument("--results", type=Path, default=HERE / "benchmarks" / "results.json")
    parser.add_argument("--page", type=Path, default=HERE / "docs" / "benchmarks.md")
    chosen = parser.parse_args()
    if unknown := [key for key in chosen.only if key not in MEASUREMENTS]:
        sys.exit(f"error: no measurement {unknown[0]!r}; there are {', '.join(MEASUREMENTS)}")
    effort = Effort(photos=64, rounds=1, seconds=2.0, sizes=(140, 350, 700)) if chosen.quick else Effort()
    sizes = tuple(chosen.sizes) if chosen.sizes else None
    given = {"photos": chosen.photos, "rounds": chosen.rounds, "sizes": sizes}
    effort = replace(effort, **{name: value for name, value in given.items() if value is not None})
    if effort.photos < 32 or effort.rounds < 1:
        sys.exit("error: at least 32 photos and 1 round are needed")
    results = run(chosen.only, effort, chosen.results, apart)
    with files.replacing(chosen.page) as temporary:
        temporary.write_text(page(results))
    print(table(results))


def run(
    keys: Sequence[str], effort: Effort, path: Path, measure: Callable[[str, Effort], Outcome]
) -> Results:
    """Measure ``keys`` and put each result into ``path`` as soon as it is there; others in that file stay."""
    results: Results = json.loads(path.read_text()) if path.exists() else {}
    for key in keys:
        print(f"== {key}", file=sys.stderr, flush=True)
        around = surroundings()
        results[key] = _told(MEASUREMENTS[key], measure(key, effort)) | {
            "effort": {name: list(v) if isinstance(v, tuple) else v for name, v in asdict(effort).items()},
            "surroundings": around,
        }
        order = [*MEASUREMENTS, *sorted(set(results) - set(MEASUREMENTS))]
        results = {known: results[known] for known in order if known in results}
        files.write_json(path, results)
    return results


def apart(key: str, effort: Effort) -> Outcome:
    """Measure in a process of its own: threads, imports and caches of one measurement change no other.

    A process of :mod:`multiprocessing` would not do: an epoch with a ``DataLoader`` worker was seen to take ten seconds
    longer in one.

    Raises
    ------
    RuntimeError
        If the measurement fails; holds the end of what it told.
    """
    with tempfile.TemporaryDirectory(prefix="facemask-bench-") as folder:
        out = Path(folder) / "outcome.json"
        module = MEASUREMENTS[key].module
        started = subprocess.Popen(
            [sys.executable, "-m", "benchmarks.speed", module, json.dumps(asdict(effort)), str(out)],
            cwd=HERE,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        told: deque[str] = deque(maxlen=40)
        with started:
            for line in started.stderr or ():
                told.append(line)
                if line.startswith(PROGRESS):
                    print(line, end="", file=sys.stderr, flush=True)
        if started.returncode:
            raise RuntimeError(f"{key} failed:\n{''.join(told)[-3000:]}")
        return Outcome(**json.loads(out.read_text()))


def _told(measurement: Measurement, outcome: Outcome) -> dict[str, Any]:
    met = None if outcome.ratio is None else measurement.met(outcome.ratio) and outcome.holds
    return {
        "ratio": None if outcome.ratio is None else round(outcome.ratio, 4),
        "target": measurement.wanted(),
        "met": met,
        "same_results": outcome.holds,
        "figures": outcome.figures,
        "note": outcome.note,
    }


def surroundings() -> dict[str, Any]:
    """Date, machine, versions and how busy the machine is with other work: mean runnable processes of a minute."""
    return {
        "date": datetime.date.today().isoformat(),
        "cpu": _cpu(),
        "cores": hardware.cores(),
        "omp_num_threads": os.environ.get("OMP_NUM_THREADS", "unset"),
        "load": round(os.getloadavg()[0], 2),
        "python": platform.python_version(),
        "versions": {name: importlib.metadata.version(name) for name in PACKAGES},
    }


def _cpu() -> str:
    listed = Path("/proc/cpuinfo")
    lines = listed.read_text().splitlines() if listed.exists() else []
    names = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return names[0] if names else platform.processor() or platform.machine()


def table(results: Results) -> str:
    """Markdown table, one measurement a row."""
    lines = [
        "| measured | key | ratio | target | reached | photos × rounds | load |",
        "|---|---|---|---|---|---|---|",
    ]
    for key, result in results.items():
        if key not in MEASUREMENTS:
            continue
        ratio = "–" if result["ratio"] is None else f"{result['ratio']:.3g}"
        reached = {True: "yes", False: "**no**", None: "not measured"}[result["met"]]
        if not result["same_results"]:
            reached += ", results differ"
        size = f"{result['effort']['photos']} × {result['effort']['rounds']}"
        load = f"{result['surroundings']['load']:g}"
        lines.append(
            f"| {MEASUREMENTS[key].title} | `{key}` | {ratio} | {result['target']} | {reached} | {size} | {load} |"
        )
    return "\n".join(lines)


def page(results: Results) -> str:
    """``docs/benchmarks.md``: the table, then each measurement's own figures."""
    shown = {key: results[key] for key in MEASUREMENTS if key in results}
    parts = [HEAD, table(results), "", "## Machines", ""]
    for about in dict.fromkeys(_about(result["surroundings"]) for result in shown.values()):
        parts.append(f"- {about}")
    parts.append("")
    for key, result in shown.items():
        parts += [f"## {key}", ""]
        if result["note"]:
            parts += [f"{result['note'][0].upper()}{result['note'][1:]}.", ""]
        plain = {name: figure for name, figure in result["figures"].items() if not name.startswith("by_")}
        for name in result["figures"].keys() - plain.keys():
            parts += [*_columns(name, result["figures"][name]), ""]
        rows = list(_flat(plain))
        if rows:
            parts += [
                "| figure | value |",
                "|---|---|",
                *(f"| {name} | {value} |" for name, value in rows),
                "",
            ]
    return "\n".join(parts).rstrip() + "\n"


def _columns(name: str, figures: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """A figure called ``by_<what>`` as a table, one line each, its columns alike."""
    columns = list(next(iter(figures.values())))
    return [
        f"| {name.removeprefix('by_')} | {' | '.join(column.replace('_', ' ') for column in columns)} |",
        "|---" * (len(columns) + 1) + "|",
        *(
            f"| {row} | {' | '.join('–' if v is None else str(v) for v in values.values())} |"
            for row, values in figures.items()
        ),
    ]


def _about(found: Mapping[str, Any]) -> str:
    versions = ", ".join(f"{name} {version}" for name, version in found["versions"].items())
    threads = f"OMP_NUM_THREADS {found['omp_num_threads']}"
    return f"{found['date']}: {found['cpu']}, {found['cores']} cores, {threads}; Python {found['python']}, {versions}"


def _flat(figures: Mapping[str, Any], prefix: str = "") -> list[tuple[str, str]]:
    """Nested figures as rows, names joined by dots."""
    rows: list[tuple[str, str]] = []
    for name, value in figures.items():
        if isinstance(value, Mapping):
            rows += _flat(value, f"{prefix}{name}.")
        else:
            text = " to ".join(map(str, value)) if isinstance(value, list) else str(value)
            rows.append((f"{prefix}{name}", text.replace("|", "\\|")))
    return rows


HEAD = """\
# How fast is it?

Written by `make bench` (`python -m benchmarks.bench`); the same figures, for programs, are in
`benchmarks/results.json`. Each ratio comes from the same photos on both sides, the sides in turn, and is the median of
several rounds' quotients; where a measurement has several cases, the table shows the worst. Other work on the same
cores spoils a measurement: *load* is the number of runnable processes just before it, and results are to be trusted
where it is well below the number of cores.
"""

if __name__ == "__main__":
    main()
