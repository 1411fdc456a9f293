"""A picture of the groups: one a line, the largest first, so that a similarity that is too low is seen."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Final

import numpy as np

from facemask.photos import contact
from facemask.pixels import archive, codec
from facemask.runtime.arrays import Ints

_LINES: Final = 24
_COLUMNS: Final = 10
_NOBODY: Final = np.full((1, 1, 3), 250, np.uint8)


def draw(
    path: Path, group: Ints, faces: Path, name: str, photos: Sequence[str], person: Ints | None = None
) -> None:
    """Draw the largest groups and, evenly spaced by size, some of the others.

    Parameters
    ----------
    path
        JPEG file to write.
    group, faces, name, photos
        See :func:`facemask.recognition.identity.grouped`.
    person
        (N,) whose photos they are, where it is known: a frame is red around whoever is not the group's first person.
    """
    numbers, sizes = np.unique(group, return_counts=True)
    ranked = numbers[np.lexsort((numbers, -sizes))][: (sizes > 1).sum()].tolist()
    half = _LINES // 2
    chosen = ranked[:half] + contact.evenly_spaced(ranked[half:], half)
    tiles = []
    with archive.Reader(faces / name / "crops.zip") as crops:
        for number in chosen:
            places = np.flatnonzero(group == number).tolist()
            shown = contact.evenly_spaced(places, _COLUMNS)
            for place in shown:
                colour = contact.GREY
                if person is not None:
                    colour = contact.GREEN if person[place] == person[places[0]] else contact.RED
                picture = codec.decode(crops.read(f"{photos[place]}.jpg"))
                tiles.append(
                    contact.Tile(picture, (f"{len(places)} photos",) if place == shown[0] else (), colour)
                )
            blank = contact.Tile(_NOBODY, (), (250, 250, 250))
            tiles += [blank] * (_COLUMNS - len(shown))
    title = f"{len(ranked)} groups of two photos and more by face, of {len(group)} photos"
    contact.write(path, contact.sheet(title, tiles, columns=_COLUMNS, size=(96, 80)))
