"""Alignment: planted similarities are found, landmarks land on the template, and photos without keep their box."""

from __future__ import annotations

import hypothesis
import numpy as np
import pandas as pd
import pytest
from hypothesis import strategies as st

from facemask.faces import alignment, faces, finders
from facemask.faces.finders import Detection
from facemask.pixels import boxes
from facemask.records import tables
from facemask.settings import params

ARCFACE = alignment.TEMPLATES["arcface"]
POINTS = np.array(ARCFACE.points)
ALIGN = {"kind": "similarity", "template": "arcface", "margin": 0.0}


def planted(scale: float, turn: float, x: float, y: float) -> np.ndarray:
    """The template's landmarks as they lie in a photo, (5, 2)."""
    moved = scale * np.exp(1j * np.radians(turn)) * (POINTS @ [1, 1j]) + complex(x, y)
    return np.column_stack([moved.real, moved.imag])


@pytest.mark.slow
@hypothesis.given(
    st.floats(0.3, 5), st.floats(-179, 179), st.floats(-300, 300), st.floats(-300, 300), st.floats(-0.2, 1)
)
def test_a_planted_similarity_is_found(scale: float, turn: float, x: float, y: float, margin: float) -> None:
    found = alignment.aligned(planted(scale, turn, x, y), ARCFACE, margin, (112, 112))
    assert found is not None
    box, degrees = found
    assert degrees == pytest.approx(turn, abs=1e-3)
    assert box[2] - box[0] == pytest.approx(112 * scale * (1 + 2 * margin))
    assert box[3] - box[1] == pytest.approx(112 * scale * (1 + 2 * margin))
    middle = planted(scale, turn, x, y).mean(0) + scale * (
        np.array(
            [
                [np.cos(np.radians(turn)), -np.sin(np.radians(turn))],
                [np.sin(np.radians(turn)), np.cos(np.radians(turn))],
            ]
        )
        @ (55.5 - POINTS.mean(0))
    )
    assert np.allclose([(box[0] + box[2]) / 2, (box[1] + box[3]) / 2], middle + 0.5)


@pytest.mark.parametrize("turn", [-40.0, 0.0, 25.0])
def test_landmarks_land_on_the_template(turn: float) -> None:
    """Bright dots at the landmarks of a photo are where the template says in the crop."""
    points = planted(1.6, turn, 130, 90)
    for k in range(5):
        photo = np.zeros((512, 384), np.uint8)
        x, y = points[k]
        rows, columns = np.mgrid[0:512, 0:384]
        photo[(rows - y) ** 2 + (columns - x) ** 2 < 16] = 255
        found = alignment.aligned(points, ARCFACE, 0.0, (112, 112))
        assert found is not None
        crop = boxes.crop(photo, found[0], (112, 112), found[1]).astype(float)
        rows, columns = np.mgrid[0:112, 0:112]
        at = [(crop * columns).sum() / crop.sum(), (crop * rows).sum() / crop.sum()]
        assert np.allclose(at, POINTS[k], atol=0.35)


@pytest.mark.parametrize("points", [np.full((5, 2), np.nan), np.full((5, 2), 7.0)])
def test_points_that_are_unknown_or_one_give_no_similarity(points: np.ndarray) -> None:
    assert alignment.aligned(points, ARCFACE, 0.0, (112, 112)) is None


def place(align: dict[str, object], **points: np.ndarray | None) -> pd.DataFrame:
    """Boxes of photos in which a finder saw one face, with these landmarks or with none."""
    cfg = params.FaceCrop.model_validate(
        {
            "finder": params.Mtcnn(kind="mtcnn", min_face=56.12, thresholds=(0.6, 0.7, 0.7)),
            "choose": "largest",
            "fallback": ("median",),
            "margin": 0.2,
            "align": align,
            "size": (112, 112),
        }
    )
    table = pd.DataFrame({"photo": list(points), "person": list(points), "set": "labelled"})
    faced = np.array([[100.0, 120, 200, 240, 0.9]])
    seen = {
        name: Detection((512, 384), faced, points=None if there is None else there.reshape(1, 10))
        for name, there in points.items()
    }
    return faces.place(cfg, finders.in_order(cfg.finder), table, seen).set_index("photo")


def test_a_photo_without_landmarks_is_cut_by_its_box_and_says_so() -> None:
    result = place(ALIGN, a=planted(1.1, 12, 95, 120), b=None)
    assert result.loc["a", "turn"] == pytest.approx(12, abs=1e-3)
    assert np.allclose(result.loc["a", list(tables.POINTS)].astype(float), planted(1.1, 12, 95, 120).ravel())
    assert np.isnan(result.loc["b", "turn"])
    plain = place({"kind": "none"}, a=planted(1.1, 12, 95, 120), b=None)
    corners = ["cx0", "cy0", "cx1", "cy1"]
    assert np.allclose(result.loc["b", corners].astype(float), plain.loc["b", corners].astype(float))
    assert plain["turn"].isna().all()
    # Whether aligned or not, the face's own box stays.
    assert np.allclose(result.loc["a", ["x0", "y0", "x1", "y1"]].astype(float), [100, 120, 200, 240])
    assert faces.report(result.reset_index(), pd.DataFrame({"kind": ["", ""]}), [], {})["aligned"] == 1


def test_a_finder_without_landmarks_cannot_align() -> None:
    with pytest.raises(ValueError, match="needs a finder that sees landmarks"):
        params.FaceCrop.model_validate(
            {
                "finder": {"kind": "none"},
                "choose": "largest",
                "fallback": (),
                "margin": 0.0,
                "align": ALIGN,
                "size": (112, 112),
            }
        )


@pytest.mark.slow
def test_both_detectors_see_the_same_points(shared) -> None:
    """On real faces without masks the two place landmarks within a few pixels, the same eye first."""
    from facemask.detectors import mtcnn, yunet
    from facemask.pixels import codec

    listed = sorted((shared / "data" / "realfaces" / "train" / "images").glob("*/normal.*"))[:40:4]
    photos = [codec.decode(path.read_bytes()) for path in listed]
    cfg = params.YuNet(
        kind="yunet",
        path=str(shared / "models" / "face_detection_yunet_2023mar.onnx"),
        sha256="8f2383e4dd3cfbb4553ea8718107fc0423210dc964f9f4280604804ed2552fa4",
        score=0.6,
        height=256,
    )
    ours = yunet.Detector(cfg).landmarks(photos)
    theirs = mtcnn.Networks(56.12, (0.6, 0.7, 0.7)).landmarks(photos)
    away = [
        np.abs(a[0, 5:] - b[0, 5:]).max() / (a[0, 3] - a[0, 1]) for a, b in zip(ours, theirs, strict=True)
    ]
    # Left and right swapped, the eyes alone would be away by four tenths of a face.
    assert np.median(away) < 0.06 and max(away) < 0.2
