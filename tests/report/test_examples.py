"""Which mistakes are shown, and which hits beside them."""

import numpy as np

from facemask.report import examples
from facemask.scoring.predictions import Predictions


def predictions(*rows):
    """Each row: true class, answer, probability of the answer; the true class gets half of the rest."""
    table = np.full((len(rows), 18), 1e-3)
    for row, (true, answer, sure) in zip(table, rows, strict=True):
        row[true], row[answer] = (1 - sure) / 2, sure
    official = np.array([true for true, *_ in rows])
    return Predictions([f"p{k}" for k in range(len(rows))], np.arange(len(rows)), official, table)


def test_the_surest_mistakes_come_first_each_with_the_surest_hit_of_its_class():
    split = predictions((3, 4, 0.5), (3, 3, 0.7), (3, 3, 0.9), (3, 5, 0.8), (7, 8, 0.6), (3, 0, 0.4))
    found = examples.pairs(split, 3)
    assert [wrong.photo for wrong, _ in found] == ["p3", "p4", "p0"]
    assert [hit and hit.photo for _, hit in found] == ["p2", None, "p1"]
    wrong = found[0][0]
    assert (wrong.answer, wrong.truth, wrong.sure) == (5, 3, 0.8)
    assert wrong.doubt == split.probabilities[3, 3]


def test_without_mistakes_there_is_nothing():
    assert examples.pairs(predictions((1, 1, 0.9)), 20) == []
