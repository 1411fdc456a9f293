"""Who is held out and who validates."""

from __future__ import annotations

import math
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from facemask.manifest import folds
from facemask.records import tables
from facemask.runtime.errors import UserError

strata = st.dictionaries(
    st.text("0123456789-", min_size=1, max_size=6), st.integers(0, 5), min_size=14, max_size=60
)
counts = st.integers(2, 7)
fractions = st.sampled_from([0.0, 0.01, 0.1, 0.29, 0.5])
seeds = st.integers(0, 2**32 - 1)


@given(strata=strata, count=counts, fraction=fractions, seed=seeds)
def test_everybody_is_dealt_evenly(strata: dict[str, int], count: int, fraction: float, seed: int) -> None:
    dealt = folds.assign(strata, folds=count, holdout=fraction, seed=seed)
    assert dealt.keys() == strata.keys()
    held = [person for person, fold in dealt.items() if fold == tables.HOLDOUT]
    assert len(held) == (max(1, round(fraction * len(strata))) if fraction else 0)
    everyone = Counter(fold for fold in dealt.values() if fold != tables.HOLDOUT)
    sizes = [everyone[fold] for fold in range(count)]
    assert everyone.keys() == set(range(count))
    assert max(sizes) - min(sizes) <= 1
    for stratum in set(strata.values()):
        mine = Counter(dealt[person] for person in strata if strata[person] == stratum)
        sizes = [mine[fold] for fold in range(count)]
        assert max(sizes) - min(sizes) <= 1


@given(strata=strata, count=counts, fraction=fractions, seed=seeds)
def test_holdout_takes_its_share_of_every_stratum(
    strata: dict[str, int], count: int, fraction: float, seed: int
) -> None:
    dealt = folds.assign(strata, folds=count, holdout=fraction, seed=seed)
    sizes = Counter(strata.values())
    held = Counter(strata[person] for person, fold in dealt.items() if fold == tables.HOLDOUT)
    for stratum, size in sizes.items():
        assert math.floor(round(fraction * size, 9)) <= held[stratum] <= math.ceil(fraction * size) + 1
    if any(size > 1 and not held[stratum] for stratum, size in sizes.items()):
        # Somebody went without: then no seat was left for a second one out of turn, nor for anyone's only person.
        assert all(held[stratum] <= max(1, fraction * size) for stratum, size in sizes.items())
        assert not any(held[stratum] for stratum, size in sizes.items() if size == 1)


@pytest.mark.slow
@given(strata=strata, count=counts, fraction=fractions, seed=seeds, data=st.data())
def test_the_order_of_people_does_not_matter(
    strata: dict[str, int], count: int, fraction: float, seed: int, data: st.DataObject
) -> None:
    shuffled = dict(data.draw(st.permutations(list(strata.items()))))
    first = folds.assign(strata, folds=count, holdout=fraction, seed=seed)
    assert folds.assign(shuffled, folds=count, holdout=fraction, seed=seed) == first


def test_rare_strata_stay_in_training_and_middling_ones_are_held_out() -> None:
    people = {f"a{k}": 0 for k in range(40)} | {f"b{k}": 1 for k in range(5)} | {"only": 2}
    for seed in range(20):
        dealt = folds.assign(people, folds=5, holdout=0.1, seed=seed)
        held = Counter(people[person] for person, fold in dealt.items() if fold == tables.HOLDOUT)
        assert held == {0: 4, 1: 1}


def test_the_seed_changes_who_is_where_and_how_many_are_not() -> None:
    people = {f"{k:03d}": k % 6 for k in range(60)}
    one, two = (folds.assign(people, folds=5, holdout=0.1, seed=seed) for seed in (1, 2))
    assert one != two
    assert Counter(one.values()) == Counter(two.values())


def test_people_added_to_one_stratum_leave_the_holdout_of_the_others() -> None:
    people = {f"{k:03d}": k % 2 for k in range(80)}
    more = people | {f"x{k}": 1 for k in range(20)}
    before, after = (folds.assign(each, folds=5, holdout=0.1, seed=3) for each in (people, more))
    assert all(after[person] == before[person] for person, stratum in people.items() if stratum == 0)


@pytest.mark.parametrize(("people", "holdout", "left"), [(4, 0.0, 4), (9, 0.5, 5)])
def test_fewer_people_than_folds_are_refused(people: int, holdout: float, left: int) -> None:
    population = {str(k): 0 for k in range(people)}
    with pytest.raises(UserError, match=f"build_manifest.folds is {left + 1}, but there are {people} people"):
        folds.assign(population, folds=left + 1, holdout=holdout, seed=0)
    assert set(folds.assign(population, folds=left, holdout=holdout, seed=0).values()) >= set(range(left))
