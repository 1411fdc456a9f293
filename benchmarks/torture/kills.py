"""Kill the pipeline at every stage, go on, and compare what comes out with an undisturbed run.

A chain is one run from a fresh copy to its end, cut as often as it has points. Each cut is followed by what people type
again (``make repro``: repair, then DVC). At its end every byte and every name of a file has to be that of the
undisturbed run, and no process may be left.
"""

from __future__ import annotations

import random
import re
import shutil
import signal
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import yaml

from benchmarks.torture import project
from benchmarks.torture.runs import AIM, PATIENCE, SOON, STAGES, Point, Run, ended_at, points, reached
from facemask.runtime import files

# Where SIGKILL is sent to the group; "lock" beside these is a moment of its own.
MOMENTS: Final = ("start-up", "begin", "middle", "epoch", "commit")
LOCK: Final = "dvc.lock"
# A chain that ends here costs a fraction of a whole one.
EARLY: Final = "build_manifest"


@dataclass
class Counts:
    """What came out of some chains."""

    by_moment: dict[str, int] = field(default_factory=dict)
    chains: int = 0
    stuck: int = 0
    different_files: int = 0
    left_over_files: int = 0
    left_over_processes: int = 0
    damaged_locks_mended: int = 0
    resumed_trainings: int = 0
    told: list[str] = field(default_factory=list)


class Torture:
    """Chains of kills, compared with one undisturbed run.

    Parameters
    ----------
    work
        Folder for copies and logs; the undisturbed run in it is used again.
    seed
        Of the moments.
    note
        Called after each cut and each chain.
    """

    def __init__(self, work: Path, seed: int, note: Callable[[Counts], None]) -> None:
        self._work, self._seed, self._note = work, seed, note
        # Whoever is started in the background ignores Ctrl-C, and so would all that it starts.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        self._origin = work / "origin"
        if not self._origin.exists():
            project.create(work / "origin.part" / "copy")
            (work / "origin.part" / "copy").rename(self._origin)
        done, took = work / "undisturbed", work / "undisturbed.json"
        if not took.exists():
            run = Run(self._copy("undisturbed"), work / "undisturbed.log", "", {})
            if run.ended(PATIENCE * 3) != 0:
                raise RuntimeError(f"the undisturbed run failed: {work / 'undisturbed.log'}")
            files.write_json(took, {name: ended_at(done, name) - begun for name, begun in run.begun.items()})
        self._results, self._files = project.results(done), project.files(done)
        self._seconds, self._pace = files.read_json(took, "delete it"), 0.5

    def chain(self, name: str, cuts: Sequence[Point], counts: Counts, target: str = "") -> None:
        """Run the pipeline, or as far as a stage, with some cuts, and count what came of it."""
        moment = random.Random(f"{self._seed} {name}")
        folder, log, aim = self._copy(name), self._work / f"{name}.log", self._work / f"{name}.aim"
        (self._work / "watch").mkdir(exist_ok=True)
        (self._work / "watch" / "sitecustomize.py").write_text(AIM)
        more = {"PYTHONPATH": str(self._work / "watch"), "AIM": str(aim)}
        for old in (log, aim):
            old.unlink(missing_ok=True)
        run = Run(folder, log, target, more)
        for point in cuts:
            met = reached(run, point, self._pace * self._seconds.get(point.stage, 5.0), moment)
            if met and point.moment == "commit":
                took = ended_at(folder, point.stage) - run.begun[point.stage]
                self._pace = took / self._seconds[point.stage]
            if not met:
                counts.told.append(f"{name}: {point.stage} {point.moment} was not met")
                if met is None:
                    continue
                break
            if point.moment == "lock":
                aim.write_text(str(moment.uniform(0, 0.03)))
            else:
                run.send(point.how, group=point.group)
            counts.by_moment[_name(point)] = counts.by_moment.get(_name(point), 0) + 1
            self._note(counts)
            # DVC ignores an interrupt that is sent to it alone while a stage runs: that stage goes on.
            if (point.how, point.group) == (signal.SIGINT, False):
                continue
            if run.ended(PATIENCE if point.moment == "lock" else SOON) is None:
                self._stuck(run, f"{name}: lives on after {_name(point)} in {point.stage}", counts)
                return
            aim.unlink(missing_ok=True)
            self._alone(folder, f"{name}: {point.stage} {point.moment}", counts)
            run = Run(folder, log, target, more)
        self._finish(run, name, counts)

    def _copy(self, name: str) -> Path:
        for old in (self._work / name, self._work / f"{name}.tmp"):
            shutil.rmtree(old, ignore_errors=True)
        return Path(shutil.copytree(self._origin, self._work / name, symlinks=True))

    def _finish(self, run: Run, name: str, counts: Counts) -> None:
        """Let the last run end; compare bytes, names and processes."""
        counts.chains += 1
        if not self._whole(run, name, counts):
            return
        self._alone(run.folder, name, counts)
        found, names = project.results(run.folder), project.files(run.folder)
        other = _differing(self._results, found)
        left = sorted(names - self._files)
        counts.different_files += len(other)
        counts.left_over_files += len(left)
        counts.told += [f"{name}: different: {path}" for path in other[:20]]
        counts.told += [f"{name}: left over: {path}" for path in left[:20]]
        text = (self._work / f"{name}.log").read_text()
        counts.damaged_locks_mended += len(re.findall(r"^dvc\.lock was ", text, re.MULTILINE))
        counts.resumed_trainings += len(
            re.findall(r"^(?:resumed at epoch|trained already)", text, re.MULTILINE)
        )
        if not (other or left):
            shutil.rmtree(run.folder)

    def _whole(self, run: Run, where: str, counts: Counts) -> bool:
        code = run.ended(PATIENCE)
        if code == 0:
            return True
        self._stuck(run, f"{where}: {'no end' if code is None else f'code {code}'}: {run.lines[-1:]}", counts)
        return False

    def _stuck(self, run: Run, told: str, counts: Counts) -> None:
        run.send(signal.SIGKILL, group=True)
        counts.stuck += 1
        counts.told.append(told)

    def _alone(self, folder: Path, where: str, counts: Counts) -> None:
        end = time.monotonic() + SOON
        while (left := project.inside(folder)) and time.monotonic() < end:
            time.sleep(0.1)
        counts.left_over_processes += len(left)
        counts.told += [f"{where}: process left: {' '.join(one.cmdline())[:100]}" for one in left]


