"""What is measured of a photo: each quantity moves with what it is named after."""

import cv2
import numpy as np
import pandas as pd
import pytest

from facemask.pixels import archive, codec
from facemask.report import facts


@pytest.fixture
def measured(tmp_path):
    rng = np.random.default_rng(0)
    plain = cv2.GaussianBlur(rng.integers(60, 190, (64, 48, 3), dtype=np.uint8), (0, 0), 1)
    crops = {
        "plain": plain,
        "dark": plain // 2,
        "blurred": cv2.GaussianBlur(plain, (0, 0), 3),
        "red": np.clip(plain + np.array([60, 0, -60]), 0, 255).astype(np.uint8),
        "flat": np.full((64, 48, 3), 128, np.uint8),
    }
    path = tmp_path / "crops.zip"
    archive.write(path, {f"{name}.jpg": codec.encode_jpeg(crop) for name, crop in sorted(crops.items())})
    names = [*crops, "broken"]
    manifest = pd.DataFrame({"photo": names, "status": ["ok"] * 5 + ["unreadable"]})
    boxes = pd.DataFrame({"photo": names, "status": ["found", "person"] + ["found"] * 4, "score": 0.9})
    boxes = boxes.assign(y0=10.0, y1=[30.0, 50, 40, 40, 40, 40])
    mattes = pd.DataFrame({"photo": names, "status": ["ok"] * 4 + ["empty", "ok"], "coverage": 0.5})
    return facts.measure(manifest, boxes, mattes, path)


def test_readable_photos_keep_their_order(measured):
    assert measured.index.tolist() == ["plain", "dark", "blurred", "red", "flat"]
    assert list(measured) == list(facts.QUANTITIES)


def test_each_quantity_is_what_it_is_named_after(measured):
    assert measured["brightness"].idxmin() == "dark"
    assert measured["sharpness"]["blurred"] < measured["sharpness"]["plain"]
    assert measured["sharpness"].idxmin() == measured["contrast"].idxmin() == "flat"
    assert measured["warmth"].idxmax() == "red"
    assert np.isfinite(measured["sharpness"]).all()


def test_a_borrowed_box_is_no_face_and_an_empty_matte_no_share(measured):
    assert measured["face"].to_dict() == pytest.approx(
        {"plain": 20, "dark": np.nan, "blurred": 30, "red": 30, "flat": 30}, nan_ok=True
    )
    assert np.isnan(measured["coverage"]["flat"])
