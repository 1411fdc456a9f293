"""Batches of unlabelled photos for consistency training, beside the labelled ones and for as long."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

from facemask.runtime.arrays import Pixels
from facemask.training.augment import Augmentation
from facemask.training.batches import BatchPlan, BatchSampler


class Pair(NamedTuple):
    """The same unlabelled photos as they are and augmented, each (N, H, W, 3) uint8."""

    plain: Tensor
    strong: Tensor


class EndlessBatchSampler(BatchSampler):
    """Batches out of endless passes over all rows, each in a new order; an epoch goes on where the last ended.

    Parameters
    ----------
    rows
        How many rows there are.
    batches
        BatchSampler an epoch.
    batch_size
        Rows a plan over all devices, always as many.
    rank, world_size
        As in :class:`~facemask.training.batches.BatchSampler`.
    """

    def __init__(
        self, rows: int, *, batches: int, batch_size: int, seed: int, rank: int = 0, world_size: int = 1
    ) -> None:
        if rows < 1:
            raise ValueError("there is no row to draw")
        super().__init__(batches, seed=seed, rank=rank, world_size=world_size)
        self.rows, self.batch_size = rows, batch_size

    def __iter__(self) -> Iterator[BatchPlan]:
        wanted = self.batches * self.batch_size
        first, start = divmod(self.epoch * wanted, self.rows)
        passes = -(-(start + wanted) // self.rows)
        # The last word keeps these draws apart from those of batches.Order with the same seed.
        orders = [
            np.random.default_rng([self.seed, first + k, 1]).permutation(self.rows) for k in range(passes)
        ]
        rows = np.concatenate(orders)[start : start + wanted]
        generator = np.random.default_rng([self.seed, self.epoch, 2])
        seeds = generator.integers(0, 2**32, (self.batches, self.world_size))[:, self.rank]
        for part, seed in zip(rows.reshape(self.batches, -1), seeds.tolist(), strict=True):
            yield BatchPlan(part[self.rank :: self.world_size], seed)


class Pairs(Dataset[Pair]):
    """Unlabelled photos by plan, plain and augmented.

    Parameters
    ----------
    pixels
        Decoded photos, row by row.
    """

    def __init__(self, pixels: Pixels, augmentation: Augmentation) -> None:
        self.pixels, self.augmentation = pixels, augmentation

    def __getitem__(self, plan: BatchPlan) -> Pair:
        plain = self.pixels[plan.rows]
        strong = plain.copy()
        self.augmentation(strong, plan.seed)
        return Pair(torch.from_numpy(plain), torch.from_numpy(strong))
