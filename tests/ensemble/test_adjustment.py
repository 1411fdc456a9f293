"""Logit adjustment: its limits, and a tau that is really the best."""

from __future__ import annotations

import numpy as np
import pytest

from facemask.ensemble import adjustment
from facemask.scoring import metrics

PRIOR = np.array([0.6, 0.3, 0.1, *[0.0] * 15])
TABLE = np.random.default_rng(0).dirichlet(np.ones(18), 200)


def test_zero_changes_nothing():
    assert np.array_equal(adjustment.adjusted(TABLE, PRIOR, 0.0), TABLE)


def test_equal_classes_change_nothing():
    np.testing.assert_allclose(adjustment.adjusted(TABLE, np.full(18, 1 / 18), 1.3), TABLE, atol=1e-12)


def test_one_turns_a_posterior_into_the_likelihood():
    likelihood = np.random.default_rng(1).dirichlet(np.ones(3), 50)
    joint = np.zeros((50, 18))
    joint[:, :3] = likelihood * PRIOR[:3]
    found = adjustment.adjusted(joint / joint.sum(1, keepdims=True), PRIOR, 1.0)
    np.testing.assert_allclose(found[:, :3], likelihood, atol=1e-12)


def test_two_steps_are_one():
    twice = adjustment.adjusted(adjustment.adjusted(TABLE, PRIOR, 0.4), PRIOR, 0.8)
    np.testing.assert_allclose(twice, adjustment.adjusted(TABLE, PRIOR, 1.2), atol=1e-12)


def test_a_class_without_photos_counts_as_half_the_rarest():
    found = adjustment.adjusted(np.full((1, 18), 1 / 18), PRIOR, 1.0)[0]
    np.testing.assert_allclose(found[[1, 2, 3, 17]] / found[0], [2, 6, 12, 12])


def test_certain_rows_stay_certain():
    sure = np.eye(18)[[0, 5]]
    for tau in (-2.0, 3.0):
        np.testing.assert_allclose(adjustment.adjusted(sure, PRIOR, tau), sure)


@pytest.mark.parametrize("tau", [-10.0, 10.0])
def test_the_strongest_adjustment_still_gives_probabilities(tau):
    """The largest taus that params.yaml accepts, for a class that is one in a million."""
    prior = np.array([1e-6, *[(1 - 1e-6) / 17] * 17])
    rows = adjustment.adjusted(TABLE, prior, tau)
    assert np.isfinite(rows).all()
    np.testing.assert_allclose(rows.sum(1), 1)


def test_the_best_tau_is_the_best_and_of_equals_the_mildest():
    truth = np.random.default_rng(2).integers(0, 18, 200)
    taus = (2.0, -1.0, 0.5, 1.0, 0.0)
    best = adjustment.best_tau(TABLE, truth, PRIOR, taus)
    scores = {tau: metrics.score(adjustment.adjusted(TABLE, PRIOR, tau), truth)["macro_f1"] for tau in taus}
    assert scores[best] == max(scores.values())
    assert len(set(scores.values())) > 1
    assert adjustment.best_tau(np.eye(18)[truth], truth, PRIOR, taus) == 0.0
