"""The whole training loop against the same loop fed with one batch that is already there.

Both sides are blocks of one training under Lightning with the shipped recipe's task and callbacks, in turn; they differ
in where their batches come from. What the first loses is what the loader costs. Blocks are short because a machine's
speed drifts: halves of a second apart, two sides meet nearly the same speed, epochs apart they do not.
"""

from __future__ import annotations

import logging
import tempfile
import time
import warnings
from collections.abc import Iterable, Iterator
from typing import Any, Final

import lightning as L
import numpy as np
import torch
from lightning.pytorch.callbacks import Callback
from torch.utils.data import DataLoader

from benchmarks.speed import material, turns
from benchmarks.speed.outcome import Effort, Outcome
from facemask.network import reader
from facemask.network.classifier import Classifier
from facemask.records import classes
from facemask.runtime import hardware
from facemask.runtime.arrays import Pixels
from facemask.settings import recipes
from facemask.training import fit, pixels, ranks, trainer
from facemask.training.batches import Side
from facemask.training.task import Task

BLOCK: Final = 4
# More than any training here takes: it ends when its time is over.
_STEPS: Final = 10**6


class Clock(Callback):
    """What the last epoch's batches took."""

    def __init__(self) -> None:
        self.start = self.taken = turns.Taken(0.0, 0.0)

    def on_train_epoch_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Start."""
        self.start = turns.now()

    def on_train_epoch_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Stop, when the device has done its work."""
        _wait()
        self.taken = turns.since(self.start)


class Blocks:
    """A real loader's batches and a constant batch, in turn block by block; keeps what each block took.

    Loader workers go on while the constant batch is trained on: what lies ready by then is thrown away, untimed, before
    a block of the loader's begins.

    Parameters
    ----------
    real
        The loader; begun anew, in its time, whenever it ends.
    batches
        Batches a block, or as many as workers can have ready.
    rounds, seconds
        As for :func:`benchmarks.speed.turns.alternate`; a first round is not counted.
    """

    def __init__(self, real: DataLoader[Any], batches: int, rounds: int, seconds: float) -> None:
        self.real, self.rounds, self.seconds = real, rounds, seconds
        self.ahead = real.num_workers * (real.prefetch_factor or 0)
        self.batches = max(batches, self.ahead)
        self.taken: dict[str, list[turns.Taken]] = {"loop": [], "constant": []}

    def __len__(self) -> int:
        return _STEPS

    def __iter__(self) -> Iterator[Any]:
        coming = self._endless()
        constant = next(coming)
        counted = time.perf_counter()
        turn = 0
        while turn <= self.rounds or time.perf_counter() - counted < self.seconds:
            for name in list(self.taken) if turn % 2 == 0 else reversed(list(self.taken)):
                if name == "loop":
                    for _ in range(self.ahead):
                        next(coming)
                start = turns.now()
                for _ in range(self.batches):
                    yield next(coming) if name == "loop" else constant
                _wait()
                if turn:
                    self.taken[name].append(turns.since(start))
            if not turn:
                counted = time.perf_counter()
            turn += 1

    def _endless(self) -> Iterator[Any]:
        while True:
            yield from self.real


def measure(effort: Effort) -> Outcome:
    """Time blocks of every network and size; the ratio is the worst case's."""
    cases: dict[str, Any] = {}
    with material.contest_photos(effort.photos) as given:
        stored = material.stored(given)
        for height in effort.heights:
            for model in effort.models:
                recipe = material.recipe(model, height)
                rows = material.rows(given)
                with pixels.decoded(
                    reader.PhotoReader(stored, stored, recipe.image), rows, label="photos"
                ) as one:
                    cases[f"{model}, {height} px"] = case(recipe, side(one.photos), effort)
    return Outcome(
        min(case["ratio"] for case in cases.values()),
        figures=cases | {"loader_workers": hardware.loader_workers(), "device": device()},
        note=f"the table's ratio is the worst case's, each the median quotient of rounds of {BLOCK} batches or more of "
        "either side within one training, ratio_95 what chance leaves it between in 95 of 100 cases; the loader's own "
        "time is measured without a network; CPU time tells of the loader's cost only where it has no workers",
    )


def device() -> str:
    """What networks run on."""
    if torch.cuda.is_available():
        return str(torch.cuda.get_device_name())
    return f"{torch.get_num_threads()} CPU threads"


def side(photos: Pixels) -> Side:
    """Photos with classes at random, each once an epoch."""
    labels = np.random.default_rng(0).integers(0, classes.COUNT, len(photos))
    ages = np.array([25, 45, 65])[labels % 3]
    return Side(
        pixels=photos, targets=labels, ages=ages, labels=labels, repeats=np.ones(len(photos), np.int64)
    )


def case(recipe: recipes.Recipe, given: Side, effort: Effort, *, compiled: bool = False) -> dict[str, Any]:
    """Time one network on a side's photos, compiled or as it is."""
    real, _ = fit.loaders(recipe, given, None, seed=1, process=ranks.Process(0, 1))
    blocks = Blocks(real, BLOCK, effort.rounds, effort.seconds)
    task = make(recipe, given, _STEPS)
    if compiled:
        task.model.compile()
    epoch(recipe, task, blocks)

    def load() -> None:
        for _ in real:
            pass

    alone = turns.medians(turns.alternate({"loader": turns.timed(load)}, effort.rounds))["loader"]
    photos = len(given.labels) / len(real) * blocks.batches
    rates = {name: photos / seconds for name, seconds in turns.medians(blocks.taken).items()}
    rates["loader"] = len(given.labels) / alone
    return {
        "ratio": round(turns.ratio(blocks.taken, "constant", "loop"), 4),
        "ratio_95": turns.interval(blocks.taken, "constant", "loop"),
        "ratio_by_cpu_time": turns.cpu_ratio(blocks.taken, "constant", "loop"),
        "rounds": len(blocks.taken["loop"]),
        "images_per_second": {name: round(rate, 1) for name, rate in rates.items()},
        "loader_ms_a_photo": round(1000 / rates["loader"], 3),
    }


def make(recipe: recipes.Recipe, given: Side, steps: int) -> Task:
    """The task that fit would train; its schedule is long enough for ten epochs."""
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
        run = trainer.trainer(recipe, [clock], epochs=1, root=folder)
        run.fit(task, batches)
    return clock.taken


def _wait() -> None:
    """Until the device has done its work."""
    if torch.cuda.is_available():
        torch.cuda.synchronize()
