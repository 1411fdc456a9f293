"""Composing: person kept, background replaced, size right."""

from __future__ import annotations

import numpy as np
import pytest

from facemask.pixels.compose import compose, composite, fit, replace_background
from facemask.settings import recipes

PHOTO = np.random.default_rng(0).integers(0, 256, (40, 30, 3), dtype=np.uint8)
MATTE = np.zeros((40, 30), np.uint8)
MATTE[10:30, 5:25] = 255
FILLS = ["black", "white", "mean", "blur"]


@pytest.mark.parametrize("background", FILLS)
def test_the_person_stays_and_the_rest_goes(background):
    result = replace_background(PHOTO, MATTE, background)
    assert np.array_equal(result[MATTE == 255], PHOTO[MATTE == 255])
    assert not np.array_equal(result[MATTE == 0], PHOTO[MATTE == 0])


def test_fills_are_what_they_are_called():
    outside = {name: replace_background(PHOTO, MATTE, name)[MATTE == 0].astype(float) for name in FILLS}
    assert outside["black"].max() == 0
    assert outside["white"].min() == 255
    np.testing.assert_allclose(
        outside["mean"], np.broadcast_to(PHOTO.mean((0, 1)), outside["mean"].shape), atol=0.51
    )
    assert outside["blur"].std() < PHOTO[MATTE == 0].std() / 2


def test_half_a_matte_mixes_half():
    grey = np.full((2, 2, 3), 100, np.uint8)
    mixed = replace_background(grey, np.full((2, 2), 51, np.uint8), "black")
    assert np.unique(mixed).tolist() == [20]


def test_a_fill_may_be_a_colour_or_another_photo():
    other = PHOTO[::-1].copy()
    for fill in (np.array([9, 8, 7], np.float32), other.astype(np.float32)):
        result = composite(PHOTO, MATTE, fill)
        assert np.array_equal(result[MATTE == 255], PHOTO[MATTE == 255])
        assert np.array_equal(result[MATTE == 0], np.broadcast_to(fill, PHOTO.shape)[MATTE == 0])


def test_keep_leaves_every_pixel():
    assert np.array_equal(replace_background(PHOTO, MATTE, "keep"), PHOTO)


def test_unknown_fill_is_refused():
    with pytest.raises(ValueError, match="keep, black"):
        replace_background(PHOTO, MATTE, "pink")


@pytest.mark.parametrize("size", [(20, 15), (80, 60), (33, 47)])
def test_compose_gives_the_asked_size(size):
    image = recipes.Image(size=size, background="black", mean=(0, 0, 0), std=(1, 1, 1))
    result = compose(PHOTO, MATTE, image)
    assert result.shape == (*size, 3)
    assert result[0, 0].tolist() == [0, 0, 0]
    assert np.array_equal(compose(PHOTO, None, image), fit(PHOTO, size))
