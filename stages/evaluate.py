"""Score what the folds predicted, on the official age bands, out-of-fold and hold-out.

Run as ``python -m stages.evaluate --models models/train --manifest data/build_manifest ...``.
"""

from __future__ import annotations

from pathlib import Path

from facemask import files, params
from facemask.launch import launch
from facemask.records import tables
from facemask.scoring import predictions, results
from facemask.scoring.plots import draw


def run(
    cfg: params.Evaluate,
    folds: params.Folds,
    *,
    seed: int,
    models: Path,
    manifest: Path,
    metrics: Path,
    plots: Path,
) -> None:
    """Read ``manifest/train.csv`` and ``models/fold<k>/*.csv``; write JSON ``metrics``, folder ``plots``."""
    rows = tables.read(manifest / tables.TRAIN.name, tables.TRAIN)
    splits = {"oof": predictions.out_of_fold(models, folds.folds, rows)}
    held_out = predictions.hold_out(models, folds.folds, rows)
    if held_out is not None:
        splits["holdout"] = held_out
    found = {name: results.assess(split, cfg, seed=seed) for name, split in splits.items()}
    summaries = {name: results.summary(result) for name, result in found.items()}
    files.write_json(metrics, {"confidence": cfg.confidence} | summaries)
    draw(found, plots)


def main() -> None:
    """Run the stage with the params and paths it was given."""
    launch(run)


if __name__ == "__main__":
    main()
