"""Trainings that need more memory than there is: what lowers it, or a smaller batch for the same step."""

from __future__ import annotations

import gc
import sys
from collections.abc import Callable
from typing import Final, TypeVar

import torch
from torch import distributed

from facemask.runtime import shortages
from facemask.runtime.errors import UserError
from facemask.settings import recipes

Result = TypeVar("Result")

# Batch normalisation of a single photo has no variance.
_SMALLEST: Final = 2


def fitting(
    recipe: recipes.Recipe, train: Callable[[recipes.Recipe], Result]
) -> tuple[Result, recipes.Recipe]:
    """Train; with ``recipe.fit_memory``, again with half the batch for as long as memory does not suffice.

    Two batches of half the size then make one optimiser step, so that the effective batch stays. The result is that of
    a training that was given these values: only batch normalisation sees smaller batches.

    Returns
    -------
    What ``train`` returned, and the recipe that it was called with.

    Raises
    ------
    UserError
        If memory does not suffice; the line names what lowers it.
    """
    while True:
        try:
            return train(recipe), recipe
        except Exception as error:
            if shortages.kind(error) != "memory":
                raise
            told = " ".join(str(error).split())[:120] or type(error).__name__
        # The error held the network that did not fit.
        gc.collect()
        torch.cuda.empty_cache()
        smaller = (recipe.batch_size + 1) // 2
        several = distributed.is_available() and distributed.is_initialized()
        if not recipe.fit_memory or several or smaller < _SMALLEST:
            raise UserError(_remedy(recipe, told, several)) from None
        changes = {"batch_size": smaller, "accumulate": 2 * recipe.accumulate}
        recipe = recipe.model_copy(update=changes)
        sys.stdout.write(
            f"out of memory ({told}); from the start with train.batch_size {smaller} and train.accumulate "
            f"{recipe.accumulate}\n"
        )


def _remedy(recipe: recipes.Recipe, told: str, several: bool) -> str:
    if several:
        more = "; several processes cannot change it by themselves"
    elif recipe.fit_memory:
        more = ""
    else:
        more = ", or set train.fit_memory true, which halves the batch by itself"
    return (
        f"out of memory with train.batch_size {recipe.batch_size} ({told}); lower train.batch_size and raise "
        f"train.accumulate by as much, lower train.image.size, or take a smaller train.backbone{more}"
    )
