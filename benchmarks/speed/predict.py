"""Answering photos of one's own against the stages: faces found and cut, crops stored, read again and answered.

The other side is the work of face_crop and infer without their tables: the same finder over one process a core, crops
over threads, answers over threads. What starting its processes costs is left out, as a difference of two runs.
"""

from __future__ import annotations

import functools
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

from benchmarks.speed import material, turns
from benchmarks.speed.material import Material
from benchmarks.speed.outcome import Effort, Outcome
from facemask.ensemble import combiner
from facemask.faces import faces, finders
from facemask.network import checkpoints, reader
from facemask.network.classifier import Classifier
from facemask.photos import memo
from facemask.pixels import archive
from facemask.records import classes
from facemask.runtime import executor, files, hardware
from facemask.runtime.arrays import Table
from facemask.serving import inputs, predictor, runs
from facemask.settings import params
from facemask.submission.answering import Answerer

_STARTS = 3


def measure(effort: Effort) -> Outcome:
    """Time both over the same photos, compare their probabilities, and time the first answer of fresh processes."""
    cfg = material.shipped()
    with material.contest_photos(effort.photos) as given:
        run = write_run(cfg, given.work / "run")
        model = predictor.Predictor(run)
        few = min(effort.photos, 32)
        named = [inputs.Named(photo.key, path) for photo, path in zip(given.photos, given.paths, strict=True)]

        def predict(count: int) -> Table:
            rows = [one.probabilities for part in model.stream(named[:count]) for one in part]
            return np.stack([row for row in rows if row is not None])

        stages = functools.partial(_stages, cfg, run, given)
        sides = {
            "predict": lambda: predict(effort.photos),
            "predict_few": lambda: predict(few),
            "stages": lambda: stages(effort.photos),
            "stages_few": lambda: stages(few),
        }
        taken = turns.alternate({name: turns.timed(side) for name, side in sides.items()}, effort.rounds)
        seconds = turns.medians(taken)
        rates = {
            name: turns.rate(effort.photos, seconds[name], few, seconds[f"{name}_few"])
            for name in ("predict", "stages")
        }
        apart = float(np.abs(predict(effort.photos) - stages(effort.photos)).max(1).max())
        first = _first(given.work / "run", given.paths[0])
    return Outcome(
        rates["predict"] / rates["stages"],
        holds=apart <= 1e-5,
        figures={
            "photos_per_second": {name: round(rate, 1) for name, rate in rates.items()},
            "greatest_difference_of_a_probability": apart,
            "first_answer_seconds": first,
            "cores": hardware.cores(),
            "faces": given.what,
        },
        note="from files to probabilities; first answer: a fresh process from its start to its end, with one photo",
    )


def write_run(cfg: params.Params, folder: Path) -> runs.Run:
    """A run with the shipped params and a network with weights by chance."""
    torch.manual_seed(0)
    recipe = material.recipe_of(cfg)
    prior = np.full(classes.COUNT, 1 / classes.COUNT)
    fold = folder / runs.MODELS / "fold0"
    checkpoints.save(fold, checkpoints.Checkpoint(Classifier(recipe), recipe, prior), {})
    alone = combiner.Combiner(
        (), combiner.Fitted(combiner.Mean((1.0,)), 0.0, tuple(prior.tolist()), None), eval_photos_used=False
    )
    files.write_json(folder / runs.COMBINER, alone.to_json())
    used = {
        "face_crop": {
            f"face_crop.{key}": value for key, value in cfg.face_crop.model_dump(mode="json").items()
        },
        "background_removal": {"background_removal": cfg.background_removal.model_dump(mode="json")},
        "infer": {"infer": cfg.infer.model_dump(mode="json"), "train.folds": [0]},
    }
    listed = {name: {"params": {"params.yaml": values}} for name, values in used.items()}
    # JSON is YAML, and this is all that is read of a lock file.
    files.write_json(folder / runs.LOCK, {"stages": listed})
    return runs.read(folder, folder, "")


def _stages(cfg: params.Params, run: runs.Run, given: Material, count: int) -> Table:
    nothing, some = memo.Memo(None), given.photos[:count]
    tried = finders.in_order(cfg.face_crop.finder)
    pool = functools.partial(executor.processes, workers=hardware.cores())
    seen = finders.search(tried, some, given.where, nothing, pool)
    table = material.photo_table(some)
    # Alone, as predict answers them.
    boxed = faces.place(cfg.face_crop.model_copy(update={"fallback": ()}), tried, table, seen)
    cut = faces.crops(some, boxed, given.where, cfg.face_crop.size, nothing)
    stored = given.work / f"stages{count}"
    archive.write(stored / "labelled" / "crops.zip", ((f"{key}.jpg", image) for key, image in cut))
    answerer = Answerer(run.infer, run.folds, stored, stored)
    around = boxed[["cx0", "cy0", "cx1", "cy1"]].itertuples(index=False)
    rows = [
        reader.Row("labelled", photo.key, False, tuple(box)) for photo, box in zip(some, around, strict=True)
    ]
    return np.concatenate(list(answerer.answers(rows, "local")))


def _first(folder: Path, photo: Path) -> list[float]:
    """Seconds of fresh processes that answer one photo."""
    command = [sys.executable, "-m", "facemask", "predict", "--model", str(folder), str(photo)]
    taken = []
    for _ in range(_STARTS):
        start = time.perf_counter()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        taken.append(round(time.perf_counter() - start, 2))
    return taken
