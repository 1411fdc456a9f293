"""Find the face in every photo and crop to it; every photo keeps its row, found or not.

Run as ``python -m stages.face_crop``.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from facemask.faces import faces, finders
from facemask.photos import contact, memo, photos
from facemask.pixels import archive, codec
from facemask.records import tables
from facemask.records.roots import Roots
from facemask.runtime import cluster, files, progress
from facemask.runtime.launch import launch
from facemask.settings import params

COLOURS = {"found": contact.GREEN, "fixed": contact.GREEN, "person": contact.AMBER, "median": contact.AMBER}


def run(
    cfg: params.FaceCrop,
    *,
    engine: params.Engine,
    labels: Path,
    root: Path,
    extra: Path,
    synthetic: Path,
    out: Path,
    metrics: Path,
    plot: Path,
) -> None:
    """Read the photos that ``labels`` lists, from ``root``, ``extra`` and ``synthetic``; write boxes and crops."""
    where = Roots(root, extra, synthetic)
    table = photos.listed(labels)
    some = photos.readable(table, suffix=".jpg")
    tried = finders.in_order(cfg.finder)
    with memo.opened("face_crop") as kept, cluster.workers(engine) as spread:
        seen = finders.search(tried, some, where, kept, spread)
    boxed = faces.place(cfg, tried, table, seen)
    wanted = int((boxed["status"] != "unreadable").sum())
    with files.replacing(out) as folder:
        with memo.opened("crops") as kept, archive.writing(folder / "crops.zip") as crops:
            made = faces.crops(some, boxed, where, cfg.size, kept)
            for key, image in progress.track(made, total=wanted, label="crops"):
                crops.add(f"{key}.jpg", image)
        tables.write(folder / "boxes.csv", boxed, tables.BOXES)
    files.write_json(metrics, faces.report(boxed, table, tried, seen))
    contact.write(plot, _sheet(boxed.assign(kind=table["kind"]), out / "crops.zip"))


def _sheet(boxed: pd.DataFrame, crops: Path) -> contact.Pixels:
    """Forty crops: first those whose box was borrowed, then found ones."""
    shown = boxed[boxed["status"] != "unreadable"]
    rows = list(zip(shown["photo"], shown["kind"], shown["status"], strict=True))
    borrowed = contact.spread([row for row in rows if row[2] not in ("found", "fixed")], 30)
    plain = contact.spread([row for row in rows if row[2] in ("found", "fixed")], 40 - len(borrowed))
    with archive.Reader(crops) as reader:
        tiles = [
            contact.Tile(
                codec.decode(reader.read(f"{photo}.jpg")),
                (f"{photos.short(photo)} {kind.removesuffix('_mask')}", status),
                COLOURS.get(status, contact.GREY),
            )
            for photo, kind, status in borrowed + plain
        ]
    counts = ", ".join(f"{name} {(boxed['status'] == name).sum()}" for name in sorted(set(boxed["status"])))
    return contact.sheet(f"face_crop: {len(boxed)} photos ({counts})", tiles, columns=10, size=(128, 96))


def main() -> None:
    """Run the stage with the params and paths it was given."""
    launch(run)


if __name__ == "__main__":
    main()
