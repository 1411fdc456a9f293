"""Every preset's network, from scratch, trained for some steps at its own size, batch and precision."""

from __future__ import annotations

import gc
import time
from typing import Final

import torch
from torch.utils.data import DataLoader

from benchmarks.device import plan as plans
from benchmarks.device.plan import Figures, Plan
from benchmarks.speed import train_loop
from facemask.runtime.errors import UserError
from facemask.settings import recipes
from facemask.training import fit, ranks
from facemask.training.batches import Batch

STEPS: Final = 20


def measure(plan: Plan) -> Figures:
    """Images/s and peak memory by preset; those for which time did not suffice are named."""
    ends, found = plan.clock(), {}
    names = [plans.LARGE] if plan.tiny else sorted(plans.presets(), key=lambda name: name != plans.LARGE)
    late = []
    for name in names:
        if time.monotonic() > ends:
            late.append(name)
            continue
        try:
            found[name] = steps(plans.recipe(name, plan), 2 if plan.tiny else STEPS)
        # A network that fails is a figure too: out of memory, a file that is not here.
        except (UserError, RuntimeError) as error:
            found[name] = {"error": plans.told(error)}
        gc.collect()
        if torch.cuda.is_available():
            torch.cuda.empty_cache()
    return {"by_preset": found, "left_out_for_time": late}


def steps(recipe: recipes.Recipe, count: int) -> Figures:
    """Train on one constant batch; a first epoch warms up."""
    given = plans.side(recipe.batch_size, recipe.image.size)
    batches, _ = fit.loaders(recipe, given, None, seed=1, process=ranks.Process(0, 1))
    batch = next(iter(batches))
    task = train_loop.make(recipe, given, count)
    train_loop.epoch(recipe, task, _repeated(batch, 3))
    plans.peak()
    taken = train_loop.epoch(recipe, task, _repeated(batch, count))
    return {
        "pixels": "x".join(map(str, recipe.image.size)),
        "batch": recipe.batch_size,
        "precision": recipe.precision if torch.cuda.is_available() else "32",
        "images_per_second": round(recipe.batch_size * count / taken.wall, 1),
        "peak_gib": plans.peak(),
        "finite": all(bool(weight.isfinite().all()) for weight in task.parameters()),
    }


def _repeated(batch: Batch, count: int) -> DataLoader[Batch]:
    # Lightning would take a plain list for several loaders.
    return DataLoader([batch] * count, batch_size=None)  # type: ignore[arg-type]
