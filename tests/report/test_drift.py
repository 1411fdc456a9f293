"""Drift: what differs is found, what does not is called chance."""

import numpy as np
import pandas as pd
import pytest

from facemask.report import drift, facts


def measured(people, seed, shift=0.0, column="brightness"):
    """Seven photos a person, alike within a person."""
    rng = np.random.default_rng(seed)
    own = np.repeat(rng.normal(size=(people, len(facts.QUANTITIES))), 7, axis=0)
    table = pd.DataFrame(own + 0.3 * rng.normal(size=own.shape), columns=list(facts.QUANTITIES))
    table[column] += shift
    return table, pd.Series(np.repeat([f"{k:03d}" for k in range(people)], 7))


@pytest.mark.slow
def test_a_shift_is_found_and_stands_out():
    ours, person = measured(60, 1)
    theirs, _ = measured(40, 2, shift=3.0, column="sharpness")
    found = drift.adversarial(ours, person, theirs, seed=3)
    assert found.auc > 0.9
    assert found.beyond
    by_name = {one.name: one.auc for one in drift.shifts(ours, theirs)}
    assert max(by_name, key=by_name.get) == "sharpness"
    assert by_name["sharpness"] > 0.95


@pytest.mark.slow
def test_people_of_one_kind_are_within_chance():
    beyond = []
    for seed in range(6):
        ours, person = measured(60, 2 * seed)
        theirs, _ = measured(40, 2 * seed + 1)
        beyond.append(drift.adversarial(ours, person, theirs, seed=seed).beyond)
    assert sum(beyond) <= 1


@pytest.mark.slow
def test_a_spread_without_a_shift_is_found_too():
    ours, person = measured(200, 5)
    theirs, _ = measured(150, 6)
    theirs["contrast"] *= 5
    assert drift.adversarial(ours, person, theirs, seed=0).beyond


def test_too_few_photos_are_not_judged():
    ours, person = measured(3, 1)
    assert drift.adversarial(ours, person, ours, seed=0) is None


def test_histograms_hold_all_photos_and_a_lacking_quantity_is_left_out():
    ours, _ = measured(20, 1)
    theirs, _ = measured(20, 2, shift=50)
    theirs["coverage"] = np.nan
    found = drift.shifts(ours, theirs)
    assert [one.name for one in found] == [name for name in facts.QUANTITIES if name != "coverage"]
    for one in found:
        np.testing.assert_allclose(one.shares.sum(1), 1)


@pytest.mark.parametrize(("count", "beyond"), [(30, False), (260, True)])
def test_a_share_of_a_class_is_held_against_chance(count, beyond):
    """Of 60 labelled people one in seven photos is class 6; of 280 eval photos ``count`` are."""
    ours = np.eye(18)[np.tile([0, 0, 0, 0, 0, 6, 12], 60)]
    theirs = np.eye(18)[[6] * count + [0] * (280 - count)]
    found = {one.name: one for one in drift.shares(ours, np.repeat(np.arange(60), 7), theirs)["mask"]}
    assert found["incorrect"].labelled == pytest.approx(1 / 7)
    assert found["incorrect"].eval == pytest.approx(count / 280)
    assert found["incorrect"].beyond == beyond
