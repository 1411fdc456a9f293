"""Separate the person from the background: one matte a photo, and a row whether there is one or not.

Run as ``python -m stages.background_removal``.
"""

from __future__ import annotations

import contextlib
from pathlib import Path

import pandas as pd

from facemask.mattes import mattes, sheet
from facemask.photos import contact, memo, photos
from facemask.pixels import archive
from facemask.records import left_out, tables
from facemask.records.roots import Roots
from facemask.runtime import cluster, files, progress
from facemask.runtime.launch import launch
from facemask.settings import params


def run(
    cfg: params.BackgroundRemoval,
    *,
    engine: params.Engine,
    photo_table: Path,
    root: Path,
    extra: Path,
    synthetic: Path,
    out: Path,
) -> None:
    """Read the photos of ``photo_table`` from ``root``, ``extra`` and ``synthetic``; write ``out``.

    ``out``/<set> then holds mattes.csv and mattes.zip, ``out``/about counts.json and sheet.jpg.
    """
    where = Roots(root, extra, synthetic)
    table = tables.read(photo_table, tables.PHOTOS)
    some = photos.by_set(table, suffix=".png")
    matting = mattes.build(cfg.matting)
    every = [(name, photo) for name, chosen in some.items() for photo in chosen]
    rows: dict[str, tuple[str, float]] = {}
    counts = {}
    with files.replacing(out) as folder:
        with (
            memo.opened("background_removal") as kept,
            cluster.workers(engine) as pool,
            contextlib.ExitStack() as archives,
        ):
            images = {
                name: archives.enter_context(archive.writing(folder / name / "mattes.zip")) for name in some
            }
            made = mattes.separate(matting, [photo for _, photo in every], where, kept, pool)
            for (name, photo), cutout in progress.track(
                zip(every, made, strict=True), total=len(every), label="mattes"
            ):
                rows[photo.key] = cutout.status, cutout.coverage
                if cutout.status == "ok":
                    images[name].add(f"{photo.key}.png", cutout.png)
        found = [rows.get(photo, ("unreadable", 0.0)) for photo in table["photo"]]
        result = pd.DataFrame(found, columns=["status", "coverage"]).assign(photo=table["photo"])
        for name in some:
            part = result[table["set"] == name]
            tables.write(folder / name / "mattes.csv", part, tables.MATTES)
            counts[name] = mattes.report(part)
        told = mattes.told(result["status"])
        files.write_json(folder / "about" / "counts.json", counts)
        left_out.keep(folder / "about", told)
        contact.write(
            folder / "about" / "sheet.jpg", sheet.draw(table.assign(matte=result["status"]), folder, where)
        )
    left_out.tell(told)


def main() -> None:
    """Run the stage with the params and paths it was given."""
    launch(run)


if __name__ == "__main__":
    main()
