"""Cutting out: coordinates map where they should, inside the photo and outside it."""

from __future__ import annotations

import numpy as np
import pytest

from facemask.pixels import boxes


def ramp(height: int = 120, width: int = 100) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([y, x, y + x], axis=2).astype(np.uint8)


@pytest.mark.parametrize("box", [(10, 20, 70, 100), (0, 0, 100, 120), (33.3, 12.7, 81.2, 76.5)])
def test_a_ramp_keeps_its_coordinates(box: tuple[float, float, float, float]) -> None:
    size = (40, 30)
    crop = boxes.crop(ramp(), box, size).astype(float)
    rows = box[1] + (np.arange(40) + 0.5) * (box[3] - box[1]) / 40 - 0.5
    columns = box[0] + (np.arange(30) + 0.5) * (box[2] - box[0]) / 30 - 0.5
    assert crop.shape == (40, 30, 3)
    assert np.abs(crop[..., 0] - rows[:, None]).max() < 1.6
    assert np.abs(crop[..., 1] - columns[None, :]).max() < 1.6


def test_outside_the_photo_its_edge_is_repeated() -> None:
    photo = ramp()
    crop = boxes.crop(photo, (-50, -40, 150, 160), (200, 200))
    assert np.array_equal(crop[40:160, 50:150], photo)
    assert (crop[:40, 50:150] == photo[0]).all()
    assert (crop[160:, 50:150] == photo[-1]).all()
    assert (crop[40:160, :50] == photo[:, :1]).all()
    assert (crop[40:160, 150:] == photo[:, -1:]).all()
    assert (crop[:40, :50] == photo[0, 0]).all()


@pytest.mark.parametrize(
    ("box", "corner"),
    [((-90, -90, -30, -30), (0, 0)), ((130, 150, 160, 200), (-1, -1)), ((130, -30, 160, -1), (0, -1))],
)
def test_a_box_wholly_outside_shows_the_nearest_corner(
    box: tuple[int, int, int, int], corner: tuple[int, int]
) -> None:
    assert (boxes.crop(ramp(), box, (8, 6)) == ramp()[corner]).all()


def test_photo_and_matte_stay_aligned() -> None:
    rng = np.random.default_rng(0)
    for _ in range(50):
        x0, y0 = rng.uniform(-40, 80, 2)
        box = (x0, y0, x0 + rng.uniform(2, 90), y0 + rng.uniform(2, 90))
        size = (int(rng.integers(1, 60)), int(rng.integers(1, 60)))
        photo = ramp()
        matte = np.ascontiguousarray(photo[..., 2])
        assert np.array_equal(boxes.crop(photo, box, size)[..., 2], boxes.crop(matte, box, size))


@pytest.mark.parametrize("size", [(40, 30), (13, 17), (200, 150)])
@pytest.mark.parametrize("turn", [-35.0, 0.0, 10.0, 90.0])
def test_a_turned_box_keeps_the_ramp_s_coordinates(size: tuple[int, int], turn: float) -> None:
    """The pixel of a crop shows the place that a turn around the box's centre says, however fine or coarse it is."""
    box = (30.0, 35.5, 66.0, 83.5)
    found = boxes.crop(ramp(), box, size, turn).astype(float)
    assert found.shape == (*size, 3)
    y = (np.arange(size[0]) + 0.5) / size[0] * (box[3] - box[1]) - (box[3] - box[1]) / 2
    x = (np.arange(size[1]) + 0.5) / size[1] * (box[2] - box[0]) - (box[2] - box[0]) / 2
    cos, sin = np.cos(np.radians(turn)), np.sin(np.radians(turn))
    rows = (box[1] + box[3]) / 2 + sin * x[None, :] + cos * y[:, None] - 0.5
    columns = (box[0] + box[2]) / 2 + cos * x[None, :] - sin * y[:, None] - 0.5
    assert np.abs(found[..., 0] - rows).max() < 1.1
    assert np.abs(found[..., 1] - columns).max() < 1.1


def test_a_turned_box_outside_repeats_the_edge_and_suits_mattes() -> None:
    box = (-50.0, -40.0, 150.0, 160.0)
    found = boxes.crop(ramp(), box, (200, 200), 0.0)
    assert np.array_equal(found, boxes.crop(ramp(), box, (200, 200)))
    matte = np.ascontiguousarray(ramp()[..., 2])
    for turn in (-20.0, 33.0):
        assert np.array_equal(
            boxes.crop(ramp(), box, (60, 50), turn)[..., 2], boxes.crop(matte, box, (60, 50), turn)
        )


def test_a_turned_box_is_reduced_without_aliases() -> None:
    """Stripes of one pixel are grey at an eighth of the size, not black or white."""
    stripes = np.tile(np.array([0, 255], np.uint8), (256, 128))
    found = boxes.crop(stripes, (0, 0, 256, 256), (32, 32), 3.0)[2:-2, 2:-2]
    assert found.min() > 100 and found.max() < 155


@pytest.mark.parametrize("box", [(5, 5, 5, 9), (9, 5, 5, 9), (np.nan, 0, 1, 1)])
def test_empty_boxes_are_refused(box: tuple[float, float, float, float]) -> None:
    with pytest.raises(ValueError, match="empty"):
        boxes.crop(ramp(), box, (8, 8))


def test_growing_extending_and_inscribing() -> None:
    assert boxes.grown((10, 20, 30, 60), 0.5) == (-10, 0, 50, 80)
    for size in ((256, 192), (100, 100), (50, 80)):
        x0, y0, x1, y1 = boxes.extended((10, 20, 30, 60), size)
        assert (x1 - x0) / (y1 - y0) == pytest.approx(size[1] / size[0])
        assert ((x0 + x1) / 2, (y0 + y1) / 2) == pytest.approx((20, 40))
        assert x0 <= 10 and y0 <= 20 and x1 >= 30 and y1 >= 60
        x0, y0, x1, y1 = boxes.inscribed((512, 384), size)
        assert (x1 - x0) / (y1 - y0) == pytest.approx(size[1] / size[0])
        assert x0 >= 0 and y0 >= 0 and x1 <= 384 and y1 <= 512
        assert x0 == pytest.approx(0) or y0 == pytest.approx(0)


def test_a_written_box_means_the_same_after_reading() -> None:
    box = boxes.written((12.3456789, -0.00012345678, 1234.56789, 98765.4321))
    assert tuple(float(f"{value:.6g}") for value in box) == box
