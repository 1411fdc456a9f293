"""Decide who trains and who validates, how often a photo is seen and which class the trainer sees.

Run as ``python -m stages.build_manifest --labels data/fix_labels --faces data/face_crop --mattes
data/background_removal --out data/build_manifest --metrics metrics/build_manifest.json --plot classes.png``.
"""

from __future__ import annotations

from pathlib import Path

from facemask import files, params
from facemask.launch import launch
from facemask.records import manifest, tables
from facemask.scoring import class_counts


def run(
    cfg: params.BuildManifest,
    bands: params.Bands,
    *,
    seed: int,
    labels: Path,
    faces: Path,
    mattes: Path,
    out: Path,
    metrics: Path,
    plot: Path,
) -> None:
    """Join ``labels``, ``faces`` and ``mattes``; write ``out``/{train,eval}.csv, ``metrics`` and a chart."""
    sides = manifest.sides(faces, mattes)
    labelled = manifest.join(tables.read(labels / "labels.csv", tables.LABELS), sides)
    listed = manifest.join(tables.read(labels / "eval.csv", tables.EVAL), sides)
    rows = manifest.train(cfg, bands, labelled, seed=seed)
    with files.replacing(out) as folder:
        tables.write(folder / "train.csv", rows[list(tables.TRAIN.columns)], tables.TRAIN)
        tables.write(folder / "eval.csv", listed[list(tables.EVAL_MANIFEST.columns)], tables.EVAL_MANIFEST)
    files.write_json(metrics, manifest.counts(rows, len(listed)))
    per_class = manifest.class_counts(rows)
    class_counts.draw(per_class["official"], per_class["balanced"], plot)


def main() -> None:
    """Run from the command line."""
    launch(run)


if __name__ == "__main__":
    main()
