"""Intervals are about people: they cover, shrink with more people and treat a person's photos as one."""

import time

import numpy as np
import pytest

from facemask.evaluation import intervals
from facemask.records import classes
from facemask.scoring import metrics


def photos(people, *, rng, right=0.7, a_person=7):
    """Confusion tables (P, 2, 2) of people whose photos are all right or all wrong."""
    correct = rng.random(people) < right
    truth = rng.integers(2, size=people)
    called = np.where(correct, truth, 1 - truth)
    person = np.arange(people)
    repeat = [np.repeat(values, a_person) for values in (truth, called, person)]
    return metrics.grouped(*repeat, 2, groups=people)


def statistic(tables):
    return {"accuracy": metrics.accuracy(tables["class"])}


def limits(tables, **changes):
    settings = {"resamples": 400, "confidence": 0.95, "seed": 0} | changes
    return intervals.bootstrap({"class": tables}, statistic, **settings)["accuracy"]


def test_the_interval_of_an_accuracy_is_the_binomial_one():
    tables = photos(400, rng=np.random.default_rng(0))
    low, high = limits(tables, resamples=4000)
    share = metrics.accuracy(tables.sum(0))
    pool = 1.96 * np.sqrt(share * (1 - share) / 400)
    assert low == pytest.approx(share - pool, abs=0.006)
    assert high == pytest.approx(share + pool, abs=0.006)


def test_intervals_cover_the_truth_about_as_often_as_they_say():
    hits = 0
    for seed in range(150):
        low, high = limits(
            photos(120, rng=np.random.default_rng(seed)), resamples=200, confidence=0.9, seed=seed
        )
        hits += low <= 0.7 <= high
    assert 0.82 <= hits / 150 <= 0.97


def test_intervals_shrink_with_people_and_grow_with_confidence():
    rng = np.random.default_rng(1)
    widths = [float(np.diff(limits(photos(people, rng=rng)))[0]) for people in (30, 300, 3000)]
    assert widths[0] > 2 * widths[1] > 4 * widths[2] > 0
    tables = photos(100, rng=rng)
    assert np.diff(limits(tables, confidence=0.5)) < np.diff(limits(tables, confidence=0.99))


def test_photos_of_one_person_are_drawn_together():
    tables = photos(200, rng=np.random.default_rng(2))
    by_person = float(np.diff(limits(tables, resamples=1000))[0])
    # The same photos as if each were of somebody else: far too sure of themselves, by the square root of seven.
    strangers = np.repeat(tables // 7, 7, axis=0)
    by_photo = float(np.diff(limits(strangers, resamples=1000))[0])
    assert by_person / by_photo == pytest.approx(np.sqrt(7), rel=0.15)


def test_same_seed_same_interval_and_memory_changes_nothing():
    tables = photos(50, rng=np.random.default_rng(3))
    np.testing.assert_array_equal(limits(tables), limits(tables))
    np.testing.assert_array_equal(limits(tables), limits(tables, held=50 * 7 + 3))
    assert (limits(tables) != limits(tables, seed=1)).any()


def test_nothing_is_said_without_resamples_or_about_one_person():
    tables = photos(20, rng=np.random.default_rng(4))
    settings = {"confidence": 0.95, "seed": 0}
    assert intervals.bootstrap({"class": tables}, statistic, resamples=0, **settings) is None
    assert intervals.bootstrap({"class": tables[:1]}, statistic, resamples=100, **settings) is None
    assert intervals.bootstrap({"class": tables[:0]}, statistic, resamples=100, **settings) is None


def test_a_class_that_never_occurs_has_no_limits_and_leaves_the_others_theirs():
    tables = {"class": metrics.grouped(np.array([0, 0, 1]), np.array([0, 1, 1]), np.arange(3), 3, groups=3)}
    found = intervals.bootstrap(
        tables, lambda t: {"f1": metrics.f1(t["class"])}, resamples=200, confidence=0.9, seed=0
    )["f1"]
    assert found.shape == (2, 3)
    assert np.isnan(found[:, 2]).all()
    assert np.isfinite(found[:, :2]).all()


@pytest.mark.parametrize("wrong", [{"confidence": 0.0}, {"confidence": 1.0}, {"resamples": -1}])
def test_wrong_settings_are_refused(wrong):
    with pytest.raises(ValueError):
        limits(photos(5, rng=np.random.default_rng(5)), **wrong)


def test_the_contest_takes_a_second():
    rng = np.random.default_rng(6)
    official = np.repeat(rng.integers(classes.COUNT, size=2700), 7)
    probabilities = rng.dirichlet(np.ones(18), size=len(official))
    tables = metrics.confusions(probabilities, official, np.repeat(np.arange(2700), 7))
    start = time.process_time()
    found = intervals.bootstrap(tables, metrics.statistics, resamples=1000, confidence=0.95, seed=0)
    taken = time.process_time() - start
    assert taken < 5
    assert found["f1"].shape == (2, 18)
