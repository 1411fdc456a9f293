"""The pipeline under way in a copy, and the moments at which it is cut."""

from __future__ import annotations

import contextlib
import os
import random
import re
import signal
import subprocess
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final, NamedTuple

from benchmarks.torture import project

STAGES: Final = (
    "check", "sample_data", "synthesise", "fix_labels", "face_crop", "background_removal", "build_manifest", "train@0",
    "combine", "evaluate", "infer", "audit", "report",
)  # fmt: skip
# Of a run without progress; a stage takes seconds, on a busy machine a minute.
PATIENCE: Final = 900.0
# What is promised after a signal is ten seconds.
SOON: Final = 30.0
TYPED: Final = "python -m facemask repair && exec dvc repro"
# Python imports this first. Who opens dvc.lock to write it, once that is wished, ends its group some moment after the
# old content has gone.
AIM: Final = """\
import os, signal, sys, threading, time


def end(before):
    while os.path.exists("dvc.lock") and os.path.getsize("dvc.lock") == before:
        time.sleep(0.0002)
    with open(os.environ["AIM"]) as file:
        time.sleep(float(file.read()))
    os.killpg(0, signal.SIGKILL)


def watch(event, arguments):
    if event == "open" and str(arguments[0]).endswith("dvc.lock") and "w" in str(arguments[1]):
        if os.path.exists(os.environ["AIM"]):
            before = os.path.getsize("dvc.lock") if os.path.exists("dvc.lock") else -1
            threading.Thread(target=end, args=(before,), daemon=True).start()


if "AIM" in os.environ:
    sys.addaudithook(watch)
"""


class Point(NamedTuple):
    """Where a run is cut: in a stage, at which moment of it, by what, sent to whom."""

    stage: str
    moment: str
    how: signal.Signals = signal.SIGKILL
    group: bool = True


def points(stages: Sequence[str], *, signals: bool) -> list[Point]:
    """Every kind of moment of some stages, in the order in which a run meets them.

    Parameters
    ----------
    signals
        Whether each stage but the first also gets one of SIGTERM and SIGINT, sent to DVC alone or to its group.
    """
    kinds = [(how, group) for how in (signal.SIGTERM, signal.SIGINT) for group in (False, True)]
    found = [Point("", "start-up")]
    for place, stage in enumerate(stages):
        told = [Point(stage, "middle", *kinds[place % 4])] if signals and place else []
        inner = [f"epoch {k + 1}" for k in range(project.EPOCHS)] if stage.startswith("train") else []
        found += [Point(stage, "begin"), *told]
        found += [Point(stage, moment) for moment in ("middle", *inner, "commit", "lock")]
    return found


class Run:
    """The pipeline under way in a copy, in a session of its own, and what it has said so far."""

    def __init__(self, folder: Path, log: Path, target: str, more: dict[str, str]) -> None:
        self.folder, self.lines, self.begun = folder, list[str](), dict[str, float]()
        self.process = subprocess.Popen(
            ["bash", "-c", f"{TYPED} {target}"],
            cwd=folder,
            env=project.environment(folder) | more,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            start_new_session=True,
        )
        self._reader = threading.Thread(target=self._read, args=(log,), daemon=True)
        self._reader.start()

    def _read(self, log: Path) -> None:
        assert self.process.stdout is not None
        with log.open("a") as file:
            for line in self.process.stdout:
                self.lines.append(line.rstrip())
                if found := re.match("Running stage '(.+)'", line):
                    self.begun[found[1]] = time.time()
                file.write(line)
                file.flush()

    def said(self, pattern: str) -> bool:
        """Whether a line matches."""
        return any(re.search(pattern, line) for line in self.lines[:])

    def send(self, how: signal.Signals, *, group: bool) -> None:
        """Send a signal; one that has ended already gets none."""
        with contextlib.suppress(ProcessLookupError):
            (os.killpg if group else os.kill)(self.process.pid, how)

    def ended(self, patience: float) -> int | None:
        """Wait for the end; the code, or None if it does not come."""
        try:
            code = self.process.wait(patience)
        except subprocess.TimeoutExpired:
            return None
        self._reader.join(SOON)
        return code


def reached(run: Run, point: Point, seconds: float, moment: random.Random) -> bool | None:
    """Wait until a run is at a point; None if it has passed it, False if it has ended."""
    before = ended_at(run.folder, point.stage)
    later = STAGES[STAGES.index(point.stage) + 1 :] if point.stage else ()

    def there() -> bool:
        if point.moment.startswith("epoch"):
            return run.said(rf"^{point.moment.replace(' ', ' +')}/")
        if point.moment == "commit":
            return ended_at(run.folder, point.stage) != before
        # What a killed run had stored already comes out of DVC's cache, and the lock is written then too.
        begun = rf"^Running stage '{point.stage}'|^Stage '{point.stage}' is cached"
        return run.said(begun) if point.stage else True

    end = time.monotonic() + PATIENCE
    while not there():
        if any(stage in run.begun for stage in later):
            return None
        if run.process.poll() is not None or time.monotonic() > end:
            return False
        time.sleep(0.02)
    longest = {"begin": 1.0, "middle": seconds, "commit": 3.0, "start-up": 6.0, "lock": 0.0}.get(
        point.moment, 0.5
    )
    end = time.monotonic() + moment.uniform(longest / 5, longest)
    while time.monotonic() < end and (
        point.moment != "middle" or ended_at(run.folder, point.stage) == before
    ):
        time.sleep(0.02)
    return True


def ended_at(folder: Path, stage: str) -> float:
    """When a stage last came to its end, seconds; 0 for never."""
    note = folder / ".dvc" / "tmp" / "stages" / f"{stage.replace('@', '-')}.json"
    return note.stat().st_mtime if note.exists() else 0.0
