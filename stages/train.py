"""Train one fold: its weights, its out-of-fold and hold-out probabilities, its learning curves."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from facemask import files, params
from facemask.errors import UserError
from facemask.images import reader
from facemask.inference import checkpoints
from facemask.inference.predict import predict
from facemask.launch import launch
from facemask.learning.fit import Side, fit
from facemask.learning.pixels import decoded
from facemask.records import classes, tables


def run(
    cfg: params.Recipe,
    *,
    fold: int,
    seed: int,
    manifest: Path,
    faces: Path,
    mattes: Path,
    out: Path,
    live: Path,
) -> None:
    """Read ``manifest``/train.csv, ``faces`` and ``mattes``; write ``out`` (one fold's folder) and ``live``."""
    table = tables.read(manifest / "train.csv", tables.TRAIN)
    table = table[table["status"] == "ok"]
    inside = table[table["split"] == "train"].reset_index(drop=True)
    held = table[table["split"] == "holdout"].reset_index(drop=True)
    ours = inside["fold"] == fold
    if not ours.any():
        raise UserError(
            f"fold {fold} has no photos in {manifest / 'train.csv'}; set build_manifest.folds above {fold}"
        )
    train, val = inside[~ours & (inside["repeats"] > 0)], inside[ours]
    photos, step = reader.Reader(faces, mattes, cfg.image), cfg.batch_size
    rows = reader.rows(pd.concat([train, val]))
    with decoded(photos, rows, label="photos decoded") as pixels:
        left = _side(train, pixels[: len(train)], train["repeats"].to_numpy())
        right = _side(val, pixels[len(train) :], np.ones(len(val), np.int64))
        fitted = fit(cfg, left, right, seed=seed, live=live)
        if fitted is None:
            return
        models = [fitted.model]
        oof = predict(models, (right.pixels[k : k + step] for k in range(0, len(val), step)), ["identity"])
    holdout = predict(models, photos.stream(reader.rows(held), step), ["identity"])
    counts = np.bincount(left.labels, minlength=classes.COUNT)
    facts = {
        "fold": fold,
        "seed": seed,
        "best_epoch": fitted.epoch,
        "val_macro_f1": round(fitted.macro_f1, 6),
    }
    with files.replacing(out) as folder:
        checkpoints.save(
            folder, checkpoints.Checkpoint(fitted.model.cpu(), cfg, counts / counts.sum()), facts
        )
        for name, part, probabilities in (("oof.csv", val, oof), ("holdout.csv", held, holdout)):
            columns = pd.DataFrame(probabilities, columns=list(classes.columns()), index=part.index)
            whole = pd.concat([part[["photo", "person", "class"]], columns], axis=1)
            tables.write(folder / name, whole, tables.PROBABILITIES)


def _side(part: pd.DataFrame, pixels: np.ndarray, repeats: np.ndarray) -> Side:
    return Side(pixels, part["target"].to_numpy(), part["class"].to_numpy(), repeats)


def main() -> None:
    """Run from the command line."""
    launch(run)


if __name__ == "__main__":
    main()
