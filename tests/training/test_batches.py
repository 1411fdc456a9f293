"""Batches: what is seen, how often, in which order, and that nothing else decides it."""

from __future__ import annotations

import multiprocessing
import tempfile
from dataclasses import replace

import cv2
import numpy as np
import pytest
import torch

from facemask.settings import recipes
from facemask.training.augment import Augmentation
from facemask.training.backgrounds import Backgrounds
from facemask.training.batches import Batches, BatchPlan, EpochBatchSampler, Side, loader, sampler_weights

SIZE = (16, 12)
SHUFFLE = recipes.Shuffle(kind="shuffle")


def epoch(order: EpochBatchSampler, number: int = 0) -> list[int]:
    order.set_epoch(number)
    return [row for plan in order for row in plan.rows.tolist()]


def test_each_row_is_seen_as_often_as_it_repeats():
    repeats = np.array([1, 0, 3, 2])
    order = EpochBatchSampler(repeats, batch_size=4, seed=1, shuffle=True)
    assert np.bincount(epoch(order), minlength=4).tolist() == repeats.tolist()


def test_no_photo_is_dropped_and_no_batch_is_tiny():
    order = EpochBatchSampler(np.ones(33, np.int64), batch_size=32, seed=0, shuffle=False)
    sizes = [len(plan.rows) for plan in order]
    assert sum(sizes) == 33
    assert max(sizes) <= 32
    assert min(sizes) >= 16
    assert len(order) == len(sizes)


@pytest.mark.parametrize("weights", [None, np.full(20, 1 / 20)])
def test_epochs_differ_and_repeat_exactly(weights):
    def order(seed: int) -> EpochBatchSampler:
        return EpochBatchSampler(
            np.ones(20, np.int64), batch_size=8, seed=seed, shuffle=True, weights=weights
        )

    assert epoch(order(5), 0) != epoch(order(5), 1)
    assert epoch(order(5), 1) == epoch(order(5), 1)
    assert epoch(order(5), 0) != epoch(order(6), 0)


@pytest.mark.parametrize("weights", [None, np.full(21, 1 / 21)])
def test_processes_share_each_batch_without_overlap(weights):
    def order(**share: int) -> EpochBatchSampler:
        return EpochBatchSampler(
            np.ones(21, np.int64), batch_size=6, seed=2, shuffle=True, weights=weights, **share
        )

    for batch, first, second in zip(
        order(), order(rank=0, world_size=2), order(rank=1, world_size=2), strict=True
    ):
        assert sorted(batch.rows.tolist()) == sorted([*first.rows.tolist(), *second.rows.tolist()])
        # Alike, the processes' photos would be augmented alike.
        assert first.seed != second.seed


# ------------------------------------------------------------------------------------------------ weighted sampler
TARGETS = np.repeat([0, 1, 2], [100, 20, 5])


def drawn(weights: np.ndarray, repeats: np.ndarray, epochs: int = 60) -> np.ndarray:
    """How often each row was drawn in an epoch, on average."""
    order = EpochBatchSampler(repeats, batch_size=16, seed=0, shuffle=True, weights=weights)
    counts = np.zeros(len(repeats))
    for number in range(epochs):
        rows = epoch(order, number)
        assert len(rows) == repeats.sum()
        counts += np.bincount(rows, minlength=len(repeats))
    return counts / epochs


def test_shuffling_has_no_weights():
    assert sampler_weights(SHUFFLE, TARGETS, np.ones(125, np.int64)) is None


@pytest.mark.parametrize("power", [1.0, 0.5])
def test_a_photo_is_drawn_by_its_class_s_size(power):
    repeats = np.ones(125, np.int64)
    weights = sampler_weights(recipes.Weighted(kind="weighted", power=power), TARGETS, repeats)
    assert weights.sum() == pytest.approx(1)
    by_class = np.bincount(TARGETS, weights=drawn(weights, repeats))
    sizes = np.array([100, 20, 5]) ** (1 - power)
    np.testing.assert_allclose(by_class, 125 * sizes / sizes.sum(), rtol=0.06)


