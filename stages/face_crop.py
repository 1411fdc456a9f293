"""Find the face in every photo and crop to it; every photo keeps its row, found or not.

Run as ``python -m stages.face_crop``.
"""

from __future__ import annotations

import itertools
from pathlib import Path

from facemask.faces import faces, finders, sheet
from facemask.photos import contact, memo, photos
from facemask.pixels import archive
from facemask.records import left_out, tables
from facemask.records.roots import Roots
from facemask.runtime import cluster, files, progress
from facemask.runtime.launch import launch
from facemask.settings import params


def run(
    cfg: params.FaceCrop,
    *,
    engine: params.Engine,
    photo_table: Path,
    root: Path,
    extra: Path,
    synthetic: Path,
    out: Path,
) -> None:
    """Read the photos of ``photo_table`` from ``root``, ``extra`` and ``synthetic``; write ``out``.

    ``out``/<set> then holds boxes.csv and crops.zip, ``out``/about counts.json and sheet.jpg.
    """
    where = Roots(root, extra, synthetic)
    table = tables.read(photo_table, tables.PHOTOS)
    some = photos.by_set(table, suffix=".jpg")
    tried = finders.in_order(cfg.finder)
    with memo.opened("face_crop") as kept, cluster.workers(engine) as pool:
        seen = finders.search(tried, list(itertools.chain(*some.values())), where, kept, pool)
    boxed = faces.place(cfg, tried, table, seen)
    counts = {}
    with files.replacing(out) as folder, memo.opened("crops") as kept:
        for name, chosen in some.items():
            part = boxed[table["set"] == name]
            wanted = int((part["status"] != "unreadable").sum())
            with archive.writing(folder / name / "crops.zip") as crops:
                made = faces.crops(chosen, part, where, cfg.size, kept)
                for key, image in progress.track(made, total=wanted, label=f"crops of {name} photos"):
                    crops.add(f"{key}.jpg", image)
            tables.write(folder / name / "boxes.csv", part, tables.BOXES)
            counts[name] = faces.report(part, table.loc[part.index], tried, seen)
        told = faces.told(boxed["status"])
        files.write_json(folder / "about" / "counts.json", counts)
        left_out.keep(folder / "about", told)
        contact.write(
            folder / "about" / "sheet.jpg",
            sheet.draw(boxed.assign(kind=table["kind"], set=table["set"]), folder),
        )
    left_out.tell(told)


def main() -> None:
    """Run the stage with the params and paths it was given."""
    launch(run)


if __name__ == "__main__":
    main()
