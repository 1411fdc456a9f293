"""What a command takes: seconds, seconds on cores, and memory, with all processes that it starts.

Memory is the peak of a sum over the command's processes, of samples some times a second: *own* memory is what they
have filled themselves (anonymous and shared pages), *mapped* is what lies in memory of files, which the system may
drop. Both are read from Linux's ``/proc``: of several processes by way of proportional set sizes, so that pages they
share count once; of one from its counters, since the system walks all pages of a process for the former, which made a
start of 1.15 s last 1.46 s.
"""

from __future__ import annotations

import os
import re
import resource
import subprocess
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Final, NamedTuple

PROC: Final = Path("/proc")
EVERY: Final = 0.1
_TICKS: Final = os.sysconf("SC_CLK_TCK")
_MIB: Final = 1024


class Spent(NamedTuple):
    """What a command took.

    Attributes
    ----------
    wall
        Seconds on the clock.
    cpu
        Seconds on cores, of all its processes; of one that its parent did not wait for, up to its last sample.
    own
        Peak of the memory its processes filled, MiB.
    mapped
        Peak of their share of files mapped into memory, MiB.
    """

    wall: float
    cpu: float
    own: float
    mapped: float


def possible() -> bool:
    """Whether this system tells the memory of processes page by page."""
    return (PROC / "self" / "smaps_rollup").exists()


def run(command: str, folder: Path, env: Mapping[str, str]) -> Spent:
    """Run a shell's command line in ``folder`` and watch it.

    Raises
    ------
    RuntimeError
        If it fails; holds the end of what it told.
    """
    with tempfile.TemporaryFile("w+") as told:
        start, before = time.perf_counter(), _waited_for()
        process = subprocess.Popen(
            command, shell=True, cwd=folder, env=dict(env), stdin=subprocess.DEVNULL, stdout=told, stderr=told
        )
        seconds: dict[int, float] = {}
        own = mapped = 0
        ended = False
        while not ended:
            tree = _tree(process.pid)
            sizes = [_proportional(pid) for pid in tree] if len(tree) > 1 else [_resident(tree[0])]
            own = max(own, sum(size[0] for size in sizes))
            mapped = max(mapped, sum(size[1] for size in sizes))
            for pid in tree:
                seconds[pid] = max(seconds.get(pid, 0.0), _cpu(pid))
            try:
                process.wait(EVERY)
                ended = True
            except subprocess.TimeoutExpired:
                pass
        wall = time.perf_counter() - start
        if process.returncode:
            told.seek(0)
            raise RuntimeError(f"{command}\n{told.read()[-2000:]}")
    return Spent(wall, max(sum(seconds.values()), _waited_for() - before), own / _MIB, mapped / _MIB)


def _tree(root: int) -> list[int]:
    """Numbers of a process and of all that descend from it."""
    found = [root]
    for pid in found:
        try:
            for thread in (PROC / str(pid) / "task").iterdir():
                found += map(int, (thread / "children").read_text().split())
        except OSError:
            # Ended meanwhile.
            continue
    return found


def _resident(pid: int) -> tuple[int, int]:
    """KiB that a process filled, and KiB of files it has in memory."""
    sizes = _sizes(pid, "status")
    return sizes.get("RssAnon", 0) + sizes.get("RssShmem", 0), sizes.get("RssFile", 0)


def _proportional(pid: int) -> tuple[int, int]:
    """As :func:`_resident`, of pages that several processes have its share."""
    sizes = _sizes(pid, "smaps_rollup")
    return sizes.get("Pss_Anon", 0) + sizes.get("Pss_Shmem", 0), sizes.get("Pss_File", 0)


def _sizes(pid: int, name: str) -> dict[str, int]:
    """A file's lines of the form ``name: number kB``; none once the process has ended."""
    try:
        text = (PROC / str(pid) / name).read_text()
    except OSError:
        return {}
    return {key: int(size) for key, size in re.findall(r"^(\w+):\s+(\d+) kB$", text, re.MULTILINE)}


def _cpu(pid: int) -> float:
    try:
        fields = (PROC / str(pid) / "stat").read_text().rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / _TICKS


def _waited_for() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime
