"""What a trained fold answers to people whom it does not know: each photo as it is, without other views."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Final

import numpy as np

from facemask.network.classifier import Classifier
from facemask.network.predict import predict
from facemask.records import classes
from facemask.runtime.arrays import Pixels, Table
from facemask.settings import params, recipes
from facemask.training import probing

PLAIN: Final = [params.Identity(kind="identity")]


def answers(recipe: recipes.Recipe, model: Classifier, chunks: Iterable[Pixels]) -> Table:
    """Probabilities (N, 18) of photos, (n, H, W, 3) uint8 each; a probe's come from features that are kept."""
    if isinstance(recipe.probe, recipes.Nothing):
        return predict([model], chunks, PLAIN, "probabilities")
    return np.concatenate([np.zeros((0, classes.COUNT)), *(probing.predict(model, part) for part in chunks)])
