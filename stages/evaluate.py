"""Score the combined predictions, on the official age bands, out-of-fold and hold-out.

Run as ``python -m stages.evaluate --combined data/combine --manifest data/build_manifest ...``.
"""

from __future__ import annotations

from pathlib import Path

from facemask.ensemble import combiner
from facemask.evaluation import results
from facemask.evaluation.plots import draw
from facemask.records import tables
from facemask.runtime import files
from facemask.runtime.launch import launch
from facemask.scoring import predictions
from facemask.settings import params


def run(
    cfg: params.Evaluate,
    *,
    seed: int,
    manifest: Path,
    combined: Path,
    metrics: Path,
    plots: Path,
) -> None:
    """Read ``manifest/train.csv`` and ``combined``; write JSON ``metrics``, folder ``plots``."""
    rows = tables.read(manifest / tables.TRAIN.name, tables.TRAIN)
    splits = predictions.combined(combined, rows)
    used = combiner.read(combined / "combiner.json").eval_photos_used
    found = {name: results.assess(split, cfg, seed=seed) for name, split in splits.items()}
    summaries = {name: results.summary(result) for name, result in found.items()}
    files.write_json(metrics, {"confidence": cfg.confidence, "eval_photos_used": int(used)} | summaries)
    draw(found, plots)


def main() -> None:
    """Run the stage with the params and paths it was given."""
    launch(run)


if __name__ == "__main__":
    main()
