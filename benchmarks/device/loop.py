"""The training loop's images/s against the same loop fed one constant batch, in turn, and what changes it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from unittest import mock

from benchmarks.device import networks
from benchmarks.device import plan as plans
from benchmarks.device.plan import Figures, Plan
from benchmarks.speed import train_loop
from benchmarks.speed.outcome import Effort
from facemask.runtime import hardware
from facemask.runtime.errors import UserError


def measure(plan: Plan) -> Figures:
    """Ratios with this machine's loader workers, compiled and not, with 4, 8 and 16 workers; then each precision."""
    ends, found, late = plan.clock(), {}, []
    recipe = plans.recipe(plans.LARGE, plan, channels_last=True, precision="bf16")
    given = plans.side(recipe.batch_size * (3 if plan.tiny else 40), recipe.image.size)
    effort = Effort(rounds=1, seconds=0.0) if plan.tiny else Effort(rounds=3, seconds=8.0)
    for name, workers, compiled in cases(plan):
        if time.monotonic() > ends:
            late.append(name)
            continue
        try:
            with mock.patch.object(hardware, "loader_workers", lambda count=workers: count):
                found[name] = _short(train_loop.case(recipe, given, effort, compiled=compiled))
        except (UserError, RuntimeError) as error:
            found[name] = {"error": plans.told(error)}
    precisions = {}
    for precision in ("16",) if plan.tiny else ("32", "bf16", "16"):
        wanted = recipe.model_copy(update={"precision": precision})
        precisions[precision] = networks.steps(wanted, 2 if plan.tiny else networks.STEPS)
    return {"by_case": found, "by_precision": precisions, "left_out_for_time": late}


def cases(plan: Plan) -> Iterator[tuple[str, int, bool]]:
    """Name, loader workers and whether the network is compiled."""
    usual = hardware.loader_workers()
    yield f"{usual} workers", usual, False
    if plan.tiny:
        return
    yield f"{usual} workers, compiled", usual, True
    for workers in (4, 8, 16):
        if workers != usual and workers <= hardware.cores():
            yield f"{workers} workers", workers, False


def _short(case: Figures) -> Figures:
    return {
        "ratio": case["ratio"],
        "loop": case["images_per_second"]["loop"],
        "constant": case["images_per_second"]["constant"],
        "loader": case["images_per_second"]["loader"],
        "peak_gib": plans.peak(),
    }
