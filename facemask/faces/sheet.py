"""The contact sheet of the crops: borrowed boxes first, for a person to look over."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from facemask.photos import contact, photos
from facemask.pixels import archive, codec
from facemask.runtime.arrays import Pixels

COLOURS = {"found": contact.GREEN, "fixed": contact.GREEN, "person": contact.AMBER, "median": contact.AMBER}


def draw(boxed: pd.DataFrame, crops: Path) -> Pixels:
    """Forty crops: first those whose box was borrowed, then found ones."""
    shown = boxed[boxed["status"] != "unreadable"]
    rows = list(zip(shown["set"], shown["photo"], shown["kind"], shown["status"], strict=True))
    borrowed = contact.evenly_spaced([row for row in rows if row[3] not in ("found", "fixed")], 30)
    plain = contact.evenly_spaced([row for row in rows if row[3] in ("found", "fixed")], 40 - len(borrowed))
    tiles = []
    with archive.Sets(crops, "crops.zip") as stored:
        for name, photo, kind, status in borrowed + plain:
            what = f"{photos.short(photo)} {kind.removesuffix('_mask') or name}"
            picture = codec.decode(stored.of(name).read(f"{photo}.jpg"))
            tiles.append(contact.Tile(picture, (what, status), COLOURS.get(status, contact.GREY)))
    counts = ", ".join(f"{name} {(boxed['status'] == name).sum()}" for name in sorted(set(boxed["status"])))
    return contact.sheet(f"face_crop: {len(boxed)} photos ({counts})", tiles, columns=10, size=(128, 96))
