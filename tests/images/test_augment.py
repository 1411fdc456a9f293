"""Augmentation: real transforms, seeded, refused at the door when they are wrong."""

from __future__ import annotations

import numpy as np
import pytest

from facemask import params
from facemask.errors import UserError
from facemask.images.augment import Augmentation

PHOTO = np.random.default_rng(0).integers(0, 256, (32, 24, 3), dtype=np.uint8)


def step(name: str, **arguments: object) -> params.Transform:
    return params.Transform(name=name, **arguments)


def test_the_seed_alone_decides():
    augmentation = Augmentation([step("HorizontalFlip", p=0.5), step("Affine", rotate=[-30, 30], p=1.0)])
    first = augmentation(PHOTO.copy(), 5)
    for other in range(20):
        augmentation(PHOTO.copy(), other)
    assert np.array_equal(augmentation(PHOTO.copy(), 5), first)
    assert any(not np.array_equal(augmentation(PHOTO.copy(), seed), first) for seed in range(5))


def test_arguments_from_params_are_applied():
    assert np.array_equal(Augmentation([step("HorizontalFlip", p=1.0)])(PHOTO.copy(), 0), PHOTO[:, ::-1])
    assert np.array_equal(Augmentation([step("HorizontalFlip", p=0.0)])(PHOTO.copy(), 0), PHOTO)
    assert np.array_equal(Augmentation([])(PHOTO, 0), PHOTO)


def test_unknown_transform_offers_the_nearest():
    with pytest.raises(
        UserError, match=r"train\.augment\.1\.name.*HorizontalFlop.*did you mean HorizontalFlip"
    ):
        Augmentation([step("VerticalFlip", p=0.1), step("HorizontalFlop", p=0.5)])


@pytest.mark.parametrize("arguments", [{"probability": 0.5}, {"p": "often"}])
def test_unknown_and_refused_arguments_are_told(arguments):
    with pytest.raises(UserError, match=r"train\.augment\.0: HorizontalFlip refuses"):
        Augmentation([step("HorizontalFlip", **arguments)])


def test_names_that_are_no_transforms_are_refused():
    for name in ("Compose", "numpy", "__version__"):
        with pytest.raises(UserError, match="no transform"):
            Augmentation([step(name)])


def test_a_transform_that_changes_the_size_is_told():
    with pytest.raises(UserError, match=r"keep train\.image\.size"):
        Augmentation([step("Resize", height=8, width=8, p=1.0)])(PHOTO.copy(), 0)
