"""The most confident mistakes, and beside each a photo of the same class that was answered rightly."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facemask.runtime.arrays import Floats, Ints
from facemask.scoring.predictions import Predictions


@dataclass(frozen=True)
class Example:
    """One photo and its answer.

    Attributes
    ----------
    place
        Row of the predictions.
    photo
        Its key.
    answer, truth
        Classes 0..17.
    sure, doubt
        Probabilities of the answer and of the true class.
    """

    place: int
    photo: str
    answer: int
    truth: int
    sure: float
    doubt: float


def pairs(split: Predictions, count: int) -> list[tuple[Example, Example | None]]:
    """Up to ``count`` mistakes by falling probability of the answer, each with a hit.

    The hit is the most confident one of the mistake's true class that stands beside no other mistake; None where there
    is none left.
    """
    called = split.probabilities.argmax(1)
    wrong = called != split.official
    # Ties in the manifest's order.
    order = np.argsort(-split.probabilities.max(1), kind="stable")
    hits = {k: [place for place in order[~wrong[order]] if split.official[place] == k] for k in range(18)}
    found = []
    for place in order[wrong[order]][:count]:
        left = hits[int(split.official[place])]
        found.append((_example(split, called, place), _example(split, called, left.pop(0)) if left else None))
    return found


def _example(split: Predictions, called: Ints, place: int) -> Example:
    table: Floats = split.probabilities
    answer, truth = int(called[place]), int(split.official[place])
    sure, doubt = float(table[place, answer]), float(table[place, truth])
    return Example(int(place), split.photos[place], answer, truth, sure, doubt)
