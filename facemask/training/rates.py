"""Learning-rate finder: how the loss answers to a rate that rises step by step.

References
----------
Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, https://arxiv.org/abs/1506.01186
"""

from __future__ import annotations

import logging
import warnings
from dataclasses import dataclass
from typing import Final

import lightning as L
import numpy as np
import torch
from lightning.pytorch.tuner.tuning import Tuner
from scipy.ndimage import gaussian_filter1d

from facemask.network.classifier import Classifier
from facemask.runtime import files
from facemask.runtime.arrays import Floats, Pixels
from facemask.runtime.errors import UserError
from facemask.settings import recipes
from facemask.training import ranks
from facemask.training.batches import Side
from facemask.training.fit import loaders
from facemask.training.task import Task
from facemask.training.trainer import trainer

# Below three steps a decade a slope is that of one batch against the next.
FEWEST: Final = 20
# Standard deviation of the smoothing, in powers of ten of the rate: a factor of two.
WIDTH: Final = 0.3
# Of Lightning's moving average.
_MOMENTUM: Final = 0.98


@dataclass(frozen=True)
class Finding:
    """Rates tried, the smoothed loss at each, and the rate where that falls fastest."""

    rates: Floats
    losses: Floats
    suggestion: float


def find(
    recipe: recipes.Recipe,
    train: Side,
    unlabelled: Pixels | None,
    *,
    seed: int,
    steps: int,
    lowest: float = 1e-6,
    highest: float = 1.0,
) -> Finding:
    """Train for ``steps`` optimiser steps while the rate rises from ``lowest`` to ``highest``; nothing is kept.

    Raises
    ------
    UserError
        If there are fewer than :data:`FEWEST` steps, or the loss does not fall.
    """
    if steps < FEWEST:
        raise UserError(f"{steps} steps are too few to see where the loss falls: give at least {FEWEST}")
    # Its notes on devices and checkpoints are no news of this search.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    L.seed_everything(seed, workers=False, verbose=False)
    model = Classifier(recipe, cuts=train.cuts)
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    with files.scratch("lr") as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        run = trainer(recipe, [], epochs=-1, root=str(folder))
        process = ranks.Process(run.global_rank, run.world_size)
        batches, count = loaders(recipe, train, unlabelled, seed=seed, process=process)
        task = Task(recipe, model, train, steps=steps, steps_per_epoch=count, seed=seed)
        found = Tuner(run).lr_find(
            task,
            train_dataloaders=batches,
            min_lr=lowest,
            max_lr=highest,
            num_training=steps,
            attr_name="lr",
            update_attr=False,
        )
    assert found is not None
    # Lightning's losses are shares of the step's.
    losses = _raw(np.array(found.results["loss"])) * recipe.accumulate
    return steepest(np.array(found.results["lr"]), losses)


def steepest(rates: Floats, losses: Floats) -> Finding:
    """Smooth a curve and look where, on the way to its lowest point, it falls fastest over the logarithm of the rate.

    Smoothed to both sides, a curve falls where it did before; a moving average falls later. Over the rate itself the
    slope is steepest far to the left, where neighbours lie closest.

    Parameters
    ----------
    rates
        (N,) increasing evenly on a logarithmic scale.
    losses
        (N,) of single batches. What follows the first that is no number is left out.

    Raises
    ------
    UserError
        If the loss does not fall.

    References
    ----------
    fastai's ``steep``, https://docs.fast.ai/callback.schedule.html, which takes the same slope of a moving average
    """
    finite = int(np.isfinite(losses).cumprod().sum())
    if finite > 1:
        rates, decades = rates[:finite], np.log10(rates[:finite])
        smooth = gaussian_filter1d(losses[:finite], WIDTH / np.median(np.diff(decades)), mode="nearest")
        lowest = int(smooth.argmin())
        if lowest:
            fastest = int(np.gradient(smooth, decades)[: lowest + 1].argmin())
            return Finding(rates, smooth, float(rates[fastest]))
    raise UserError(
        "the loss does not fall at any rate: check train.image.mean/std, train.loss and train.clip"
    )


def _raw(averages: Floats) -> Floats:
    """Losses of single batches out of Lightning's moving averages of them."""
    # Each is divided by 1 - _MOMENTUM ** (its steps + 1): by one step too many.
    sums = averages * (1 - _MOMENTUM ** np.arange(2, len(averages) + 2))
    before = np.append(0.0, sums[:-1])
    return np.asarray((sums - _MOMENTUM * before) / (1 - _MOMENTUM), dtype=np.float64)