def _differing(wanted: dict[str, bytes], found: dict[str, bytes]) -> list[str]:
    """Paths of what the stages in ``found``'s lock wrote that is other than, or not, in ``wanted``."""
    lock = yaml.safe_load(found[LOCK])["stages"]
    known = yaml.safe_load(wanted[LOCK])["stages"]
    below = wanted
    if len(lock) < len(known):
        outs = tuple(out["path"] for entry in lock.values() for out in entry["outs"])
        below = {name: content for name, content in wanted.items() if name.startswith(outs)}
        below[LOCK] = found[LOCK] if all(known[name] == entry for name, entry in lock.items()) else b""
    return sorted(name for name in found.keys() | below if found.get(name) != below.get(name))


def _name(point: Point) -> str:
    if point.how == signal.SIGKILL:
        return "epoch" if point.moment.startswith("epoch") else point.moment
    return f"{point.how.name} to {'the group' if point.group else 'dvc alone'}"


def run(work: Path, kills: int, seed: int, note: Callable[[Counts], None]) -> Counts:
    """Cut one whole run at every point, then runs of the early stages, until there were ``kills`` SIGKILLs."""
    torture, counts, chains = Torture(work, seed, note), Counts(), 0
    # A kill in DVC's commit mostly finds the lock written, and there is no second chance to aim at it.
    early = [
        point
        for point in points(STAGES[: STAGES.index(EARLY) + 1], signals=False)
        if point.moment != "commit"
    ]
    while (done := sum(counts.by_moment.get(moment, 0) for moment in MOMENTS)) < kills and chains < kills:
        whole = points(STAGES, signals=True) if not chains else list(early)
        while sum(_name(point) in MOMENTS for point in whole) > kills - done:
            whole.pop()
        torture.chain(f"chain{chains}", whole, counts, "" if not chains else EARLY)
        chains += 1
        note(counts)
    return counts
