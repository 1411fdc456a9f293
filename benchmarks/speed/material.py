"""The photos that are measured with: a contest folder of real faces, else of drawn people, and lists of its photos."""

from __future__ import annotations

import contextlib
import hashlib
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
import yaml

from benchmarks.speed.outcome import HERE
from facemask.network import reader
from facemask.photos import photos
from facemask.pixels import archive, codec, compose
from facemask.records import raw
from facemask.records.roots import Roots
from facemask.runtime import launch
from facemask.sample import contest
from facemask.settings import loading, params, presets, recipes

SHARED: Final = HERE.parent / "shared"
REAL: Final = SHARED / "data" / "realfaces"
MODEL: Final = SHARED / "models" / "portrait_selfie_320_b1.onnx"
_A_PERSON: Final = 7
_FEWEST: Final = 8  # people that the sample's schema asks for


@dataclass(frozen=True)
class Material:
    """A folder in the contest's layout.

    Attributes
    ----------
    root
        The folder, a copy that may be changed.
    what
        Whose faces these are, in words.
    photos
        As many labelled photos as were asked for, in order of their keys.
    work
        A folder for whatever else is needed; goes with the block.
    """

    root: Path
    what: str
    photos: list[photos.Photo]
    work: Path

    @property
    def where(self) -> Roots:
        """Roots of these photos alone."""
        return Roots(self.root, self.work / "extra", self.work / "synthesise")

    @property
    def paths(self) -> list[Path]:
        """Files of ``photos``."""
        return [self.root / photo.key for photo in self.photos]


@contextlib.contextmanager
def contest_photos(count: int) -> Iterator[Material]:
    """Yield ``count`` photos of people spread over the whole data set; they are gone when the block ends."""
    people = -(-count // _A_PERSON)
    with tempfile.TemporaryDirectory(prefix="facemask-bench-") as folder:
        work = Path(folder)
        root = work / "contest"
        if REAL.is_dir():
            _copy(REAL, root, people)
        else:
            cfg = params.SampleData(train_people=max(people, _FEWEST), eval_people=1, seed=7)
            contest.write(cfg, root)
        keys = sorted(raw.scan(root).train["photo"])[:count]
        chosen = [photos.Photo(key, hashlib.sha256((root / key).read_bytes()).hexdigest()) for key in keys]
        yield Material(root, "real faces" if REAL.is_dir() else "drawn people", chosen, work)


def _copy(source: Path, root: Path, people: int) -> None:
    table = pd.read_csv(source / "train" / "train.csv", dtype=str)
    places = np.unique(np.linspace(0, len(table) - 1, people).round().astype(int))
    table = table.iloc[places]
    (root / "train").mkdir(parents=True)
    table.to_csv(root / "train" / "train.csv", index=False)
    for name in table["path"]:
        shutil.copytree(source / "train" / "images" / name, root / "train" / "images" / name)


def photo_table(some: Sequence[photos.Photo]) -> pd.DataFrame:
    """What finding faces reads of :data:`facemask.records.tables.PHOTOS`: labelled photos of nobody."""
    return pd.DataFrame({"photo": [photo.key for photo in some], "person": "", "set": "labelled"})


def stored(given: Material) -> Path:
    """Folder with ``labelled/crops.zip`` of all photos, whole, as face_crop would store them; made once."""
    folder = given.work / "face_crop"
    if not (folder / "labelled" / "crops.zip").exists():
        size = shipped().face_crop.size
        archive.write(
            folder / "labelled" / "crops.zip",
            (
                (f"{photo.key}.jpg", codec.encode_jpeg(compose.fit(codec.decode(path.read_bytes()), size)))
                for photo, path in zip(given.photos, given.paths, strict=True)
            ),
        )
    return folder


def unpacked(given: Material) -> list[Path]:
    """Files of the photos in :func:`stored`."""
    folder = given.work / "unpacked"
    with archive.Reader(stored(given) / "labelled" / "crops.zip") as crops:
        for photo in given.photos:
            path = folder / f"{photo.key}.jpg"
            if not path.exists():
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_bytes(crops.read(f"{photo.key}.jpg"))
    return [folder / f"{photo.key}.jpg" for photo in given.photos]


def rows(given: Material) -> list[reader.Row]:
    """Rows to read from :func:`stored`."""
    return [reader.Row("labelled", photo.key, False, (0.0, 0.0, 1.0, 1.0)) for photo in given.photos]


def shipped(**sections: Any) -> params.Params:
    """``params.yaml`` with some of its keys replaced."""
    whole = yaml.safe_load((HERE / "params.yaml").read_text())
    return loading.parse(presets.merge(whole, sections), "params.yaml")


def mtcnn() -> params.Mtcnn:
    """The shipped params' MTCNN, be it the only finder or one of several."""
    named = shipped().face_crop.finder
    every = named.finders if isinstance(named, params.InOrder) else (named,)
    return next(cfg for cfg in every if isinstance(cfg, params.Mtcnn))


def matting() -> params.Rembg:
    """The development data's segmentation network."""
    digest = hashlib.sha256(MODEL.read_bytes()).hexdigest()
    return params.Rembg(kind="rembg", model="u2net_custom", path=str(MODEL), sha256=digest)


def recipe(model: str, height: int, **changes: Any) -> recipes.Recipe:
    """The shipped recipe with another network from scratch, on photos ``height`` pixels high and 4/5 as wide.

    Sides are multiples of 32, as the small transformer wants them of 16.
    """
    size = [height, height * 4 // 5 // 32 * 32 or 32]
    train = {
        "image": {"size": size},
        "backbone": {
            "kind": "timm",
            "name": model,
            "weights": {"kind": "scratch"},
            "options": {},
            "pool": {"kind": "native"},
        },
        **changes,
    }
    return recipe_of(shipped(train=train))


def recipe_of(cfg: params.Params) -> recipes.Recipe:
    """The part of the params that training sees."""
    found = launch.view(cfg, recipes.Recipe)
    assert isinstance(found, recipes.Recipe)
    return found
