"""What this machine offers; nothing here may change a result."""

from __future__ import annotations

import os


def cores() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def loader_workers() -> int:
    """Processes that prepare training batches; none on a small machine, where they would take the model's cores."""
    return min(8, cores() - 2) if cores() > 3 else 0
