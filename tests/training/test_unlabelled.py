"""Unlabelled batches: every photo equally often, as it is and augmented."""

from __future__ import annotations

import numpy as np
import pytest

from facemask.settings import recipes
from facemask.training.augment import Augmentation
from facemask.training.batches import loader
from facemask.training.unlabelled import EndlessBatchSampler, Pairs

SIZE = (16, 12)
FLIP = Augmentation(
    [recipes.Transform(name="HorizontalFlip", p=0.5), recipes.Transform(name="GaussNoise", p=1.0)], SIZE
)


def epoch(order: EndlessBatchSampler, number: int = 0) -> list[int]:
    order.set_epoch(number)
    return [row for plan in order for row in plan.rows.tolist()]


def seeds(order: EndlessBatchSampler) -> list[int]:
    return [plan.seed for plan in order]


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (10, *SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize(("rows", "batches", "size"), [(10, 3, 4), (3, 2, 8), (50, 2, 5)])
def test_endless_passes_see_every_row_equally_often(rows, batches, size):
    endless = EndlessBatchSampler(rows, batches=batches, batch_size=size, seed=1)
    assert len(endless) == batches
    stream: list[int] = []
    for number in range(2 * rows):
        endless.set_epoch(number)
        plans = list(endless)
        assert [len(plan.rows) for plan in plans] == [size] * batches
        stream += [row for plan in plans for row in plan.rows.tolist()]
    passes = [stream[k : k + rows] for k in range(0, len(stream) - rows + 1, rows)]
    assert all(sorted(one) == list(range(rows)) for one in passes)
    assert len({tuple(one) for one in passes}) > 1


def test_endless_epochs_repeat_exactly():
    def endless(seed: int) -> EndlessBatchSampler:
        return EndlessBatchSampler(10, batches=3, batch_size=4, seed=seed)

    assert epoch(endless(0), 7) == epoch(endless(0), 7)
    assert epoch(endless(0), 7) != epoch(endless(1), 7)
    one = endless(0)
    first = seeds(one)
    one.set_epoch(1)
    assert not set(first) & set(seeds(one))


def test_endless_processes_share_each_batch():
    def endless(**share: int) -> EndlessBatchSampler:
        return EndlessBatchSampler(10, batches=3, batch_size=4, seed=0, **share)

    for whole, first, second in zip(
        endless(), endless(rank=0, world_size=2), endless(rank=1, world_size=2), strict=True
    ):
        assert sorted(whole.rows.tolist()) == sorted([*first.rows.tolist(), *second.rows.tolist()])
        # Alike, the processes' photos would be augmented alike.
        assert first.seed != second.seed
        assert len(first.rows) == len(second.rows) == 2


def test_endless_needs_a_row():
    with pytest.raises(ValueError, match="no row"):
        EndlessBatchSampler(0, batches=1, batch_size=1, seed=0)


def test_pairs_are_the_same_photos_plain_and_augmented(pixels):
    before = pixels.copy()
    for plan in EndlessBatchSampler(10, batches=3, batch_size=4, seed=0):
        pair = Pairs(pixels, FLIP)[plan]
        assert np.array_equal(pair.plain.numpy(), pixels[plan.rows])
        FLIP(strong := pixels[plan.rows], plan.seed)
        assert np.array_equal(pair.strong.numpy(), strong)
        assert (strong != pair.plain.numpy()).any((1, 2, 3)).all()
    assert np.array_equal(pixels, before)


def test_pairs_load(pixels):
    endless = EndlessBatchSampler(10, batches=3, batch_size=4, seed=0)
    assert [len(pair.strong) for pair in loader(Pairs(pixels, FLIP), endless)] == [4, 4, 4]
