"""The contact sheet of the mattes: photos without one first, for a person to look over."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from facemask.photos import contact, photos
from facemask.pixels import archive, codec
from facemask.records.roots import Roots
from facemask.runtime.arrays import Pixels


def draw(table: pd.DataFrame, archived: Path, where: Roots) -> Pixels:
    """Twenty-four photos with matte and person on a chequerboard; first those without a matte."""
    seen = table[(table["status"] == "ok") & (table["matte"] != "unreadable")]
    columns = ("set", "photo", "sha256", "kind", "matte")
    rows = list(zip(*(seen[column] for column in columns), strict=True))
    lacking = contact.evenly_spaced([row for row in rows if row[4] != "ok"], 12)
    whole = contact.evenly_spaced([row for row in rows if row[4] == "ok"], 24 - len(lacking))
    tiles = []
    with archive.Sets(archived, "mattes.zip") as stored:
        for name, key, sha256, kind, status in lacking + whole:
            photo = codec.decode(photos.read(where, photos.Photo(key, sha256)))
            matte = np.zeros(photo.shape[:2], dtype=np.uint8)
            if status == "ok":
                matte = codec.decode_matte(stored.of(name).read(f"{key}.png"))
            picture = contact.beside(photo, matte, contact.chequered(photo, matte))
            colour = contact.GREEN if status == "ok" else contact.RED
            tiles.append(contact.Tile(picture, (f"{photos.short(key)} {kind or name}: {status}",), colour))
    title = f"background_removal: {len(table)} photos ({len(seen[seen['matte'] == 'ok'])} mattes)"
    return contact.sheet(title, tiles, columns=4, size=(128, 288))
