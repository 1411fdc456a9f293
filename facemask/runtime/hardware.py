"""What this machine offers; nothing here may change a result."""

from __future__ import annotations

import os
import platform
import re
import sys
from pathlib import Path
from typing import Literal

import psutil  # type: ignore[import-untyped]


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def machine() -> str:
    """Name the processor, the cores that this process may use, the memory, and GPUs if torch is at work."""
    try:
        told = Path("/proc/cpuinfo").read_text(encoding="utf-8")
    except OSError:
        told = ""
    named = re.search(r"^model name\s*: (.+)$", told, re.MULTILINE)
    processor = named[1].strip() if named else platform.processor() or platform.machine()
    memory = f"{psutil.virtual_memory().total / 2**30:.0f} GiB"
    torch = sys.modules.get("torch")
    gpus = (
        [torch.cuda.get_device_name(k) for k in range(torch.cuda.device_count())] if torch is not None else []
    )
    return ", ".join([processor, f"{cores()} cores", memory, *gpus])


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


def is_first_process() -> bool:
    """Whether this is the only training process, or the first of all: what is shared is its to write."""
    # Whoever starts several sets some of these: torchrun, Lightning, SLURM.
    names = ("RANK", "NODE_RANK", "LOCAL_RANK", "SLURM_PROCID")
    return all(os.environ.get(name, "0") == "0" for name in names)


def loader_workers() -> int:
    """Processes that prepare training batches; none on a small machine, where they would take the model's cores."""
    return min(8, cores() - 2) if cores() > 3 else 0
