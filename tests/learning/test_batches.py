"""Batches: what is seen, how often, in which order, and that nothing else decides it."""

from __future__ import annotations

import numpy as np
import pytest

from facemask import params
from facemask.images.augment import Augmentation
from facemask.learning.batches import Batches, Order, loader


def epoch(order: Order, number: int = 0) -> list[int]:
    order.set_epoch(number)
    return [row for ticket in order for row in ticket.rows.tolist()]


def test_each_row_is_seen_as_often_as_it_repeats():
    repeats = np.array([1, 0, 3, 2])
    order = Order(repeats, batch_size=4, seed=1, shuffle=True)
    assert np.bincount(epoch(order), minlength=4).tolist() == repeats.tolist()


def test_no_photo_is_dropped_and_no_batch_is_tiny():
    order = Order(np.ones(33, np.int64), batch_size=32, seed=0, shuffle=False)
    sizes = [len(ticket.rows) for ticket in order]
    assert sum(sizes) == 33
    assert max(sizes) <= 32
    assert min(sizes) >= 16
    assert len(order) == len(sizes)


def test_epochs_differ_and_repeat_exactly():
    order = Order(np.ones(20, np.int64), batch_size=8, seed=5, shuffle=True)
    assert epoch(order, 0) != epoch(order, 1)
    assert epoch(order, 1) == epoch(Order(np.ones(20, np.int64), batch_size=8, seed=5, shuffle=True), 1)
    assert epoch(order, 0) != epoch(Order(np.ones(20, np.int64), batch_size=8, seed=6, shuffle=True), 0)


def test_processes_share_each_batch_without_overlap():
    whole = Order(np.ones(21, np.int64), batch_size=6, seed=2, shuffle=True)
    shares = [
        Order(np.ones(21, np.int64), batch_size=6, seed=2, shuffle=True, rank=r, world=2) for r in (0, 1)
    ]
    for batch, first, second in zip(whole, *shares, strict=True):
        assert sorted(batch.rows.tolist()) == sorted([*first.rows.tolist(), *second.rows.tolist()])


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (10, 16, 12, 3), dtype=np.uint8)


FLIP = Augmentation(
    [params.Transform(name="HorizontalFlip", p=0.5), params.Transform(name="GaussNoise", p=1.0)]
)


@pytest.mark.parametrize("workers", [0, 2])
def test_batches_do_not_depend_on_loader_workers(pixels, workers, monkeypatch):
    def seen(count: int) -> list[np.ndarray]:
        monkeypatch.setattr("facemask.hardware.loader_workers", lambda: count)
        labels = np.arange(10)
        order = Order(np.ones(10, np.int64), batch_size=4, seed=3, shuffle=True)
        return [batch.photos.numpy().copy() for batch in loader(Batches(pixels, labels, labels, FLIP), order)]

    for one, other in zip(seen(0), seen(workers), strict=True):
        assert np.array_equal(one, other)


def test_training_is_augmented_and_validation_is_not(pixels):
    labels = np.arange(10)
    order = Order(np.ones(10, np.int64), batch_size=10, seed=3, shuffle=True)
    ticket = next(iter(order))
    assert not np.array_equal(
        Batches(pixels, labels, labels, FLIP)[ticket].photos.numpy(), pixels[ticket.rows]
    )
    assert np.array_equal(Batches(pixels, labels, labels, None)[ticket].photos.numpy(), pixels[ticket.rows])


def test_augmentation_leaves_the_store_as_it_was(pixels):
    before = pixels.copy()
    labels = np.arange(10)
    for ticket in Order(np.ones(10, np.int64), batch_size=5, seed=3, shuffle=True):
        Batches(pixels, labels, labels, FLIP)[ticket]
    assert np.array_equal(before, pixels)


def test_targets_and_labels_follow_their_photos(pixels):
    targets, labels = np.arange(10) + 100, np.arange(10)
    for ticket in Order(np.ones(10, np.int64), batch_size=3, seed=3, shuffle=True):
        batch = Batches(pixels, targets, labels, None)[ticket]
        assert batch.targets.tolist() == (ticket.rows + 100).tolist()
        assert batch.labels.tolist() == ticket.rows.tolist()
        assert np.array_equal(batch.photos.numpy(), pixels[ticket.rows])
