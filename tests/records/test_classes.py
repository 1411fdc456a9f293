"""The 18 classes and the age bands."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facemask.records import classes


def test_every_class_round_trips() -> None:
    every = np.arange(classes.COUNT)
    assert classes.encode(*classes.decode(every)).tolist() == every.tolist()


def test_class_is_mask_6_gender_3_age() -> None:
    for mask in range(3):
        for gender in range(2):
            for age in range(3):
                number = mask * 6 + gender * 3 + age
                assert classes.encode(mask, gender, age) == number
                parts = (classes.MASKS[mask], classes.GENDERS[gender], classes.AGES[age])
                assert classes.NAMES[number] == " ".join(parts)


@pytest.mark.parametrize("wrong", [(3, 0, 0), (0, 2, 0), (0, 0, 3), (-1, 0, 0), (0, 0, -1)])
def test_a_value_out_of_range_is_refused(wrong: tuple[int, int, int]) -> None:
    with pytest.raises(ValueError):
        classes.encode(*wrong)


def test_official_bands_change_exactly_at_30_and_60() -> None:
    assert classes.band([0, 29, 30, 31, 59, 60, 61, 120]).tolist() == [0, 0, 1, 1, 1, 2, 2, 2]


@given(young=st.integers(1, 119), data=st.data(), age=st.integers(0, 120))
def test_bands_follow_their_cuts(young: int, data: st.DataObject, age: int) -> None:
    old = data.draw(st.integers(young + 1, 120))
    assert classes.band([young - 1, young, old - 1, old, old + 1], young, old).tolist() == [0, 1, 1, 2, 2]
    assert classes.band(age, young, old) == (age >= young) + (age >= old)


def test_marginals_keep_probability_and_belong_to_their_class() -> None:
    tables = classes.marginals(np.eye(classes.COUNT))
    for name, parts in zip(classes.ATTRIBUTES, classes.decode(np.arange(classes.COUNT)), strict=True):
        assert (tables[name].argmax(1) == parts).all()
        assert np.allclose(tables[name].sum(1), 1)
