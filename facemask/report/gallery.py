"""The page's pictures: mistakes and hits with their heat maps, and contact sheets."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import pandas as pd

from facemask.pixels import archive, codec
from facemask.records import classes
from facemask.report import examples, thumbnails
from facemask.report.examples import Example
from facemask.report.inputs import SHOWN, Inputs, Places
from facemask.report.thumbnails import Tile
from facemask.runtime.arrays import Pixels


@dataclass(frozen=True)
class Shown:
    """An answered photo: its key and kind, answer and truth with probabilities, and data URIs, empty without photos."""

    photo: str
    kind: str
    answer: str
    truth: str
    sure: float
    doubt: float
    right: bool
    crop: str
    heat: str


def mistakes(given: Inputs, places: Places, count: int, *, photos: bool) -> list[tuple[Shown, Shown | None]]:
    """The most confident mistakes out-of-fold, each with a hit; pictures only where ``photos`` are wanted."""
    chosen = examples.pairs(given.splits["oof"], count)
    flat = [one for pair in chosen for one in pair if one is not None]
    pictures: Mapping[str, tuple[str, str]] = {}
    if photos and flat:
        pictures = _pictures(given, places, flat)
    kinds = given.manifest.set_index("photo")["kind"]

    def shown(one: Example) -> Shown:
        names = classes.NAMES[one.answer], classes.NAMES[one.truth]
        right = one.answer == one.truth
        return Shown(
            one.photo,
            kinds[one.photo],
            *names,
            one.sure,
            one.doubt,
            right,
            *pictures.get(one.photo, ("", "")),
        )

    return [(shown(wrong), None if hit is None else shown(hit)) for wrong, hit in chosen]


def sheets(given: Inputs, places: Places, count: int) -> dict[str, list[Tile]]:
    """Contact sheets by heading: photos of each shown set with their boxes, and mattes."""
    about = given.photos.set_index("photo")[["set", "kind", "sha256"]]
    found = {
        f"{name} photos": thumbnails.boxes(given.boxes[name].join(about, on="photo"), places.photos, count)
        for name in SHOWN
    }
    cut = pd.concat([given.mattes[name] for name in SHOWN], ignore_index=True).join(about, on="photo")
    with archive.Sets(places.mattes, "mattes.zip") as stored:
        found["mattes"] = thumbnails.mattes(cut, places.photos, stored, count)
    return {name: tiles for name, tiles in found.items() if tiles}


def groups(places: Places) -> str:
    """Infer's picture of the eval photos grouped by face, as a data URI."""
    page = codec.decode((places.answered / "groups.jpg").read_bytes())
    return thumbnails.uri(page, longest=max(page.shape))


def _pictures(given: Inputs, places: Places, chosen: Sequence[Example]) -> dict[str, tuple[str, str]]:
    """Crop and heat map by photo, from the network that has not seen the person."""
    # Here and not above: torch takes seconds to import, and a page without photos needs none.
    from facemask.network import checkpoints, reader
    from facemask.report import gradcam

    rows = given.manifest.set_index("photo", drop=False).loc[[one.photo for one in chosen]]
    found: dict[str, tuple[str, str]] = {}
    with archive.Sets(places.faces, "crops.zip") as stored:
        crops: dict[str, Pixels] = {
            key: codec.decode_jpeg(stored.of("labelled").read(f"{key}.jpg")) for key in rows["photo"]
        }
    for fold, part in rows.groupby("fold"):
        trained = checkpoints.load(places.models / f"fold{fold}")
        photos = reader.PhotoReader(places.faces, places.mattes, trained.recipe.image)
        seen = np.stack([photos.read(row) for row in reader.rows(part)])
        answers = {one.photo: one.answer for one in chosen}
        heated = gradcam.heat(trained.model, seen, np.array([answers[key] for key in part["photo"]]))
        for place, key in enumerate(part["photo"]):
            map_ = "" if heated is None else thumbnails.uri(gradcam.overlay(crops[key], heated[place]))
            found[key] = thumbnails.uri(crops[key]), map_
    return found
