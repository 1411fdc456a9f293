"""How often a photo is seen."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facemask.manifest import balancing
from facemask.records import classes
from facemask.settings import params


def rows(*targets: int) -> pd.DataFrame:
    return pd.DataFrame({"photo": [f"p{k}" for k in range(len(targets))], "person": "x", "target": targets})


def people(count: int) -> pd.DataFrame:
    """Seven photos each: five worn, one incorrect, one without a mask."""
    mask = np.tile([0, 0, 0, 0, 0, 1, 2], count)
    person = np.repeat([f"{k:03d}" for k in range(count)], 7)
    photos = [f"{name}/{k % 7}" for k, name in enumerate(person)]
    return pd.DataFrame({"photo": photos, "person": person, "target": classes.encode(mask, 0, 1)})


def oversample(ratio: float, cap: int) -> params.Oversample:
    return params.Oversample(kind="oversample", ratio=ratio, cap=cap)


def undersample(*keep: int) -> params.Undersample:
    return params.Undersample.model_validate({"kind": "undersample", "keep": tuple(keep)})


def test_without_balancing_every_photo_is_seen_once() -> None:
    assert balancing.repeats(params.NoBalance(kind="none"), rows(0, 0, 5), seed=0).tolist() == [1, 1, 1]


@pytest.mark.parametrize(
    ("ratio", "cap", "expected"),
    [(1.0, 10, (1, 2, 10)), (1.0, 4, (1, 2, 4)), (0.5, 10, (1, 1, 5)), (0.1, 10, (1, 1, 1))],
)
def test_oversampling_raises_rare_classes_towards_the_ratio(
    ratio: float, cap: int, expected: tuple[int, int, int]
) -> None:
    counted = balancing.repeats(oversample(ratio, cap), rows(*[3] * 10, *[7] * 5, 17), seed=0)
    assert (set(counted[:10]), set(counted[10:15]), set(counted[15:])) == tuple({each} for each in expected)


@given(
    targets=st.lists(st.integers(0, 17), min_size=1, max_size=80),
    ratio=st.floats(0.01, 1),
    cap=st.integers(1, 12),
)
def test_oversampling_stays_within_its_bounds(targets: list[int], ratio: float, cap: int) -> None:
    counted = balancing.repeats(oversample(ratio, cap), rows(*targets), seed=0)
    before = np.bincount(targets, minlength=18)
    after = np.bincount(targets, weights=counted, minlength=18)
    assert counted.min() >= 1
    assert counted.max() <= cap
    assert after[before == before.max()].max() == before.max()
    # Rounding to whole repeats misses the goal by half of the class at most.
    assert (after <= np.maximum(before, ratio * before.max() + before / 2 + 1e-9)).all()
    goal = np.minimum(cap * before, ratio * before.max() - before / 2 - 1e-9)
    assert (after >= goal)[before > 0].all()


def test_nothing_to_balance_is_no_error() -> None:
    assert balancing.repeats(oversample(1.0, 3), rows(), seed=0).tolist() == []
    assert balancing.repeats(undersample(3, 1, 1), rows().astype({"target": int}), seed=0).tolist() == []


@pytest.mark.parametrize("keep", [(3, 1, 1), (1, 1, 1), (5, 1, 1), (9, 9, 9)])
def test_undersampling_keeps_so_many_of_each_person_and_mask_state(keep: tuple[int, int, int]) -> None:
    table = people(20)
    table["kept"] = balancing.repeats(undersample(*keep), table, seed=1)
    mask, _, _ = classes.decode(table["target"])
    per = table.groupby(["person", mask])["kept"].sum().unstack()
    assert set(table["kept"]) <= {0, 1}
    for state, there in enumerate((5, 1, 1)):
        assert set(per[state]) == {min(keep[state], there)}


def test_undersampling_goes_by_photo_not_by_position() -> None:
    table = people(30)
    table["kept"] = balancing.repeats(undersample(3, 1, 1), table, seed=1)
    shuffled = table.sample(frac=1, random_state=0).reset_index(drop=True)
    again = balancing.repeats(undersample(3, 1, 1), shuffled, seed=1)
    assert again.tolist() == shuffled["kept"].tolist()
    some = table[table["person"] < "010"]
    assert balancing.repeats(undersample(3, 1, 1), some, seed=1).tolist() == some["kept"].tolist()
    place = table["photo"].str[-1].astype(int)
    # Were files picked by their place in the folder, some places would always be lost.
    assert table[place < 5].groupby(place)["kept"].sum().between(6, 29).all()
    assert balancing.repeats(undersample(3, 1, 1), table, seed=2).tolist() != table["kept"].tolist()
