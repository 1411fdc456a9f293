"""Look for labels and photos that seem wrong, and rank them for a person to review.

Run as ``python -m stages.audit``; ``python -m facemask review`` shows what it found.
"""

from __future__ import annotations

import functools
from pathlib import Path

from facemask.audit import duplicates, facts, labels, measures, noise, quality, suspects
from facemask.recognition import framing
from facemask.records import tables
from facemask.runtime import cluster, executor, files, hardware
from facemask.runtime.launch import launch
from facemask.scoring import predictions
from facemask.settings import params


def run(
    cfg: params.Audit,
    *,
    engine: params.Engine,
    photo_table: Path,
    about: Path,
    faces: Path,
    manifest: Path,
    combined: Path,
    out: Path,
) -> None:
    """Read ``photo_table`` and ``about`` it, ``faces``, ``manifest`` and ``combined`` predictions; write ``out``.

    ``out`` then holds suspects.csv and about.json.
    """
    photos = tables.read(photo_table, tables.PHOTOS)
    rows = facts.rows(photos, manifest)
    labelled = tables.read(manifest / "labelled" / tables.MANIFEST.name, tables.MANIFEST)
    splits = predictions.combined(combined, labelled)
    asked = labels.collect(*facts.predicted(photos, splits))
    boxes = facts.boxes(faces)
    # Threads: a few milliseconds a photo, most of them outside Python, and processes would take seconds to start.
    threads = functools.partial(executor.threads, workers=hardware.cores())
    with cluster.workers(engine, local=threads) as pool:
        jobs = [job for name, part in boxes.items() for job in framing.jobs(part, name)]
        measured = measures.measure(jobs, faces, cfg.network, pool)
    found = labels.find(asked, cfg.score)
    found += duplicates.find(cfg, rows, measured)
    for name in ("labelled", "extra"):
        found += quality.find(cfg, boxes[name].merge(photos[["photo", "folder"]], on="photo"), measured)
    ranked = suspects.ranked(found, facts.dataset(about))
    with files.replacing(out) as folder:
        tables.write(folder / suspects.TABLE.name, ranked, suspects.TABLE)
        files.write_json(folder / "about.json", facts.summary(ranked, asked, photos, noise.summary(asked)))


def main() -> None:
    """Run from the command line."""
    launch(run)


if __name__ == "__main__":
    main()
