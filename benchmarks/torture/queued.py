"""Many experiments through DVC's queue with two workers: none may be lost, and nothing may grow with their number.

Each experiment changes one value, ``evaluate.bootstrap``, and so runs what depends on it. Afterwards every experiment
has to be there under its own value, with the scores that a run by hand gives, and no process or file beside them.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

import psutil  # type: ignore[import-untyped]
import yaml

from benchmarks.torture import project
from benchmarks.torture.runs import PATIENCE

WORKERS: Final = 2
# The first value; each experiment has the next one.
FIRST: Final = 21
SCORES: Final = "metrics/oof.json"
_EVERY: Final = 3.0
_MIB: Final = 2**20


@dataclass
class Counts:
    """What became of the experiments.

    Attributes
    ----------
    lost, wrong
        Experiments that are not there, or whose scores a run by hand does not give.
    left_over_files
        In ``TMPDIR`` and in the folders in which DVC runs experiments.
    worker_mib
        Memory of DVC's workers, their stages left out: the median over the first and over the last quarter of the time.
    peak_mib
        Of all processes at once.
    disk_kib
        What one experiment adds to the repository, DVC's cache and its notes.
    """

    experiments: int
    lost: int = 0
    wrong: int = 0
    left_over_processes: int = 0
    left_over_files: int = 0
    minutes: float = 0.0
    worker_mib: list[int] = field(default_factory=list)
    peak_mib: int = 0
    disk_kib: int = 0
    told: list[str] = field(default_factory=list)


def run(work: Path, experiments: int) -> Counts:
    """Queue that many experiments in a copy of the project, let two workers run them, and count.

    Raises
    ------
    RuntimeError
        If a command fails, or the queue does not end.
    """
    folder = project.create(work / "queue")
    _typed(folder, "dvc", "repro")
    _typed(folder, "git", "add", "--all")
    _typed(folder, "git", "commit", "-q", "-m", "run")
    files, disk, begun = _names(folder), _bytes(folder), time.monotonic()
    values = range(FIRST, FIRST + experiments)
    names = [f"try-{value}" for value in values]
    for name, value in zip(names, values, strict=True):
        _typed(folder, "dvc", "exp", "run", "--queue", "-n", name, "-S", f"evaluate.bootstrap={value}")
    # Workers keep the streams of whoever starts them, and so a pipe would not end before they do.
    start = ["dvc", "queue", "start", "-j", str(WORKERS)]
    none, around = subprocess.DEVNULL, project.environment(folder)
    subprocess.run(start, cwd=folder, env=around, stdin=none, stdout=none, stderr=none, check=True)
    counts = Counts(experiments)
    _watch(folder, counts)
    counts.minutes = round((time.monotonic() - begun) / 60, 1)
    _compare(folder, dict(zip(names, values, strict=True)), counts)
    left = project.inside(folder)
    counts.left_over_processes = len(left)
    counts.told += [f"left over: {' '.join(process.cmdline())}" for process in left]
    counts.disk_kib = round((_bytes(folder) - disk) / experiments / 1024)
    more = sorted(_names(folder) - files)
    counts.left_over_files = len(more)
    counts.told += [f"left over: {name}" for name in more[:20]]
    _by_hand(
        folder, {names[place]: values[place] for place in {0, experiments // 2, experiments - 1}}, counts
    )
    return counts


def _typed(folder: Path, *command: str) -> str:
    done = project.run(folder, *command, limit=PATIENCE)
    if done.returncode:
        raise RuntimeError(f"{' '.join(command)} in {folder}: {done.stdout[-2000:]}")
    return done.stdout


def _watch(folder: Path, counts: Counts) -> None:
    """Wait until the workers have gone; how much memory they take meanwhile."""
    workers: list[int] = []
    end = time.monotonic() + counts.experiments * PATIENCE
    while found := project.inside(folder):
        if time.monotonic() > end:
            raise RuntimeError(f"the queue in {folder} does not end")
        sizes = {}
        for process in found:
            try:
                sizes[process.pid] = "queue-worker" in process.cmdline(), process.memory_info().rss
            except psutil.Error:
                continue
        counts.peak_mib = max(counts.peak_mib, sum(size for _, size in sizes.values()) // _MIB)
        workers += [size // _MIB for works, size in sizes.values() if works]
        time.sleep(_EVERY)
    quarter = max(1, len(workers) // 4)
    # Workers that went before the first look count as nothing.
    parts = (workers[:quarter] or [0], workers[-quarter:] or [0])
    counts.worker_mib = [sorted(part)[len(part) // 2] for part in parts]


def _compare(folder: Path, wanted: dict[str, int], counts: Counts) -> None:
    """Whether each experiment is there, under its own value."""
    there = set(_typed(folder, "dvc", "exp", "list", "--name-only").split())
    for name, value in wanted.items():
        if name not in there:
            counts.lost += 1
            counts.told.append(f"lost: {name}")
            continue
        lock = yaml.safe_load(_of(folder, name, "dvc.lock"))["stages"]["evaluate"]
        if lock["params"]["params.yaml"]["evaluate"]["bootstrap"] != value:
            counts.wrong += 1
            counts.told.append(f"{name}: another value")


def _by_hand(folder: Path, wanted: dict[str, int], counts: Counts) -> None:
    """Compare scores with those of a run of the same value that takes nothing from a cache of runs."""
    for name, value in wanted.items():
        queued: dict[str, Any] = json.loads(_of(folder, name, SCORES))
        text = (folder / "params.yaml").read_text()
        (folder / "params.yaml").write_text(re.sub(r"(?m)^  bootstrap: \d+$", f"  bootstrap: {value}", text))
        _typed(folder, "dvc", "repro", "--no-run-cache", "evaluate")
        if json.loads((folder / SCORES).read_text()) != queued:
            counts.wrong += 1
            counts.told.append(f"{name}: other scores than by hand")


def _of(folder: Path, name: str, path: str) -> str:
    """A file as an experiment has it."""
    (ref,) = _typed(folder, "git", "for-each-ref", "--format=%(refname)", f"refs/exps/*/*/{name}").split()
    return _typed(folder, "git", "show", f"{ref}:{path}")


def _names(folder: Path) -> set[str]:
    """Files that a finished experiment has no more use for, if there are any."""
    tmp, runs = folder.with_name(f"{folder.name}.tmp"), folder / ".dvc" / "tmp" / "exps"
    found = {f"TMPDIR/{path.name}" for path in tmp.iterdir()}
    return found | {f"{runs.name}/{path.name}" for path in runs.glob("tmp*")}


def _bytes(folder: Path) -> int:
    return sum(path.lstat().st_size for path in folder.rglob("*") if path.is_file() and not path.is_symlink())
