"""Which rows make a batch, in which order, changed how: a function of the seed, the epoch and the place alone."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import cv2
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from facemask.records import bands
from facemask.runtime import executor, hardware
from facemask.runtime.arrays import Floats, Ints, Pixels
from facemask.settings import recipes
from facemask.training.augment import Augmentation
from facemask.training.backgrounds import Backgrounds

T = TypeVar("T")


@dataclass(frozen=True)
class Side:
    """One side of a fold.

    Attributes
    ----------
    pixels
        (N, height, width, 3) uint8.
    targets
        (N,) classes that the trainer is told, on the training bands.
    ages
        (N,) years.
    labels
        (N,) official classes.
    repeats
        (N,) how often each photo is seen in one epoch.
    mattes
        (N, height, width) uint8, 255 for person; None if no background is swapped.
    cuts
        Where the bands of ``targets`` begin.
    people
        (N,) number of each photo's person; None where persons are not told apart.
    """

    pixels: Pixels
    targets: Ints
    ages: Ints
    labels: Ints
    repeats: Ints
    mattes: Pixels | None = None
    cuts: bands.Cuts = bands.OFFICIAL
    people: Ints | None = None


class BatchPlan(NamedTuple):
    """What a loader worker is told of one batch: its rows, and the seed of all that is drawn for it."""

    rows: Ints
    seed: int


class Batch(NamedTuple):
    """Photos (N, H, W, 3) uint8, what the trainer is told (N,), ages in years (N,), official classes (N,)."""

    photos: Tensor
    targets: Tensor
    ages: Tensor
    labels: Tensor


def sampler_weights(cfg: recipes.Shuffle | recipes.Weighted, targets: Ints, repeats: Ints) -> Floats | None:
    """Return each row's chance to be drawn, or None where the sampler only shuffles.

    A row's chance is its ``repeats`` over (draws of its class) ** ``power``, so that with ``power`` 1 all classes are
    drawn equally often, and rows with 0 repeats never.

    Returns
    -------
    (rows,) float64 that sum to 1, or None
    """
    if isinstance(cfg, recipes.Shuffle):
        return None
    counts = np.bincount(targets, weights=repeats)
    chances = repeats / np.maximum(counts[targets], 1) ** cfg.power
    return np.asarray(chances / chances.sum(), dtype=np.float64)


class BatchSampler(Sampler[BatchPlan]):
    """Plans of one epoch's batches, always as many.

    Parameters
    ----------
    batches
        Batches an epoch.
    rank, world_size
        Which process this is, of how many: its part of each batch is every ``world_size``-th photo from ``rank``
        on, with a seed of its own.
    """

    def __init__(self, batches: int, *, seed: int, rank: int, world_size: int) -> None:
        self.batches, self.seed, self.rank, self.world_size = batches, seed, rank, world_size
        self.epoch = 0

    def __len__(self) -> int:
        return self.batches

    def set_epoch(self, epoch: int) -> None:
        """Make the next iteration that of ``epoch``; Lightning calls it at every epoch's start."""
        self.epoch = epoch


class EpochBatchSampler(BatchSampler):
    """Batches of every row, as often as it is repeated.

    Parameters
    ----------
    repeats
        (rows,) how often a row is seen in one epoch.
    batch_size
        Photos a step over all devices. The epoch is cut into batches of nearly equal size, so that none is dropped
        and none is too small for batch normalisation.
    shuffle
        False keeps the rows in order.
    weights
        (rows,) chances that sum to 1: the epoch is then as many draws as ``repeats`` has in all, with replacement.
        Needs ``shuffle``.
    rank, world_size
        As in :class:`BatchSampler`.
    """

    def __init__(
        self,
        repeats: Ints,
        *,
        batch_size: int,
        seed: int,
        shuffle: bool,
        weights: Floats | None = None,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if weights is not None and not shuffle:
            raise ValueError("weights draw at random: they need shuffle")
        self.rows = np.repeat(np.arange(len(repeats)), repeats)
        super().__init__(-(-len(self.rows) // batch_size), seed=seed, rank=rank, world_size=world_size)
        self.shuffle, self.weights = shuffle, weights

    def __iter__(self) -> Iterator[BatchPlan]:
        generator = np.random.default_rng([self.seed, self.epoch])
        rows = self.rows
        if self.weights is not None:
            rows = generator.choice(len(self.weights), len(rows), p=self.weights)
        elif self.shuffle:
            rows = generator.permutation(rows)
        seeds = generator.integers(0, 2**32, (self.batches, self.world_size))[:, self.rank]
        for part, seed in zip(np.array_split(rows, self.batches), seeds.tolist(), strict=True):
            yield BatchPlan(part[self.rank :: self.world_size], seed)


class Batches(Dataset[Batch]):
    """Labelled batches by plan.

    Parameters
    ----------
    side
        Photos and what is known of them.
    augmentation
        None for validation.
    backgrounds
        Of this side's photos; applied before the augmentation. Needs the side's mattes.
    """

    def __init__(
        self, side: Side, augmentation: Augmentation | None, backgrounds: Backgrounds | None = None
    ) -> None:
        self.pixels, self.augmentation = side.pixels, augmentation
        self._swap: tuple[Backgrounds, Pixels] | None = None
        if backgrounds is not None:
            if side.mattes is None:
                raise ValueError("backgrounds cannot be replaced on a side without mattes")
            self._swap = backgrounds, side.mattes
        self._told = side.targets, side.ages, side.labels

    def __getitem__(self, plan: BatchPlan) -> Batch:
        photos = self.pixels[plan.rows]
        if self._swap is not None:
            backgrounds, mattes = self._swap
            # The last word keeps these draws apart from those of the augmentation.
            generator = np.random.default_rng([plan.seed, 1])
            for k, row in enumerate(plan.rows.tolist()):
                photos[k] = backgrounds(row, mattes[row], generator)
        if self.augmentation is not None:
            self.augmentation(photos, plan.seed)
        return Batch(
            torch.from_numpy(photos), *(torch.from_numpy(column[plan.rows]) for column in self._told)
        )


def loader(photos: Dataset[T], order: Sampler[BatchPlan]) -> DataLoader[T]:
    """Iterate ``photos`` in ``order``, ahead of the training loop where the machine has cores for it."""
    workers = hardware.loader_workers()
    if workers:
        executor.keep_sockets()
    # OpenCV's own threads would fight with the network's, and a process forked where they have run hangs in them.
    cv2.setNumThreads(1)
    return DataLoader(
        photos,
        sampler=order,
        batch_size=None,
        num_workers=workers,
        persistent_workers=workers > 0,
        pin_memory=torch.cuda.is_available(),
        # The seed that it draws for its workers, which use none, would else come out of dropout's stream.
        generator=torch.Generator(),
        # Workers inherit the open pixel store; they never touch CUDA.
        multiprocessing_context="fork" if workers else None,
    )
