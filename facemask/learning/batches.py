"""Which rows make a batch, in which order, augmented how: a function of the seed, the epoch and the place alone."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from facemask import hardware
from facemask.images.augment import Augmentation
from facemask.learning.pixels import Pixels


class Ticket(NamedTuple):
    """What a loader worker is told of one batch."""

    rows: npt.NDArray[np.int64]
    seeds: npt.NDArray[np.int64]


class Batch(NamedTuple):
    """Photos (N, H, W, 3) uint8, what the trainer is told (N,), and the official classes (N,)."""

    photos: Tensor
    targets: Tensor
    labels: Tensor


class Order(Sampler[Ticket]):
    """Tickets of one epoch.

    Parameters
    ----------
    repeats
        (rows,) how often a row is seen in one epoch.
    batch_size
        Photos a step over all devices. The epoch is cut into batches of nearly equal size, so that none is dropped
        and none is too small for batch normalisation.
    shuffle
        False keeps the rows in order and gives every row the seed 0.
    rank, world
        This process's share: every ``world``-th photo of each batch from ``rank`` on.
    """

    def __init__(
        self,
        repeats: npt.NDArray[np.int64],
        *,
        batch_size: int,
        seed: int,
        shuffle: bool,
        rank: int = 0,
        world: int = 1,
    ) -> None:
        self.rows = np.repeat(np.arange(len(repeats)), repeats)
        self.batches = -(-len(self.rows) // batch_size)
        self.seed, self.shuffle, self.rank, self.world = seed, shuffle, rank, world
        self.epoch = 0

    def __len__(self) -> int:
        return self.batches

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration that of ``epoch``; Lightning calls it at every epoch's start."""
        self.epoch = epoch

    def __iter__(self) -> Iterator[Ticket]:
        rows, seeds = self.rows, np.zeros(len(self.rows), np.int64)
        if self.shuffle:
            generator = np.random.default_rng([self.seed, self.epoch])
            rows = generator.permutation(rows)
            seeds = generator.integers(0, 2**32, len(rows))
        for part in np.array_split(np.arange(len(rows)), self.batches):
            mine = part[self.rank :: self.world]
            yield Ticket(rows[mine], seeds[mine])


class Batches(Dataset[Batch]):
    """Batches by ticket.

    Parameters
    ----------
    pixels
        Decoded photos, row by row.
    targets, labels
        (rows,) classes 0..17: those that the trainer is told, and the official ones.
    augmentation
        None for validation.
    """

    def __init__(
        self,
        pixels: Pixels,
        targets: npt.NDArray[np.int64],
        labels: npt.NDArray[np.int64],
        augmentation: Augmentation | None,
    ) -> None:
        self.pixels, self.augmentation = pixels, augmentation
        self.targets, self.labels = torch.tensor(targets), torch.tensor(labels)

    def __getitem__(self, ticket: Ticket) -> Batch:
        photos = self.pixels[ticket.rows]
        if self.augmentation is not None:
            for k, seed in enumerate(ticket.seeds.tolist()):
                photos[k] = self.augmentation(photos[k], seed)
        rows = torch.from_numpy(ticket.rows)
        return Batch(torch.from_numpy(photos), self.targets[rows], self.labels[rows])


def loader(batches: Batches, order: Order) -> DataLoader[Batch]:
    """Iterate ``batches`` in ``order``, ahead of the training loop where the machine has cores for it."""
    workers = hardware.loader_workers()
    return DataLoader(
        batches,
        sampler=order,
        batch_size=None,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        # Workers inherit the open pixel store; they never touch CUDA.
        multiprocessing_context="fork" if workers else None,
    )
