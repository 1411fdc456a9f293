"""Tell the person from the background: one matte a photo, and a row whether there is one or not.

Run as ``python -m stages.background_removal``.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from facemask.mattes import mattes
from facemask.photos import contact, memo, photos
from facemask.pixels import archive, codec
from facemask.records import tables
from facemask.records.roots import Roots
from facemask.runtime import cluster, files, progress
from facemask.runtime.launch import launch
from facemask.settings import params


def run(
    cfg: params.BackgroundRemoval,
    *,
    engine: params.Engine,
    labels: Path,
    root: Path,
    extra: Path,
    synthetic: Path,
    truth: Path,
    out: Path,
    metrics: Path,
    plot: Path,
) -> None:
    """Read the photos that ``labels`` lists, from ``root``, ``extra`` and ``synthetic``; write mattes to ``out``.

    ``truth``/mattes.zip holds true mattes by content hash of their photo, where they are known.
    """
    where = Roots(root, extra, synthetic)
    table = photos.listed(labels)
    some = photos.readable(table, suffix=".png")
    matting = mattes.build(cfg.matting)
    true = archive.Reader(truth / "mattes.zip")
    rows: dict[str, tuple[str, float]] = {}
    overlaps: list[float] = []
    with files.replacing(out) as folder:
        with (
            memo.opened("background_removal") as kept,
            cluster.workers(engine) as spread,
            archive.writing(folder / "mattes.zip") as images,
        ):
            made = mattes.separate(matting, some, where, kept, spread)
            for photo, cutout in progress.track(
                zip(some, made, strict=True), total=len(some), label="mattes"
            ):
                rows[photo.key] = cutout.status, cutout.coverage
                if cutout.status == "ok":
                    images.add(f"{photo.key}.png", cutout.png)
                if (name := f"{photo.sha256}.png") in true.names and cutout.status in ("ok", "empty"):
                    known = codec.decode_matte(true.read(name))
                    matte = codec.decode_matte(cutout.png) if cutout.png else np.zeros_like(known)
                    overlaps.append(mattes.iou(matte, known))
        found = [rows.get(photo, ("unreadable", 0.0)) for photo in table["photo"]]
        result = pd.DataFrame(found, columns=["status", "coverage"]).assign(photo=table["photo"])
        tables.write(folder / "mattes.csv", result, tables.MATTES)
    files.write_json(metrics, mattes.report(result, overlaps))
    contact.write(plot, _sheet(table.assign(matte=result["status"]), out / "mattes.zip", where))


def _sheet(table: pd.DataFrame, archived: Path, where: Roots) -> contact.Pixels:
    """Twenty-four photos with matte and person on a chequerboard; first those without a matte."""
    seen = table[(table["status"] == "ok") & (table["matte"] != "unreadable")]
    rows = list(zip(seen["photo"], seen["sha256"], seen["kind"], seen["matte"], strict=True))
    lacking = contact.spread([row for row in rows if row[3] != "ok"], 12)
    whole = contact.spread([row for row in rows if row[3] == "ok"], 24 - len(lacking))
    tiles = []
    with archive.Reader(archived) as reader:
        for key, sha256, kind, status in lacking + whole:
            photo = codec.decode(photos.read(where, photos.Photo(key, sha256)))
            matte = np.zeros(photo.shape[:2], dtype=np.uint8)
            if status == "ok":
                matte = codec.decode_matte(reader.read(f"{key}.png"))
            picture = contact.beside(photo, matte, contact.chequered(photo, matte))
            colour = contact.GREEN if status == "ok" else contact.RED
            tiles.append(contact.Tile(picture, (f"{photos.short(key)} {kind}: {status}",), colour))
    title = f"background_removal: {len(table)} photos ({len(seen[seen['matte'] == 'ok'])} mattes)"
    return contact.sheet(title, tiles, columns=4, size=(128, 288))


def main() -> None:
    """Run the stage with the params and paths it was given."""
    launch(run)


if __name__ == "__main__":
    main()
