"""Class weights and priors from class frequencies."""

from __future__ import annotations

import math

import pytest
import torch

from facemask.settings import recipes
from facemask.training import weighting

# The contest's photos of the 18 classes.
COUNTS = torch.tensor(
    [2745, 2050, 415, 3660, 4085, 545, 549, 410, 83, 732, 817, 109, 549, 410, 83, 732, 817, 109],
    dtype=torch.float32,
)
WAYS = {
    "inverse": recipes.InverseCount(kind="inverse", power=1.0),
    "root": recipes.InverseCount(kind="inverse", power=0.5),
    "log": recipes.InverseLog(kind="inverse_log"),
    "effective": recipes.EffectiveNumber(kind="effective", beta=0.999),
}


@pytest.fixture(params=WAYS)
def cfg(request) -> recipes.ClassWeights:
    return WAYS[request.param]


def test_the_mean_over_photos_is_one_and_rarer_is_heavier(cfg):
    weights = weighting.class_weights(cfg, COUNTS)
    assert ((weights * COUNTS).sum() / COUNTS.sum()).item() == pytest.approx(1, rel=1e-6)
    order = COUNTS.argsort()
    assert (weights[order].diff() <= 0).all()
    assert weights[8] > 1.3 * weights[4]


@pytest.mark.parametrize(
    ("name", "formula"),
    [
        ("inverse", lambda n: 1 / n),
        ("root", lambda n: n**-0.5),
        ("log", lambda n: 1 / math.log(1 + n)),
        ("effective", lambda n: (1 - 0.999) / (1 - 0.999**n)),
    ],
)
def test_weights_are_in_the_proportion_of_their_formula(name, formula):
    weights = weighting.class_weights(WAYS[name], COUNTS)
    raw = torch.tensor([formula(n) for n in COUNTS.tolist()])
    torch.testing.assert_close(weights / weights[0], raw / raw[0])


def test_limits_of_the_effective_number():
    """beta 0 weighs nothing, beta near 1 is the inverse."""
    none = weighting.class_weights(recipes.EffectiveNumber(kind="effective", beta=0.0), COUNTS)
    torch.testing.assert_close(none, torch.ones(18))
    nearly = weighting.class_weights(recipes.EffectiveNumber(kind="effective", beta=1 - 1e-9), COUNTS)
    torch.testing.assert_close(nearly, weighting.class_weights(WAYS["inverse"], COUNTS), rtol=1e-4, atol=0)


def test_the_inverse_makes_classes_equal():
    mass = weighting.class_weights(WAYS["inverse"], COUNTS) * COUNTS
    torch.testing.assert_close(mass, mass.mean().expand(18))


def test_classes_without_photos_weigh_nothing_and_parts_of_a_photo_no_more_than_one(cfg):
    weights = weighting.class_weights(cfg, torch.tensor([100.0, 0.0, 1e-6, 1.0]))
    assert weights[1] == 0
    assert weights[2] == weights[3]
    assert torch.isfinite(weights).all()
    assert weighting.class_weights(cfg, torch.zeros(3)) is None


def test_none_is_none():
    assert weighting.class_weights(recipes.Nothing(kind="none"), COUNTS) is None


def test_the_prior_is_each_classs_share():
    prior = weighting.log_prior(COUNTS).exp()
    torch.testing.assert_close(prior, COUNTS / COUNTS.sum())
    assert prior.sum().item() == pytest.approx(1, abs=1e-6)


def test_an_unseen_class_has_the_least_prior_and_a_finite_one():
    prior = weighting.log_prior(torch.tensor([10.0, 0.0, 1.0]))
    assert torch.isfinite(prior).all()
    assert prior[1].item() == pytest.approx(math.log(0.5 / 11.5), abs=1e-6)
    assert prior.argmin() == 1
