"""Decide who trains and who validates, how often a photo is seen and which class the trainer sees.

Run as ``python -m stages.build_manifest --labels data/fix_labels --faces data/face_crop --mattes
data/background_removal --out data/build_manifest --metrics metrics/build_manifest.json --plot classes.png``.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from facemask.manifest import class_counts, manifest
from facemask.records import bands, tables
from facemask.runtime import files
from facemask.runtime.launch import launch
from facemask.settings import params


def run(
    cfg: params.BuildManifest,
    cuts: params.Bands,
    *,
    seed: int,
    labels: Path,
    faces: Path,
    mattes: Path,
    out: Path,
    metrics: Path,
    plot: Path,
) -> None:
    """Join ``labels``, ``faces`` and ``mattes``; write ``out``/{train,eval,unlabelled}.csv, bands.json, and a chart."""
    labelled, listed, extra, found = _joined(labels, faces, mattes)
    rows = manifest.train(cfg, cuts, labelled, extra, listed, seed=seed)
    unlabelled = manifest.unlabelled(found, labelled, listed, extra)
    with files.replacing(out) as folder:
        for schema, part in (
            (tables.TRAIN, rows),
            (tables.EVAL_MANIFEST, listed),
            (tables.UNLABELLED_MANIFEST, unlabelled),
        ):
            tables.write(folder / schema.name, part[list(schema.columns)], schema)
        bands.write(folder, bands.Cuts(cuts.young_cut, cuts.age_cut))
    left_out = len(found) - len(unlabelled)
    files.write_json(metrics, manifest.counts(rows, len(listed), len(unlabelled), left_out))
    per_class = manifest.class_counts(rows)
    class_counts.draw(per_class["official"], per_class["balanced"], plot)


def _joined(labels: Path, faces: Path, mattes: Path) -> list[pd.DataFrame]:
    """Labels, eval photos, those of extra data sets and those without labels, with their faces and mattes."""
    sides = manifest.sides(faces, mattes)
    schemas = (tables.LABELS, tables.EVAL, tables.EXTRA, tables.UNLABELLED)
    return [manifest.join(tables.read(labels / schema.name, schema), sides) for schema in schemas]


def main() -> None:
    """Run from the command line."""
    launch(run)


if __name__ == "__main__":
    main()
