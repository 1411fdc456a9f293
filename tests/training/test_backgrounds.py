"""Swapped backgrounds: the person stays, the rest is what the fill says, and the draws alone decide."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest

from facemask.settings import recipes
from facemask.training.backgrounds import Backgrounds

PHOTOS = np.random.default_rng(0).integers(0, 256, (6, 48, 40, 3), dtype=np.uint8)
MATTE = np.zeros((48, 40), np.uint8)
MATTE[10:40, 8:30] = 255


def swap(*fills: str, p: float = 1.0, photos: np.ndarray = PHOTOS) -> Callable[..., np.ndarray]:
    backgrounds = Backgrounds(recipes.Swap(kind="swap", p=p, fills=fills), photos)
    return lambda row, matte, seed: backgrounds(row, matte, np.random.default_rng(seed))


@pytest.mark.parametrize("fill", ["colour", "blur", "photo"])
def test_the_person_stays_and_the_rest_goes(fill):
    before = PHOTOS.copy()
    for seed in range(10):
        result = swap(fill)(2, MATTE, seed)
        assert result.dtype == np.uint8
        assert np.array_equal(result[MATTE == 255], PHOTOS[2][MATTE == 255])
        assert not np.array_equal(result[MATTE == 0], PHOTOS[2][MATTE == 0])
    assert np.array_equal(before, PHOTOS)


def test_a_colour_is_flat_and_new_each_time():
    found = [np.unique(swap("colour")(0, MATTE, seed)[MATTE == 0], axis=0) for seed in range(20)]
    assert all(len(colours) == 1 for colours in found)
    assert len({tuple(colours[0]) for colours in found}) == 20


def test_a_blur_is_the_photo_s_own_but_smooth():
    photo = np.full((48, 40, 3), (200, 100, 50), np.uint8)
    photo[::2] = (180, 80, 30)
    smooth = swap("blur", photos=photo[None])(0, MATTE, 0)
    outside = smooth[MATTE == 0].astype(float)
    np.testing.assert_allclose(outside, np.broadcast_to((190, 90, 40), outside.shape), atol=1.5)


def test_the_other_photo_is_any_but_itself():
    seen = set()
    for seed in range(100):
        outside = swap("photo")(3, MATTE, seed)[MATTE == 0]
        seen |= {k for k in range(6) if np.array_equal(outside, PHOTOS[k][MATTE == 0])}
    assert seen == {0, 1, 2, 4, 5}


def test_a_lone_photo_stays():
    assert np.array_equal(swap("photo", photos=PHOTOS[:1])(0, MATTE, 0), PHOTOS[0])


def test_half_a_matte_mixes_half():
    half = np.full((48, 40), 51, np.uint8)
    for seed in range(50):
        result = swap("photo")(0, half, seed)
        wanted = [np.rint(PHOTOS[0] * 0.2 + PHOTOS[k] * 0.8) for k in range(1, 6)]
        assert min(np.abs(result - w).max() for w in wanted) <= 1


def test_nothing_changes_where_all_is_person():
    for seed in range(10):
        result = swap("colour", "blur", "photo")(1, np.full((48, 40), 255, np.uint8), seed)
        assert np.array_equal(result, PHOTOS[1])


def test_the_seed_alone_decides():
    first = [swap("colour", "blur", "photo", p=0.5)(1, MATTE, seed) for seed in range(10)]
    again = swap("colour", "blur", "photo", p=0.5)
    for seed in reversed(range(10)):
        assert np.array_equal(again(1, MATTE, seed), first[seed])


@pytest.mark.parametrize(("p", "low", "high"), [(0.0, 0, 0), (0.5, 70, 130), (1.0, 200, 200)])
def test_p_is_the_share_of_photos_changed(p, low, high):
    one = swap("colour", p=p)
    assert low <= sum(not np.array_equal(one(0, MATTE, seed), PHOTOS[0]) for seed in range(200)) <= high


def test_fills_come_about_equally_often():
    one = swap("colour", "photo")
    flat = sum(len(np.unique(one(0, MATTE, seed)[MATTE == 0], axis=0)) == 1 for seed in range(200))
    assert 70 <= flat <= 130