def test_repeats_count_in_the_weights():
    repeats = np.where(np.arange(125) < 50, 0, 1)
    repeats[-5:] = 4
    weights = sampler_weights(recipes.Weighted(kind="weighted", power=1.0), TARGETS, repeats)
    assert (weights[:50] == 0).all()
    np.testing.assert_allclose(np.bincount(TARGETS, weights=weights), [1 / 3, 1 / 3, 1 / 3])
    repeats[-1] = 8
    weights = sampler_weights(recipes.Weighted(kind="weighted", power=1.0), TARGETS, repeats)
    assert weights[-1] == pytest.approx(2 * weights[-2])


def test_rows_without_repeats_are_never_drawn():
    repeats = np.where(np.arange(125) % 2, 2, 0)
    weights = sampler_weights(recipes.Weighted(kind="weighted", power=0.5), TARGETS, repeats)
    assert (drawn(weights, repeats, 10)[::2] == 0).all()


def test_weights_need_a_shuffle():
    with pytest.raises(ValueError, match="shuffle"):
        EpochBatchSampler(
            np.ones(3, np.int64), batch_size=2, seed=0, shuffle=False, weights=np.full(3, 1 / 3)
        )


# -------------------------------------------------------------------------------------------------------- batches
@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (10, *SIZE, 3), dtype=np.uint8)


@pytest.fixture
def side(pixels: np.ndarray) -> Side:
    numbers = np.arange(10)
    mattes = np.zeros((10, *SIZE), np.uint8)
    for k in range(10):
        mattes[k, k : k + 6] = 255
    return Side(pixels, numbers + 100, numbers + 20, numbers, np.ones(10, np.int64), mattes)


TRANSFORMS = [recipes.Transform(name="HorizontalFlip", p=0.5), recipes.Transform(name="GaussNoise", p=1.0)]
FLIP = Augmentation(TRANSFORMS, SIZE)
FILLS = recipes.Swap(kind="swap", p=0.8, fills=("colour", "blur", "photo"))


def plans(size: int, number: int = 0) -> list[BatchPlan]:
    order = EpochBatchSampler(np.ones(10, np.int64), batch_size=size, seed=3, shuffle=True)
    order.set_epoch(number)
    return list(order)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_loader_workers(side, workers, monkeypatch):
    def seen(count: int) -> list[np.ndarray]:
        monkeypatch.setattr("facemask.runtime.hardware.loader_workers", lambda: count)
        order = EpochBatchSampler(side.repeats, batch_size=4, seed=3, shuffle=True)
        batches = Batches(side, FLIP, Backgrounds(FILLS, side.pixels))
        return [batch.photos.numpy().copy() for batch in loader(batches, order)]

    for one, other in zip(seen(0), seen(workers), strict=True):
        assert np.array_equal(one, other)


def test_loader_workers_do_with_a_long_tmpdir(side, monkeypatch, tmp_path):
    """They hand over tensors through sockets, whose paths have a limit."""
    long = tmp_path / ("x" * 100)
    long.mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(long))
    monkeypatch.setitem(multiprocessing.current_process()._config, "tempdir", None)
    monkeypatch.setattr("facemask.runtime.hardware.loader_workers", lambda: 1)
    order = EpochBatchSampler(side.repeats, batch_size=4, seed=3, shuffle=True)
    assert len(list(loader(Batches(side, None), order))) == 3
    assert list(long.iterdir()) == []


def test_a_batch_depends_on_its_seed_epoch_and_place_alone(side):
    """As after a restart: nothing may come from what the same batches were asked for before."""
    used = Batches(side, FLIP, Backgrounds(FILLS, side.pixels))
    whole = {
        (number, place): used[plan].photos.numpy()
        for number in range(3)
        for place, plan in enumerate(plans(4, number))
    }
    for number, place in reversed(whole):
        fresh = Augmentation(TRANSFORMS, SIZE)
        again = Batches(side, fresh, Backgrounds(FILLS, side.pixels))[plans(4, number)[place]]
        assert np.array_equal(again.photos.numpy(), whole[number, place])


