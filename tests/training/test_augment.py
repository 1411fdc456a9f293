"""Augmentation: real transforms, seeded, refused at the door when they are wrong."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import yaml

from facemask.runtime.errors import UserError
from facemask.settings import loading, presets, recipes
from facemask.training import augment
from facemask.training.augment import Augmentation

SIZE = (96, 72)
PHOTO = np.random.default_rng(0).integers(0, 200, (*SIZE, 3), dtype=np.uint8)


def step(name: str, **arguments: object) -> recipes.Transform:
    return recipes.Transform(name=name, **arguments)


Batched = Callable[..., np.ndarray]


def built(*steps: recipes.Transform) -> Batched:
    """What becomes of a batch of ``count`` times the same photo."""
    augmentation = Augmentation(steps, SIZE)

    def batched(photo: np.ndarray, seed: int, count: int = 1) -> np.ndarray:
        photos = np.repeat(photo[None], count, 0)
        augmentation(photos, seed)
        return photos

    return batched


def one(batched: Batched, photo: np.ndarray, seed: int) -> np.ndarray:
    [result] = batched(photo, seed)
    return result


def test_the_seed_alone_decides():
    augmentation = built(step("HorizontalFlip", p=0.5), step("Affine", rotate=[-30, 30], p=1.0))
    first = augmentation(PHOTO, 5, 4)
    for other in range(20):
        augmentation(PHOTO, other, 3)
    assert np.array_equal(augmentation(PHOTO, 5, 4), first)
    assert all(not np.array_equal(augmentation(PHOTO, seed, 4), first) for seed in range(5))


def test_photos_of_a_batch_are_drawn_independently():
    flips = built(step("HorizontalFlip", p=0.5))(PHOTO, 0, 400) == PHOTO[:, ::-1]
    flipped = flips.all((1, 2, 3))
    assert 150 < flipped.sum() < 250
    assert 150 < (flipped[1:] == flipped[:-1]).sum() < 250
    rotated = built(step("Affine", rotate=[-30, 30], p=1.0))(PHOTO, 0, 8)
    assert len({photo.tobytes() for photo in rotated}) == 8


def test_steps_are_drawn_independently():
    light = PHOTO.copy()
    light[:, 0] = 255
    augmentation = built(step("HorizontalFlip", p=0.5), step("InvertImg", p=0.5))
    seen = Counter()
    for photo in augmentation(light, 0, 200):
        left, right = photo[0, [0, -1], 0].tolist()
        inverted = not (left == 255 or right == 255)
        seen[inverted, right == (0 if inverted else 255)] += 1
    assert len(seen) == 4
    assert min(seen.values()) > 30


def test_steps_go_on_in_the_same_numbers():
    """Started anew, the second noise would be the first again, and cancel it."""
    grey = np.full_like(PHOTO, 128)
    noise = step("GaussNoise", std_range=[0.1, 0.1], p=1.0)
    both = one(built(noise, step("InvertImg", p=1.0), noise), grey, 3)
    assert both.std() > 1.2 * one(built(noise), grey, 3).std()


def test_arguments_from_params_are_applied():
    assert np.array_equal(one(built(step("HorizontalFlip", p=1.0)), PHOTO, 0), PHOTO[:, ::-1])
    assert np.array_equal(one(built(step("HorizontalFlip", p=0.0)), PHOTO, 0), PHOTO)
    assert np.array_equal(one(built(), PHOTO, 0), PHOTO)


def test_nested_lists_reach_their_transform():
    holes = {"num_holes_range": [1, 1], "hole_height_range": [0.25, 0.25], "hole_width_range": [0.5, 0.5]}
    cut = one(built(step("CoarseDropout", **holes, fill=[250, 240, 230], p=1.0)), PHOTO, 0)
    assert (cut == [250, 240, 230]).all(2).sum() == 24 * 36
    moved = one(built(step("Affine", translate_px={"x": [9, 9], "y": [0, 0]}, p=1.0)), PHOTO, 0)
    assert np.array_equal(moved[:, 9:], PHOTO[:, :-9])


@pytest.mark.slow
@pytest.mark.parametrize("name", augment.names())
def test_every_transform_either_keeps_the_photo_s_shape_or_is_refused(name):
    try:
        augmentation = built(step(name))
    except UserError as error:
        assert str(error).startswith(f"train.augment.0: {name} ")
        return
    another = built(step(name))
    for seed in range(3):
        result = augmentation(PHOTO, seed, 2)
        assert result.shape == (2, *PHOTO.shape)
        assert np.array_equal(augmentation(PHOTO, seed, 2), result)
        # As in another process: nothing may come from when or where the steps were made.
        assert np.array_equal(another(PHOTO, seed, 2), result)


PRESETS = sorted(path.stem for path in (Path(__file__).parents[2] / "presets").glob("*.yaml"))


@pytest.mark.parametrize("name", PRESETS)
def test_every_preset_s_augmentation_changes_photos(name, params_yaml, repository):
    preset = yaml.safe_load((repository / "presets" / f"{name}.yaml").read_text())["params"]
    merged = loading.parse(presets.merge(params_yaml, preset), name)
    if not merged.train.augment:
        # Features of a frozen network are computed once, of each photo as it is.
        assert merged.train.probe.kind != "none"
        return
    first, second = (Augmentation(merged.train.augment, SIZE) for _ in range(2))
    batches = [np.repeat(PHOTO[None], 16, 0) for _ in range(3)]
    first(batches[0], 1)
    second(batches[1], 2)
    second(batches[2], 1)
    assert np.array_equal(batches[0], batches[2])
    assert not np.array_equal(batches[0], batches[1])
    assert len({photo.tobytes() for photo in batches[0]}) > 4


def test_transforms_that_suit_photos_are_taken():
    usual = ["ShiftScaleRotate", "Perspective", "ColorJitter", "HueSaturationValue", "GaussNoise", "ToGray"]
    usual += ["GridDistortion", "ElasticTransform", "ImageCompression", "Sharpen", "MotionBlur", "Downscale"]
    built(*(step(name, p=0.5) for name in usual))


@pytest.mark.parametrize(
    "transform",
    [
        step("RandomGridShuffle", grid=[2, 2], p=1.0),
        step("CoarseDropout", hole_height_range=[25, 25], hole_width_range=[25, 25], p=1.0),
        step("CLAHE", clip_limit=[4, 4], p=1.0),
    ],
    ids=lambda transform: transform.name,
)
def test_they_change_pixels(transform):
    augmentation = built(transform)
    changed = [(photo != PHOTO).any() for photo in augmentation(PHOTO, 0, 8)]
    # A shuffle of four tiles may leave each where it was.
    assert sum(changed) >= 6


def test_grid_shuffle_moves_tiles_and_keeps_pixels():
    result = one(built(step("RandomGridShuffle", grid=[2, 2], p=1.0)), PHOTO, 1)
    assert np.array_equal(np.sort(result.reshape(-1, 3), 0), np.sort(PHOTO.reshape(-1, 3), 0))
    tiles = [PHOTO[y : y + 48, x : x + 36].tobytes() for y in (0, 48) for x in (0, 36)]
    found = [result[y : y + 48, x : x + 36].tobytes() for y in (0, 48) for x in (0, 36)]
    assert sorted(found) == sorted(tiles)
    assert found != tiles


def test_a_choice_takes_one_of_its_transforms():
    flips = [{"name": "HorizontalFlip", "p": 1.0}, {"name": "VerticalFlip", "p": 1.0}]
    augmentation = built(step("OneOf", transforms=flips, p=1.0))
    across, down = PHOTO[:, ::-1].tobytes(), PHOTO[::-1].tobytes()
    seen = Counter(photo.tobytes() for photo in augmentation(PHOTO, 0, 40))
    assert set(seen) == {across, down}
    assert min(seen.values()) > 8


def test_compositions_nest():
    inner = {"name": "Sequential", "p": 1.0, "transforms": [{"name": "HorizontalFlip", "p": 1.0}] * 3}
    outer = step("SomeOf", n=1, p=1.0, transforms=[inner])
    assert np.array_equal(one(built(outer), PHOTO, 0), PHOTO[:, ::-1])


@pytest.mark.parametrize(
    ("transforms", "told"),
    [
        (None, r"train\.augment\.0: OneOf needs `transforms`"),
        ([], r"train\.augment\.0: OneOf needs `transforms`"),
        (["HorizontalFlip"], r"train\.augment\.0\.transforms\.0: 'HorizontalFlip' is no transform"),
        ([{"p": 0.5}], r"train\.augment\.0\.transforms\.0: .* is no transform"),
        (
            [{"name": "HorizontalFlop"}],
            r"train\.augment\.0\.transforms\.0\.name: .*did you mean HorizontalFlip",
        ),
        ([{"name": "Blur", "q": 1}], r"train\.augment\.0\.transforms\.0: Blur refuses its arguments"),
        ([{"name": "FDA"}], r"train\.augment\.0\.transforms\.0: FDA needs fda_metadata"),
    ],
)
def test_a_wrong_part_of_a_choice_is_told(transforms, told):
    with pytest.raises(UserError, match=told):
        built(step("OneOf", p=0.5, **({} if transforms is None else {"transforms": transforms})))


def test_unknown_transform_offers_the_nearest():
    with pytest.raises(
        UserError, match=r"train\.augment\.1\.name.*HorizontalFlop.*did you mean HorizontalFlip"
    ):
        built(step("VerticalFlip", p=0.1), step("HorizontalFlop", p=0.5))


@pytest.mark.parametrize("arguments", [{"probability": 0.5}, {"p": "often"}])
def test_unknown_and_refused_arguments_are_told(arguments):
    with pytest.raises(UserError, match=r"train\.augment\.0: HorizontalFlip refuses"):
        built(step("HorizontalFlip", **arguments))


def test_names_that_are_no_transforms_are_refused():
    for name in ("Compose", "ReplayCompose", "numpy", "__version__"):
        with pytest.raises(UserError, match="no transform"):
            built(step(name))


@pytest.mark.parametrize("name", ["FDA", "HistogramMatching", "Mosaic", "OverlayElements", "MaskDropout"])
def test_transforms_that_need_more_than_a_photo_are_refused(name):
    with pytest.raises(UserError, match=rf"train\.augment\.0: {name} needs \w+ beside the photo"):
        built(step(name, p=0.01))


@pytest.mark.parametrize("name", ["CoarseDropout3D", "CubicSymmetry", "ToTensor3D", "Transform3D"])
def test_transforms_of_volumes_are_refused(name):
    with pytest.raises(UserError, match=rf"train\.augment\.0: {name} works on .*volume.*, not on photos"):
        built(step(name, p=0.01))


@pytest.mark.parametrize(
    "transform",
    [
        step("Resize", height=8, width=8, p=1.0),
        step("Transpose", p=0.001),
        step("RandomRotate90", p=0.001),
        step("Normalize", p=1.0),
        step("ToTensorV2"),
        step("OneOf", p=0.01, transforms=[{"name": "Blur"}] * 30 + [{"name": "Transpose", "p": 0.01}]),
    ],
    ids=lambda transform: transform.name,
)
def test_a_step_that_changes_size_or_type_is_told_however_rarely_it_acts(transform):
    with pytest.raises(
        UserError, match=rf"train\.augment\.1: {transform.name} turns photos .*train\.image\.size"
    ):
        built(step("HorizontalFlip", p=0.5), transform)


def test_steps_that_restore_the_size_together_are_taken():
    augmentation = built(
        step("PadIfNeeded", min_height=120, min_width=90, p=1.0),
        step("RandomCrop", height=96, width=72, p=1.0),
        step("ToFloat", p=1.0),
        step("FromFloat", dtype="uint8", p=1.0),
    )
    assert not np.array_equal(one(augmentation, PHOTO, 3), PHOTO)


@pytest.mark.parametrize("nested", [False, True])
def test_a_step_that_wants_a_size_gets_that_of_the_photos(nested):
    crop = {"name": "RandomResizedCrop", "scale": [0.2, 0.4], "p": 1.0}
    steps = [step("OneOf", p=1.0, transforms=[crop])] if nested else [recipes.Transform(**crop)]
    assert not np.array_equal(one(built(*steps), PHOTO, 3), PHOTO)


def test_a_photo_of_another_size_is_told():
    with pytest.raises(UserError, match=r"turns photos of shape \(10, 10, 3\)"):
        built(step("Resize", height=96, width=72, p=1.0))(np.zeros((10, 10, 3), np.uint8), 0)
