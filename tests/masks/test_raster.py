"""Arithmetic and filters of drawings: near what they stand for, and exact, so that no order of adding matters."""

from __future__ import annotations

import numpy as np
import pytest

from facemask.masks import raster


@pytest.fixture
def picture() -> np.ndarray:
    """Random values about 0..1, (64, 48)."""
    return np.random.default_rng(0).random((64, 48), np.float32)


def test_bells_and_waves_are_near_what_they_stand_for() -> None:
    t = np.linspace(-20, 20, 4001, dtype=np.float32)
    assert np.abs(raster.wave(t) - np.sin(t)).max() < 0.06
    assert np.abs(raster.bell(np.abs(t)) - np.exp(-np.abs(t))).max() < 0.03
    assert raster.spot(t, 0 * t, 2, 1)[2200] == raster.bell(np.asarray([1.0], np.float32))[0]


def test_noise_has_unit_deviation_and_never_repeats() -> None:
    drawn = raster.normal(np.random.default_rng(1), (200, 200))
    assert abs(drawn.mean()) < 0.02
    assert abs(drawn.std() - 1) < 0.02
    assert not np.array_equal(drawn, raster.normal(np.random.default_rng(2), (200, 200)))


@pytest.mark.parametrize("sigma", [0.5, 2.0, 5.9, 17.0])
def test_blur_keeps_the_mean_and_lowers_the_deviation(picture: np.ndarray, sigma: float) -> None:
    flat = np.full((40, 56), 0.25, np.float32)
    assert np.array_equal(raster.blur(flat, sigma), flat)
    smooth = raster.blur(picture, sigma)
    assert smooth.shape == picture.shape
    assert abs(smooth.mean() - picture.mean()) < 0.02
    assert smooth.std() < picture.std()


def test_no_sum_is_rounded(picture: np.ndarray) -> None:
    """Whatever the order of the terms, a filter gives the same bits: here added backwards, in whole numbers."""
    sigma = 2.0
    weights = [round(weight * 4096) for weight in raster._gaussian(sigma).tolist()]
    assert sum(weights) == 4096
    reach = len(weights) // 2
    whole = np.pad(np.rint(picture.astype(np.float64) * 65536).astype(object), reach, mode="edge")
    rows = sum(w * whole[:, k : k + picture.shape[1]] for k, w in reversed(list(enumerate(weights))))
    both = sum(w * rows[k : k + picture.shape[0]] for k, w in reversed(list(enumerate(weights))))
    wanted = np.asarray([float(value) / 2**40 for value in both.ravel()], np.float32).reshape(picture.shape)
    assert np.array_equal(raster.blur(picture, sigma), wanted)


def test_interpolations_meet_the_pixels(picture: np.ndarray) -> None:
    y, x = np.mgrid[0:64, 0:48].astype(np.float32)
    assert np.array_equal(raster.pick(picture, x, y), raster.exact(picture).astype(np.float32))
    assert np.abs(raster.stretch(picture, (64, 48)) - picture).max() < 1e-4
    assert np.abs(raster.stretch(np.full((9, 7), 0.5), (64, 48))[12:-12, 12:-12] - 0.5).max() < 2e-3
    assert np.allclose(
        raster.reduce(raster.enlarge(picture, 4), 4)[1:-1, 1:-1], picture[1:-1, 1:-1], atol=0.6
    )
    assert raster.reduce(picture, 4)[0, 0] == pytest.approx(float(picture[:4, :4].mean()), abs=1e-4)


def test_polygons_and_lines_cover_their_area() -> None:
    square = np.asarray([(5.0, 5.0), (15.0, 5.0), (15.0, 25.0), (5.0, 25.0)])
    cover = raster.fill([square], (30, 20), 2)
    assert cover.sum() == pytest.approx(200, rel=0.15)
    assert cover[10, 10] == 1
    assert cover[2, 2] == 0
    lines = [np.asarray([(2.0, y), (18.0, y)]) for y in (5.0, 15.0)]
    drawn = raster.stroke(lines, 3, (20, 20), 2, [1.0, 0.5])
    assert drawn[5, 10] == 1
    assert drawn[15, 10] == pytest.approx(0.5, abs=0.01)
