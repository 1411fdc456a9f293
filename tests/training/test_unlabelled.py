"""Unlabelled batches: every photo equally often, as it is and augmented."""

from __future__ import annotations

import numpy as np
import pytest

from facemask.settings import recipes
from facemask.training.augment import Augmentation
from facemask.training.batches import loader
from facemask.training.unlabelled import Endless, Pairs

SIZE = (16, 12)
FLIP = Augmentation(
    [recipes.Transform(name="HorizontalFlip", p=0.5), recipes.Transform(name="GaussNoise", p=1.0)], SIZE
)


def epoch(order: Endless, number: int = 0) -> list[int]:
    order.set_epoch(number)
    return [row for ticket in order for row in ticket.rows.tolist()]


def seeds(order: Endless) -> list[int]:
    return [ticket.seed for ticket in order]


@pytest.fixture
def pixels() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (10, *SIZE, 3), dtype=np.uint8)


@pytest.mark.parametrize(("rows", "batches", "size"), [(10, 3, 4), (3, 2, 8), (50, 2, 5)])
def test_endless_passes_see_every_row_equally_often(rows, batches, size):
    endless = Endless(rows, batches=batches, batch_size=size, seed=1)
    assert len(endless) == batches
    stream: list[int] = []
    for number in range(2 * rows):
        endless.set_epoch(number)
        tickets = list(endless)
        assert [len(ticket.rows) for ticket in tickets] == [size] * batches
        stream += [row for ticket in tickets for row in ticket.rows.tolist()]
    passes = [stream[k : k + rows] for k in range(0, len(stream) - rows + 1, rows)]
    assert all(sorted(one) == list(range(rows)) for one in passes)
    assert len({tuple(one) for one in passes}) > 1


def test_endless_epochs_repeat_exactly():
    def endless(seed: int) -> Endless:
        return Endless(10, batches=3, batch_size=4, seed=seed)

    assert epoch(endless(0), 7) == epoch(endless(0), 7)
    assert epoch(endless(0), 7) != epoch(endless(1), 7)
    one = endless(0)
    first = seeds(one)
    one.set_epoch(1)
    assert not set(first) & set(seeds(one))


def test_endless_processes_share_each_batch():
    def endless(**share: int) -> Endless:
        return Endless(10, batches=3, batch_size=4, seed=0, **share)

    for whole, first, second in zip(
        endless(), endless(rank=0, world=2), endless(rank=1, world=2), strict=True
    ):
        assert sorted(whole.rows.tolist()) == sorted([*first.rows.tolist(), *second.rows.tolist()])
        # Alike, the processes' photos would be augmented alike.
        assert first.seed != second.seed
        assert len(first.rows) == len(second.rows) == 2


def test_endless_needs_a_row():
    with pytest.raises(ValueError, match="no row"):
        Endless(0, batches=1, batch_size=1, seed=0)


def test_pairs_are_the_same_photos_plain_and_augmented(pixels):
    before = pixels.copy()
    for ticket in Endless(10, batches=3, batch_size=4, seed=0):
        pair = Pairs(pixels, FLIP)[ticket]
        assert np.array_equal(pair.plain.numpy(), pixels[ticket.rows])
        FLIP(strong := pixels[ticket.rows], ticket.seed)
        assert np.array_equal(pair.strong.numpy(), strong)
        assert (strong != pair.plain.numpy()).any((1, 2, 3)).all()
    assert np.array_equal(pixels, before)


def test_pairs_load(pixels):
    endless = Endless(10, batches=3, batch_size=4, seed=0)
    assert [len(pair.strong) for pair in loader(Pairs(pixels, FLIP), endless)] == [4, 4, 4]
