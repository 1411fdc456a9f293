"""Pictures: small enough for a page, the worst first, boxes where they are."""

import base64
import io
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facemask.photos import photos
from facemask.records.roots import Roots
from facemask.report import thumbnails
from facemask.settings import loading

NOWHERE = Roots(Path("a"), Path("b"), Path("c"))


def test_the_shipped_counts_keep_the_page_below_five_megabytes(repository):
    """Whoever is in them: pictures are as large as those of noise at most."""
    noise = np.random.default_rng(0).integers(0, 256, (512, 384, 3), dtype=np.uint8)
    cfg = loading.load(repository / "params.yaml").report
    pictures = 4 * cfg.mistakes + 3 * cfg.sheet
    assert pictures * len(thumbnails.uri(noise)) < 4_000_000


def test_a_picture_is_shrunk_and_keeps_its_shape():
    kind, data = thumbnails.uri(np.zeros((512, 384, 3), np.uint8)).split(",")
    assert kind == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(base64.b64decode(data))).size == (126, 168)


@pytest.fixture
def found(monkeypatch):
    """Contact sheet of boxes on grey photos of 100 x 200 pixels (height, width)."""
    stream = io.BytesIO()
    Image.fromarray(np.full((100, 200, 3), 128, np.uint8)).save(stream, "PNG")
    monkeypatch.setattr(photos, "read", lambda where, photo: stream.getvalue())
    rows = [
        ("sure", "found", 0.99, 50.0),
        ("borrowed", "person", np.nan, np.nan),
        ("unsure", "found", 0.61, 50.0),
        ("unreadable", "unreadable", np.nan, np.nan),
    ]
    table = pd.DataFrame(rows, columns=["photo", "status", "score", "x0"])
    table = table.assign(
        y0=table["x0"] - 25, x1=table["x0"] + 50, y1=table["x0"] + 25, sha256="", kind="mask1"
    )
    return table.assign(cx0=-20.0, cy0=0.0, cx1=100.0, cy1=100.0, turn=[12.0, np.nan, 12.0, np.nan])


def test_the_worst_come_first_and_unreadable_ones_not_at_all(found):
    tiles = thumbnails.boxes(found, NOWHERE, 9)
    assert [tile.title for tile in tiles] == ["borrowed", "unsure", "sure"]
    assert [tile.good for tile in tiles] == [False, True, True]
    assert len(thumbnails.boxes(found, NOWHERE, 2)) == 2


def test_boxes_are_percent_of_the_photo(found):
    borrowed, unsure, _ = thumbnails.boxes(found, NOWHERE, 9)
    assert borrowed.face is None
    assert unsure.face == thumbnails.Box(25.0, 25.0, 25.0, 50.0)
    assert unsure.crop == thumbnails.Box(-10.0, 0.0, 60.0, 100.0, 12.0)
