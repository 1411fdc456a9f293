"""Decide who trains and who validates, how often a photo is seen and which class the trainer sees.

Run as ``python -m stages.build_manifest``.
"""

from __future__ import annotations

from pathlib import Path

from facemask.manifest import class_counts, manifest
from facemask.records import bands, left_out, tables
from facemask.runtime import files
from facemask.runtime.launch import launch
from facemask.settings import params


def run(
    cfg: params.BuildManifest,
    cuts: params.Bands,
    *,
    seed: int,
    photo_table: Path,
    faces: Path,
    mattes: Path,
    out: Path,
) -> None:
    """Join ``photo_table``, ``faces`` and ``mattes``; write ``out``.

    ``out``/<set> then holds manifest.csv, ``out``/labelled also bands.json, ``out``/about counts.json and classes.png.
    """
    joined = manifest.joined(tables.read(photo_table, tables.PHOTOS), faces, mattes)
    labelled, listed, extra, found = (joined[name] for name in tables.SETS)
    rows = manifest.train(cfg, cuts, labelled, extra, listed, seed=seed)
    unlabelled = manifest.unlabelled(found, labelled, listed, extra)
    written = {
        "labelled": (rows[rows["set"] == "labelled"], tables.MANIFEST),
        "eval": (listed, tables.UNLABELLED_MANIFEST),
        "extra": (rows[rows["set"] == "extra"], tables.MANIFEST),
        "unlabelled": (unlabelled, tables.UNLABELLED_MANIFEST),
    }
    with files.replacing(out) as folder:
        for name, (part, schema) in written.items():
            tables.write(folder / name / schema.name, part[list(schema.columns)], schema)
        bands.write(folder / "labelled", bands.Cuts(cuts.young_cut, cuts.age_cut))
        counts = manifest.counts(rows, len(listed), len(unlabelled), len(found) - len(unlabelled))
        told = manifest.told(rows, listed, found, unlabelled)
        files.write_json(folder / "about" / "counts.json", counts)
        left_out.keep(folder / "about", told)
        per_class = manifest.class_counts(rows)
        class_counts.draw(per_class["official"], per_class["balanced"], folder / "about" / "classes.png")
    left_out.tell(told)


def main() -> None:
    """Run from the command line."""
    launch(run)


if __name__ == "__main__":
    main()
