"""Temperature scaling: known temperatures are found, answers stay, and no row is scored by a fit that saw it."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facemask.ensemble import ensembles, temperature
from facemask.ensemble.temperature import PerTask, Single
from facemask.records import classes
from facemask.scoring import metrics
from facemask.settings import params, recipes

ONE = params.Temperature(kind="temperature")
TASKS = params.TemperaturePerTask(kind="per_task")
NONE = recipes.Nothing(kind="none")
PRIOR = np.full(18, 1 / 18)

TABLES = st.builds(
    lambda seed, spread: np.random.default_rng(seed).dirichlet(np.full(18, spread), 5),
    st.integers(0, 2**32),
    st.floats(0.05, 5),
)
TEMPERATURES = st.floats(0.1, 10)


def config(calibrate, how="soft") -> params.Combine:
    rule = params.SoftVote(kind="soft") if how == "soft" else params.Stacking(kind="stacking", c=1.0)
    return params.Combine(members=(), how=rule, adjust=NONE, calibrate=calibrate)


def sampled(table: np.ndarray, seed: int = 0) -> np.ndarray:
    """True classes, drawn as often as the table says."""
    return (np.random.default_rng(seed).random((len(table), 1)) < table.cumsum(1)).argmax(1)


def calibrated(people: int, seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """A table of seven photos a person that means what it says, true classes and persons."""
    table = np.random.default_rng(seed).dirichlet(np.full(18, 0.3), 7 * people)
    table = np.maximum(table, 1e-5)
    table /= table.sum(1, keepdims=True)
    return table, sampled(table, seed + 1), np.repeat(np.arange(people), 7)


@pytest.mark.slow
@given(table=TABLES, degree=TEMPERATURES)
def test_one_temperature_keeps_every_order_of_classes(table, degree):
    found = Single(degree)(table)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-12)
    # Ties, and what comes within rounding of one, have no order.
    top = np.sort(table, axis=1)
    clear = top[:, -1] > top[:, -2] * (1 + 1e-9)
    assert np.array_equal(found.argmax(1)[clear], table.argmax(1)[clear])
    for name, true in metrics.calls(found).items():
        assert name != "class" or np.array_equal(true[clear], metrics.calls(table)["class"][clear])


def test_temperature_1_changes_nothing_and_extremes_do_not_overflow():
    table = np.random.default_rng(0).dirichlet(np.ones(18), 50)
    np.testing.assert_allclose(Single(1.0)(table), table, atol=1e-14)
    np.testing.assert_allclose(PerTask(1.0, 1.0, 1.0)(table), table, atol=1e-9)
    sure = np.eye(18)[[3]]
    for way in (Single(0.01), Single(100.0), PerTask(0.01, 100.0, 1.0)):
        assert np.isfinite(way(sure)).all()
        assert way(sure).argmax() == 3


@given(table=TABLES, degrees=st.tuples(TEMPERATURES, TEMPERATURES, TEMPERATURES))
def test_a_temperature_a_task_gives_exactly_the_scaled_marginals(table, degrees):
    found = PerTask(*degrees)(table)
    # A probability below what files can hold is none.
    before = classes.marginals(np.maximum(table, 1e-6) / np.maximum(table, 1e-6).sum(1, keepdims=True))
    after = classes.marginals(found)
    for name, degree in zip(classes.ATTRIBUTES, degrees, strict=True):
        np.testing.assert_allclose(after[name], temperature.scaled(before[name], degree), atol=1e-6)


def test_independent_attributes_stay_independent():
    rng = np.random.default_rng(1)
    mask, gender, age = (rng.dirichlet(np.ones(size), 20) for size in classes.SHAPE)
    table = np.einsum("ni,nj,nk->nijk", mask, gender, age).reshape(20, 18)
    expected = np.einsum(
        "ni,nj,nk->nijk", *(temperature.scaled(m, t) for m, t in ((mask, 0.5), (gender, 2.0), (age, 0.8)))
    )
    np.testing.assert_allclose(PerTask(0.5, 2.0, 0.8)(table), expected.reshape(20, 18), atol=1e-6)


@pytest.mark.parametrize("wrong", [0.4, 1.0, 2.5])
def test_a_planted_temperature_is_found(wrong):
    table, true, person = calibrated(600)
    off = temperature.scaled(table, 1 / wrong)
    found = temperature.fit(ONE, off, true, person)
    assert found.temperature == pytest.approx(wrong, rel=0.06)
    assert metrics.log_loss(found(off), true) <= metrics.log_loss(off, true) + 1e-6


@pytest.mark.slow
def test_each_task_gets_its_own():
    table, true, person = calibrated(600)
    off = PerTask(2.0, 1.0, 0.5)(table)
    found = temperature.fit(TASKS, off, true, person)
    assert found.mask == pytest.approx(0.5, rel=0.1)
    assert found.gender == pytest.approx(1.0, rel=0.1)
    assert found.age == pytest.approx(2.0, rel=0.1)


def test_few_people_all_answered_rightly_do_not_ask_for_certainty():
    true = np.arange(14) % 18
    table = 0.3 * np.eye(18)[true] + 0.7 / 18
    few = temperature.best(table, true, np.repeat([0, 1], 7))
    many = temperature.best(np.tile(table, (50, 1)), np.tile(true, 50), np.repeat(np.arange(100), 7))
    assert 0.1 < many < few < 1


def test_photos_of_one_person_count_as_one():
    table, true, person = calibrated(5)
    table = temperature.scaled(table, 0.3)
    once = temperature.best(table, true, person)
    again = temperature.best(np.tile(table, (9, 1)), np.tile(true, 9), np.tile(person, 9))
    assert once == pytest.approx(again, abs=1e-4)


@pytest.mark.slow
@pytest.mark.parametrize("calibrate", [ONE, TASKS])
@pytest.mark.parametrize("how", ["soft", "stacking"])
@pytest.mark.parametrize("folds", [4, 1])
def test_no_calibrated_row_depends_on_the_labels_of_its_fold(calibrate, how, folds):
    table, true, person = calibrated(40)
    fold = person % folds
    cfg = config(calibrate, how)
    before = ensembles.cross_fitted(cfg, table[None], true, fold, person, PRIOR)
    ours = fold == 1 if folds > 1 else person == 7
    true[ours] = 17 - true[ours]
    after = ensembles.cross_fitted(cfg, table[None], true, fold, person, PRIOR)
    assert np.array_equal(before[ours], after[ours])
    assert not np.array_equal(before[~ours], after[~ours])


def test_what_follows_a_stacker_is_fitted_on_rows_that_it_did_not_see():
    """On its own rows a stacker of noise looks far too modest; on others it is far too sure."""
    rng = np.random.default_rng(3)
    person = np.repeat(np.arange(40), 7)
    true, noise = rng.integers(0, 18, 280), rng.dirichlet(np.ones(18), 280)
    fitted = ensembles.fit(config(ONE, "stacking"), noise[None], true, person % 4, person, PRIOR)
    assert temperature.best(fitted.rule(noise[None]), true, person) < 1
    assert fitted.calibration.temperature > 1.5


def test_none_is_none():
    table, true, person = calibrated(4)
    assert temperature.fit(NONE, table, true, person) is None
    found = ensembles.cross_fitted(config(NONE), table[None], true, person % 2, person, PRIOR)
    np.testing.assert_allclose(found, table, atol=1e-12)
