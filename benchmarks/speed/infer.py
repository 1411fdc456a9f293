"""Answering photos out of the stored crops against the same prediction on photos that are in memory already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import torch
import yaml

from benchmarks.speed import material, train_loop, turns
from benchmarks.speed.material import Material
from benchmarks.speed.outcome import HERE, Effort, Outcome
from facemask import hardware, params, recipes
from facemask.images import reader
from facemask.inference.predict import predict
from facemask.learning.classifier import Classifier

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
    more = {"decoding_threads": hardware.cores(), "device": train_loop.device()}
    return Outcome(
        min(case["ratio"] for case in whole.values()),
        figures=whole | {"smallest networks, one view": small} | more,
        note="the table's ratio is the worse of the shipped params' and the preset's, with their views; photos are "
        "decoded in threads while the network works, so the ratio on the clock depends on free cores and the one by "
        "CPU time bounds it from below",
    )


def _case(
    given: Material, recipe: recipes.Recipe, cfg: params.Infer, views: Sequence[params.View], rounds: int
) -> dict[str, Any]:
    torch.manual_seed(0)
    model = Classifier(recipe).eval()
    stored, rows = material.stored(given), material.rows(given)
    photos = reader.Reader(stored, stored, recipe.image)
    ready = list(photos.stream(rows, cfg.batch_size))

    def stream() -> None:
        predict([model], photos.stream(rows, cfg.batch_size), views, cfg.average)

    def memory() -> None:
        predict([model], ready, views, cfg.average)

    def read() -> None:
        for _ in photos.stream(rows, cfg.batch_size):
            pass

    taken = turns.alternate(
        {"stream": turns.timed(stream), "model": turns.timed(memory), "reader": turns.timed(read)}, rounds
    )
    rates = {name: round(len(rows) / seconds, 1) for name, seconds in turns.medians(taken).items()}
    return {
        "ratio": round(turns.ratio(taken, "model", "stream"), 4),
        "rounds_between": turns.spread(taken, "model", "stream"),
        "ratio_by_cpu_time": turns.cpu_ratio(taken, "model", "stream"),
        "photos_per_second": rates,
    }
