"""Learning-rate finder: how the loss answers to a rate that rises step by step.

References
----------
Smith, "Cyclical Learning Rates for Training Neural Networks", WACV 2017, https://arxiv.org/abs/1506.01186
"""

from __future__ import annotations

import logging
import tempfile
import warnings
from dataclasses import dataclass

import lightning as L
import torch
from lightning.pytorch.tuner.tuning import Tuner

from facemask.network.classifier import Classifier
from facemask.runtime.errors import UserError
from facemask.settings import recipes
from facemask.training import ranks
from facemask.training.batches import Side
from facemask.training.fit import loaders, trainer
from facemask.training.pixels import Pixels
from facemask.training.task import Task

SMOOTHING = 0.98
# Lightning leaves out the first ten and the last, and wants a slope of what remains.
FEWEST = 20


@dataclass(frozen=True)
class Finding:
    """Rates tried, the smoothed loss at each, and the rate where it falls fastest."""

    rates: list[float]
    losses: list[float]
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
        If there are fewer than :data:`FEWEST` steps, or the loss diverges before there is anything to see.
    """
    if steps < FEWEST:
        raise UserError(f"{steps} steps are too few to see where the loss falls: give at least {FEWEST}")
    # Its notes on devices and checkpoints are no news of this search.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    L.seed_everything(seed, workers=False, verbose=False)
    model = Classifier(recipe, cuts=train.cuts)
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    with tempfile.TemporaryDirectory(prefix="facemask-") as folder, warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        run = trainer(recipe, [], epochs=-1, root=folder)
        share = ranks.Share(run.global_rank, run.world_size)
        batches, count = loaders(recipe, train, unlabelled, seed=seed, share=share)
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
        suggestion = None if found is None else found.suggestion()
    if found is None or suggestion is None:
        raise UserError("the loss diverged at once: check train.image.mean/std, train.loss and train.clip")
    # Lightning divides its moving average by one step too many, which bends the curve's beginning down.
    losses = [
        float(loss) * (1 - SMOOTHING ** (k + 2)) / (1 - SMOOTHING ** (k + 1))
        for k, loss in enumerate(found.results["loss"])
    ]
    return Finding([float(rate) for rate in found.results["lr"]], losses, suggestion)
