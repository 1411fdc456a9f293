"""Views: each shows what it says."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facemask.network import tta
from facemask.settings import params

IDENTITY, FLIP = params.Identity(kind="identity"), params.Flip(kind="hflip")


def crop(keep: float, at: str, flip: bool = False) -> params.Crop:
    return params.Crop(kind="crop", keep=keep, at=at, flip=flip)


def scale(factor: float, flip: bool = False) -> params.Scale:
    return params.Scale(kind="scale", factor=factor, flip=flip)


@pytest.fixture
def photos() -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(0).integers(0, 256, (4, 32, 24, 3), dtype=np.uint8))


def test_identity_and_flip(photos):
    assert torch.equal(tta.view(photos, IDENTITY), photos)
    assert np.array_equal(tta.view(photos, FLIP).numpy(), photos.numpy()[:, :, ::-1])


@pytest.mark.parametrize(
    ("at", "top", "left"),
    [
        ("centre", 8, 6),
        ("top_left", 0, 0),
        ("top_right", 0, 12),
        ("bottom_left", 16, 0),
        ("bottom_right", 16, 12),
    ],
)
def test_a_crop_shows_its_part_and_nothing_else(photos, at, top, left):
    inside = torch.zeros_like(photos)
    inside[:, top : top + 16, left : left + 12] = 200
    assert (tta.view(inside, crop(0.5, at)) == 200).all()
    shifted = torch.full_like(photos, 200)
    shifted[:, top : top + 16, left : left + 12] = 0
    assert (tta.view(shifted, crop(0.5, at)) == 0).all()


@pytest.mark.parametrize("cfg", [crop(0.5, "top_left"), crop(0.9, "centre", True), crop(0.01, "centre")])
def test_a_crop_has_the_networks_size_and_kind(photos, cfg):
    seen = tta.view(photos, cfg)
    assert seen.shape == photos.shape
    assert seen.dtype == torch.uint8


def test_a_whole_crop_and_scale_one_are_the_photo(photos):
    for cfg in (crop(1.0, "centre"), scale(1.0)):
        assert torch.equal(tta.view(photos, cfg), photos)


@pytest.mark.parametrize(("factor", "size"), [(0.5, (16, 12)), (1.25, (40, 30)), (2.0, (64, 48))])
def test_scale_changes_the_size_and_keeps_the_mean(photos, factor, size):
    seen = tta.view(photos, scale(factor))
    assert seen.shape == (4, *size, 3)
    np.testing.assert_allclose(seen.float().mean((1, 2)), photos.float().mean((1, 2)), atol=4)


def test_flips_of_crop_and_scale_are_mirrors(photos):
    for make in (lambda flip: crop(0.75, "centre", flip), lambda flip: scale(0.5, flip)):
        assert torch.equal(tta.view(photos, make(True)), tta.view(photos, make(False)).flip(2))
    one = tta.view(photos, crop(0.5, "top_left", True))
    other = tta.view(photos.flip(2), crop(0.5, "top_right"))
    assert torch.equal(one, other)


def test_photos_are_not_changed(photos):
    before = photos.clone()
    for cfg in (FLIP, crop(0.5, "centre", True), scale(2.0)):
        tta.view(photos, cfg)
    assert torch.equal(photos, before)