def test_every_epoch_and_place_is_augmented_anew(side):
    """The same rows each time."""
    batches = Batches(side, FLIP)
    drawn = [plan.seed for number in range(3) for plan in plans(4, number)]
    seen = {batches[BatchPlan(np.arange(4), seed)].photos.numpy().tobytes() for seed in drawn}
    assert len(seen) == len(drawn) == 9


def test_training_is_augmented_and_validation_is_not(side):
    [plan] = plans(10)
    assert not np.array_equal(Batches(side, FLIP)[plan].photos.numpy(), side.pixels[plan.rows])
    assert np.array_equal(Batches(side, None)[plan].photos.numpy(), side.pixels[plan.rows])


def test_nothing_changes_the_store(side):
    before, mattes = side.pixels.copy(), side.mattes.copy()
    for plan in plans(5):
        Batches(side, FLIP, Backgrounds(FILLS, side.pixels))[plan]
    assert np.array_equal(before, side.pixels)
    assert np.array_equal(mattes, side.mattes)


def test_what_is_known_follows_its_photo(side):
    for plan in plans(3):
        batch = Batches(side, None)[plan]
        assert batch.targets.tolist() == (plan.rows + 100).tolist()
        assert batch.ages.tolist() == (plan.rows + 20).tolist()
        assert batch.labels.tolist() == plan.rows.tolist()
        assert np.array_equal(batch.photos.numpy(), side.pixels[plan.rows])


def test_backgrounds_go_by_each_photo_s_own_matte(side):
    always = Backgrounds(recipes.Swap(kind="swap", p=1.0, fills=("colour",)), side.pixels)
    for plan in plans(4):
        photos = Batches(side, None, always)[plan].photos.numpy()
        for photo, row in zip(photos, plan.rows, strict=True):
            person = side.mattes[row] == 255
            assert np.array_equal(photo[person], side.pixels[row][person])
            assert len(np.unique(photo[~person], axis=0)) == 1


def test_backgrounds_are_new_in_every_epoch(side):
    batches = Batches(
        side, None, Backgrounds(recipes.Swap(kind="swap", p=1.0, fills=("colour",)), side.pixels)
    )

    def photos(number: int) -> dict[int, bytes]:
        return {
            int(row): photo.tobytes()
            for plan in plans(5, number)
            for row, photo in zip(plan.rows, batches[plan].photos.numpy(), strict=True)
        }

    assert photos(0) == photos(0)
    assert not set(photos(0).values()) & set(photos(1).values())


def test_backgrounds_come_before_the_augmentation(side):
    flip = Augmentation([recipes.Transform(name="HorizontalFlip", p=1.0)], SIZE)
    narrow = replace(side, mattes=side.mattes * (np.arange(SIZE[1]) < 4))
    always = Backgrounds(recipes.Swap(kind="swap", p=1.0, fills=("colour",)), side.pixels)
    [plan] = plans(10)
    swapped, both = Batches(narrow, None, always)[plan], Batches(narrow, flip, always)[plan]
    assert torch.equal(both.photos, swapped.photos.flip(2))


def test_backgrounds_need_mattes(side):
    with pytest.raises(ValueError, match="without mattes"):
        Batches(replace(side, mattes=None), None, Backgrounds(FILLS, side.pixels))


def test_photos_are_prepared_without_opencv_s_own_threads(side):
    before = cv2.getNumThreads()
    try:
        cv2.setNumThreads(4)
        loader(Batches(side, FLIP), EpochBatchSampler(side.repeats, batch_size=4, seed=1, shuffle=True))
        assert cv2.getNumThreads() == 1
    finally:
        cv2.setNumThreads(before)
