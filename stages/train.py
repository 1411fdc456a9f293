"""Train one fold: its weights, its out-of-fold and hold-out probabilities, its learning curves."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facemask.network import checkpoints, reader
from facemask.records import classes, left_out, tables
from facemask.runtime import files
from facemask.runtime.arrays import Table
from facemask.runtime.launch import launch
from facemask.settings import recipes
from facemask.training import resuming, sides, validation
from facemask.training.fit import fit


def run(
    cfg: recipes.Recipe,
    watched: recipes.Logging,
    *,
    fold: int,
    seed: int,
    manifest: Path,
    faces: Path,
    mattes: Path,
    out: Path,
    curves: Path,
    live: Path,
) -> None:
    """Read ``manifest``, ``faces`` and ``mattes``; write ``out`` (one fold's folder) and ``curves``.

    ``live`` is DVCLive's folder, where the training can be watched. A training that was killed goes on from its last
    whole epoch.
    """
    read = [folder / name for folder in (manifest, faces, mattes) for name in ("labelled", "extra", cfg.pool)]
    settings = {"recipe": cfg.model_dump(mode="json"), "seed": seed}
    with resuming.opened(fold, settings, [Path(__file__), *read]) as kept:
        chosen = sides.rows(cfg, fold, manifest)
        photos, step = reader.PhotoReader(faces, mattes, cfg.image), cfg.batch_size
        with sides.opened(cfg, chosen, photos) as (train, val, unlabelled):
            more: dict[str, Any] = {
                "curves": curves,
                "live": live,
                "checkpoints": kept,
                "logger": watched.logger,
            }
            fitted = fit(cfg, train, val, seed=seed, unlabelled=unlabelled, **more)
            if fitted is None:
                return
            parts = (val.pixels[k : k + step] for k in range(0, len(val.pixels), step))
            oof = validation.answers(cfg, fitted.model, parts)
        holdout = validation.answers(cfg, fitted.model, photos.stream(reader.rows(chosen.held), step))
        counts = np.bincount(train.labels, weights=train.repeats, minlength=classes.COUNT)
        facts = {
            "fold": fold,
            "seed": seed,
            "best_epoch": fitted.epoch + 1,
            "val_macro_f1": round(fitted.macro_f1, 6),
            "batch_size": fitted.batch_size,
        }
        with files.replacing(out) as folder:
            folder.mkdir()
            for name, part, probabilities in (
                ("oof.csv", chosen.val, oof),
                ("holdout.csv", chosen.held, holdout),
            ):
                tables.write(folder / name, _answers(part, probabilities), tables.PROBABILITIES)
            prior = counts / counts.sum()
            checkpoints.save(folder, checkpoints.Checkpoint(fitted.model.cpu(), cfg, prior), facts)
    given = sum(map(len, (chosen.train, chosen.val, chosen.held))) + chosen.unreadable
    left_out.tell(left_out.line(f"train fold {fold}", given, "photos", {"unreadable": chosen.unreadable}))


def _answers(part: pd.DataFrame, probabilities: Table) -> pd.DataFrame:
    columns = pd.DataFrame(probabilities, columns=list(classes.columns()), index=part.index)
    return pd.concat([part[["photo", "person", "class"]], columns], axis=1)


def main() -> None:
    """Run from the command line."""
    launch(run)


if __name__ == "__main__":
    main()
