"""Answering photos out of the stored crops against the same networks on photos that are in memory already.

The other side is what remains of a plain loop without its loader: batch after batch, each on torch's threads. A
second one, ``model_by_core``, spreads batches over the cores as infer does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
import yaml

from benchmarks.speed import material, train_loop, turns
from benchmarks.speed.material import Material
from benchmarks.speed.outcome import HERE, Effort, Outcome
from facemask.network import checkpoints, reader
from facemask.network.classifier import Classifier
from facemask.network.predict import predict
from facemask.records import classes
from facemask.runtime import executor, hardware, threads
from facemask.runtime.arrays import Pixels, Table
from facemask.settings import params, recipes
from facemask.submission.answering import Answerer

PLAIN = [params.Identity(kind="identity")]


def measure(effort: Effort) -> Outcome:
    """Time infer's loop as it is shipped and as for real faces, then with the smallest networks and one view."""
    small = {}
    shipped = material.shipped()
    preset = yaml.safe_load((HERE / "presets" / "realfaces.yaml").read_text())["params"]
    preset["train"]["backbone"]["weights"] = {"kind": "scratch"}
    real = material.shipped(**preset)
    with material.contest_photos(effort.photos) as given:
        whole = {
            name: _case(given, material.recipe_of(cfg), cfg.infer, cfg.infer.views, effort.rounds)
            for name, cfg in (("shipped params", shipped), ("preset realfaces", real))
        }
        for height in effort.heights:
            for name in effort.models:
                recipe = material.recipe(name, height)
                small[f"{name}, {height} px"] = _case(given, recipe, shipped.infer, PLAIN, effort.rounds)
    more = {"batches_at_once": hardware.cores(), "device": train_loop.device()}
    return Outcome(
        min(case["ratio"] for case in whole.values()),
        figures=whole | {"smallest networks, one view": small} | more,
        note="the table's ratio is the worse of the shipped params' and the preset's, with their views, to the "
        "networks alone, batch after batch on all of torch's threads; model_by_core gives each core a batch of its "
        "own, as infer does: it costs what infer costs without its reader",
    )


def _case(
    given: Material, recipe: recipes.Recipe, cfg: params.Infer, views: Sequence[params.View], rounds: int
) -> dict[str, Any]:
    torch.manual_seed(0)
    stored, rows = material.stored(given), material.rows(given)
    prior = np.full(classes.COUNT, 1 / classes.COUNT)
    fold = given.work / "fold0"
    checkpoints.save(fold, checkpoints.Checkpoint(Classifier(recipe), recipe, prior), {})
    answerer = Answerer(cfg.model_copy(update={"views": tuple(views)}), [fold], stored, stored)
    model = answerer.trained[0].model
    photos = reader.PhotoReader(stored, stored, recipe.image)
    ready = list(photos.stream(rows, cfg.batch_size))

    def answer() -> None:
        for _ in answerer.answers(rows, "local"):
            pass

    def memory() -> None:
        predict([model], ready, views, cfg.average)

    def one(chunk: Sequence[Pixels]) -> Table:
        return predict([model], chunk, views, cfg.average)

    def by_core() -> None:
        with threads.one_thread():
            for _ in executor.threads(one, [[chunk] for chunk in ready], workers=hardware.cores()):
                pass

    def read() -> None:
        for _ in photos.stream(rows, cfg.batch_size):
            pass

    sides = {"infer": answer, "model": memory, "model_by_core": by_core, "reader": read}
    taken = turns.alternate({name: turns.timed(side) for name, side in sides.items()}, rounds)
    rates = {name: round(len(rows) / seconds, 1) for name, seconds in turns.medians(taken).items()}
    return {
        "ratio": round(turns.ratio(taken, "model", "infer"), 4),
        "ratio_to_model_by_core": round(turns.ratio(taken, "model_by_core", "infer"), 4),
        "rounds_between": turns.spread(taken, "model", "infer"),
        "photos_per_second": rates,
    }
