"""What this machine offers; nothing here may change a result."""

from __future__ import annotations

import contextlib
import os
import re
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Final, Literal

_LOOKS: Final = 5
_BETWEEN: Final = 0.002


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def processes() -> tuple[int | Literal["auto"], int]:
    """Training processes on this machine, and machines: as ``torchrun`` or ``srun`` started them, or all GPUs here."""
    if "LOCAL_WORLD_SIZE" in os.environ:
        here = int(os.environ["LOCAL_WORLD_SIZE"])
        return here, int(os.environ["WORLD_SIZE"]) // here
    # So named, a job is one that a person types in: Lightning does not take its tasks for processes either.
    if "SLURM_NTASKS" in os.environ and os.environ.get("SLURM_JOB_NAME") not in ("bash", "interactive"):
        machines = int(os.environ.get("SLURM_NNODES", "1"))
        return int(os.environ["SLURM_NTASKS"]) // machines, machines
    return "auto", 1


def loader_workers() -> int:
    """Processes that prepare training batches; none on a small machine, where they would take the model's cores."""
    return min(8, cores() - 2) if cores() > 3 else 0


def set_wait() -> None:
    """Choose how torch's threads wait for each other, unless the environment says; only before torch is loaded.

    Alone on the machine they spin, as is the default: asleep between two operations, they were seen to train a small
    network at a third of the speed. Beside other work a spinning thread takes the core that it waits for: there, and
    where a loader's workers share the cores, they sleep.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & os.environ.keys() and (loader_workers() or crowded()):
        os.environ["OMP_WAIT_POLICY"] = "PASSIVE"


def crowded(stat: Path = Path("/proc/stat")) -> bool:
    """Whether other programs leave fewer cores than this process may use; where the system does not tell, no."""
    others = []
    for _ in range(_LOOKS):
        try:
            running = re.search(r"^procs_running (\d+)$", stat.read_text(), re.MULTILINE)
        except OSError:
            return False
        # One is this process.
        others.append(int(running[1]) - 1 if running else 0)
        time.sleep(_BETWEEN)
    return statistics.median(others) + cores() > (os.cpu_count() or 1)


@contextlib.contextmanager
def one_thread() -> Iterator[None]:
    """Keep torch to one thread: sums are split among threads, so one thread means one result on any machine."""
    import torch

    before = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)
