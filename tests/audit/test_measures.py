"""What is measured on crops, and which photos are suspects by it."""

from __future__ import annotations

import functools
import io
import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facemask.audit import measures, quality
from facemask.pixels import archive, codec
from facemask.recognition import framing
from facemask.records import tables
from facemask.runtime import executor
from facemask.runtime.arrays import Pixels
from facemask.settings import params

WHOLE = (0.0, 0.0, 1.0, 1.0)
FACE = (0.2, 0.2, 0.8, 0.8)


def picture(seed: int = 0, size: tuple[int, int] = (128, 96)) -> Pixels:
    """Smooth shapes, as a face has, and fine grain."""
    rng = np.random.default_rng(seed)
    coarse = cv2.resize(rng.uniform(60, 190, (24, 18, 3)), size[::-1], interpolation=cv2.INTER_CUBIC)
    return (coarse + rng.normal(0, 6, coarse.shape)).clip(0, 255).astype(np.uint8)


def distance(first: measures.Measure, second: measures.Measure) -> int:
    bits = [np.unpackbits(np.frombuffer(one.hash, np.uint8)) for one in (first, second)]
    return int((bits[0] != bits[1]).sum())


@pytest.fixture
def cfg(toy_params: params.Params) -> params.Audit:
    return toy_params.audit


def test_the_hash_stays_under_what_copies_go_through() -> None:
    image = picture()
    plain = measures.one(image, FACE)
    stream = io.BytesIO()
    Image.fromarray(image).save(stream, "JPEG", quality=40)
    again = codec.decode(stream.getvalue())
    small = cv2.resize(image, None, fx=0.5, fy=0.5, interpolation=cv2.INTER_AREA)
    darker = (image * 0.8).astype(np.uint8)
    assert max(distance(plain, measures.one(one, FACE)) for one in (again, small, darker)) <= 32
    assert min(distance(plain, measures.one(picture(seed), FACE)) for seed in range(1, 9)) > 64


def test_blur_darkness_and_flatness_are_seen() -> None:
    image = picture()
    plain = measures.one(image, FACE)
    assert measures.one(cv2.GaussianBlur(image, (0, 0), 3), FACE).sharpness < 0.1 * plain.sharpness
    assert measures.one(image // 4, FACE).brightness == pytest.approx(plain.brightness / 4, abs=1)
    for value in (0, 128, 255):
        assert measures.one(np.full_like(image, value), FACE).contrast == 0


@pytest.mark.parametrize(("columns", "rows"), [(0, 0), (24, 0), (0, 32), (12, 64)])
def test_the_part_of_a_face_beyond_the_photo_is_that_which_repeats_its_edge(columns: int, rows: int) -> None:
    image = picture(size=(160, 120))
    photo = image[: 160 - rows, : 120 - columns]
    padded = cv2.copyMakeBorder(photo, 0, rows, 0, columns, cv2.BORDER_REPLICATE)
    stored = codec.decode_jpeg(codec.encode_jpeg(padded))
    beyond = measures.one(stored, WHOLE).beyond
    assert beyond == pytest.approx((columns / 120, rows / 160), abs=0.02)
    # Where the face ends before the photo does, none of it is lacking.
    assert measures.one(stored, (0.1, 0.1, 0.5, 0.5)).beyond == (0, 0)


def written(folder: Path, images: dict[str, Pixels], faces: dict[str, tuple[float, ...]]) -> pd.DataFrame:
    """Archive and boxes of a set, crop boxes being those of the whole picture."""
    archive.write(
        folder / "labelled" / "crops.zip",
        {f"{key}.jpg": codec.encode_jpeg(image) for key, image in images.items()},
    )
    rows = [
        (key, "found", 0.9, 1, *faces.get(key, (20, 20, 76, 108)), 0, 0, image.shape[1], image.shape[0])
        for key, image in images.items()
    ]
    columns = ["photo", "status", "score", "faces", "x0", "y0", "x1", "y1", "cx0", "cy0", "cx1", "cy1"]
    boxes = pd.DataFrame(rows, columns=columns).reindex(columns=list(tables.BOXES.columns))
    return boxes.assign(folder=boxes["photo"].map(lambda key: Path(key).parent.name))


def test_each_fault_is_found_alone(tmp_path: Path, cfg: params.Audit) -> None:
    good = {f"train/images/p/{number}": picture(number) for number in range(7)}
    images = good | {
        "train/images/p/blank": np.full_like(good["train/images/p/0"], 2),
        "train/images/p/blurred": cv2.GaussianBlur(picture(7), (0, 0), 4),
        "train/images/p/cut": picture(8),
        "train/images/p/dark": (picture(9) * 0.2).astype(np.uint8),
        "train/images/p/small": picture(10),
    }
    faces = {
        "train/images/p/cut": (-28.0, 20.0, 28.0, 108.0),
        "train/images/p/small": (40.0, 40.0, 60.0, 70.0),
    }
    boxes = written(tmp_path, images, faces)
    pool = functools.partial(executor.threads, workers=2)
    measured = measures.measure(framing.jobs(boxes, "labelled"), tmp_path, cfg.network, pool)
    assert list(measured) == list(images)
    found = {one.photo.rpartition("/")[2]: one for one in quality.find(cfg, boxes, measured)}
    assert {name: one.reason.split()[0] for name, one in found.items()} == {
        name: name for name in ("blank", "blurred", "cut", "dark", "small")
    }
    assert all(0.5 <= one.score <= 1 and one.field == "" and one.person == "p" for one in found.values())
    assert found["cut"].seen == "50%"
    assert found["small"].seen == "30"


def test_the_limits_are_those_of_the_params(tmp_path: Path, toy_yaml: dict[str, Any]) -> None:
    images = {f"train/images/p/{number}": picture(number) for number in range(3)}
    boxes = written(tmp_path, images, {"train/images/p/0": (-6.0, 20.0, 54.0, 100.0)})
    pool = functools.partial(executor.threads, workers=1)

    def reasons(**changes: object) -> list[str]:
        cfg = params.Audit.model_validate_json(json.dumps(toy_yaml["audit"] | changes))
        measured = measures.measure(framing.jobs(boxes, "labelled"), tmp_path, cfg.network, pool)
        return sorted(one.reason for one in quality.find(cfg, boxes, measured))

    nothing: dict[str, object] = {"small": 0, "cut": 1, "blur": 0, "dark": 0, "blank": 0}
    assert reasons(**nothing) == []
    assert reasons(**nothing | {"small": 81}) == ["small face"]
    assert reasons(**nothing | {"cut": 0.05}) == ["cut face"]
    assert reasons(**nothing | {"blur": 1}) == ["blurred face"]
    assert reasons(**nothing | {"dark": 255}) == ["dark face"] * 3
    assert reasons(**nothing | {"blank": 255, "dark": 255}) == ["blank photo"] * 3


@pytest.mark.slow
def test_processes_measure_the_same_as_one(tmp_path: Path, cfg: params.Audit) -> None:
    images = {f"train/images/p/{number:03d}": picture(number, (48, 36)) for number in range(130)}
    some = framing.jobs(written(tmp_path, images, {}), "labelled")

    def measured(pool: Callable[..., Any]) -> dict[str, measures.Measure]:
        return measures.measure(some, tmp_path, cfg.network, pool)

    alone = measured(functools.partial(executor.processes, workers=1))
    assert measured(functools.partial(executor.processes, workers=2)) == alone
