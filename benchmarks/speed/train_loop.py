"""The whole training loop against the same loop fed with one batch that is already there.

Both sides are Lightning's trainer with the shipped recipe's task and callbacks around an epoch; they differ in the
loader alone. What the first loses is what the loader costs.
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from collections.abc import Iterable, Iterator
from typing import Any

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback

from benchmarks.speed import material, turns
from benchmarks.speed.outcome import Effort, Outcome
from facemask import hardware, recipes
from facemask.images import reader
from facemask.learning import fit, pixels, shares
from facemask.learning.batches import Side
from facemask.learning.classifier import Classifier
from facemask.learning.task import Task
from facemask.records import classes


class Clock(Callback):
    """What the last epoch's batches took."""

    def __init__(self) -> None:
        self.start = self.taken = turns.Taken(0.0, 0.0)

    def on_train_epoch_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Start."""
        self.start = turns.now()

    def on_train_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Stop, when the device has done its work."""
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        self.taken = turns.since(self.start)


class Again:
    """A loader that gives the same batch so many times."""

    def __init__(self, batch: Any, times: int) -> None:
        self.batch, self.times = batch, times

    def __len__(self) -> int:
        return self.times

    def __iter__(self) -> Iterator[Any]:
        return iter([self.batch] * self.times)


def measure(effort: Effort) -> Outcome:
    """Time epochs of every network and size; the ratio is the worst case's."""
    cases: dict[str, Any] = {}
    with material.contest_photos(effort.photos) as given:
        stored = material.stored(given)
        for height in effort.heights:
            for model in effort.models:
                recipe = material.recipe(model, height)
                rows = material.rows(given)
                with pixels.decoded(reader.Reader(stored, stored, recipe.image), rows, label="photos") as one:
                    taken = _case(recipe, side(one.photos), effort)
                middle = turns.medians(taken)
                cases[f"{model}, {height} px"] = {
                    "ratio": round(turns.ratio(taken, "constant", "loop"), 4),
                    "rounds_between": turns.spread(taken, "constant", "loop"),
                    "ratio_by_cpu_time": turns.cpu_ratio(taken, "constant", "loop"),
                    "rounds": len(taken["loop"]),
                    "images_per_second": {k: round(effort.photos / v, 1) for k, v in middle.items()},
                    "loader_ms_a_photo": round(middle["loader"] / effort.photos * 1000, 3),
                }
    return Outcome(
        min(case["ratio"] for case in cases.values()),
        figures=cases | {"loader_workers": hardware.loader_workers(), "device": device()},
        note="the table's ratio is the worst case's; the loader's own time is measured without a network; CPU time "
        "tells of the loader's cost only where it has no workers",
    )


def device() -> str:
    """What networks run on."""
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return f"{torch.get_num_threads()} CPU threads"


def side(photos: pixels.Pixels) -> Side:
    """Photos with classes at random, each once an epoch."""
    labels = np.random.default_rng(0).integers(0, classes.COUNT, len(photos))
    ages = np.array([25, 45, 65])[labels % 3]
    return Side(
        pixels=photos, targets=labels, ages=ages, labels=labels, repeats=np.ones(len(photos), np.int64)
    )


def _case(recipe: recipes.Recipe, given: Side, effort: Effort) -> dict[str, list[turns.Taken]]:
    """An epoch of the real loop, of the constant one, and of the loader alone."""
    real, count = fit.loaders(recipe, given, None, seed=1, share=shares.Share(0, 1))
    constant = Again(next(iter(real)), count)
    task = make(recipe, given, count)

    def load() -> None:
        for _ in real:
            pass

    return turns.alternate(
        {
            "loop": lambda: epoch(recipe, task, real),
            "constant": lambda: epoch(recipe, task, constant),
            "loader": turns.timed(load),
        },
        effort.rounds,
        seconds=effort.seconds,
    )


def make(recipe: recipes.Recipe, given: Side, steps: int) -> Task:
    """The task that fit would train; its schedule is never used up, each epoch being a training of its own."""
    torch.manual_seed(0)
    model = Classifier(recipe)
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    return Task(recipe, model, given, steps=max(steps, 2) * 10, steps_per_epoch=max(steps, 1), seed=1)


def epoch(recipe: recipes.Recipe, task: Task, batches: Iterable[Any]) -> turns.Taken:
    """One epoch under Lightning, without its setting up."""
    clock = Clock()
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    with tempfile.TemporaryDirectory(prefix="facemask-bench-") as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        run = fit.trainer(recipe, [clock], epochs=1, root=folder)
        run.fit(task, batches)
    return clock.taken
