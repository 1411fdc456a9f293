"""Where a curve of losses over learning rates falls fastest."""

from __future__ import annotations

import numpy as np
import pytest

from facemask.runtime.errors import UserError
from facemask.training import rates

TRIED = np.logspace(-6, 0, 100)
DECADES = np.log10(TRIED)
# Rates as they are told: a factor of 1.26.
CLOSE = 0.1


def falling(centre: float, width: float = 0.25) -> np.ndarray:
    """Losses from 3 to 1: a logistic of the rate's logarithm, steepest at ``centre``."""
    return 3 - 2 / (1 + np.exp((centre - DECADES) / width))


@pytest.mark.parametrize("centre", [-5.0, -4.0, -3.0, -2.0, -1.0])
def test_the_steepest_point_of_a_known_curve_is_found(centre):
    found = rates.steepest(TRIED, falling(centre))
    assert np.log10(found.suggestion) == pytest.approx(centre, abs=DECADES[1] - DECADES[0])


@pytest.mark.parametrize("centre", [-4.0, -3.0, -2.0])
@pytest.mark.parametrize("noise", [0.1, 0.3])
def test_it_is_found_in_noise(centre, noise):
    generator = np.random.default_rng(0)
    off = [
        np.log10(rates.steepest(TRIED, falling(centre) + noise * generator.standard_normal(100)).suggestion)
        - centre
        for _ in range(40)
    ]
    assert abs(np.median(off)) < CLOSE
    assert np.abs(off).max() < 0.5


def test_it_is_that_of_the_curve_that_is_returned():
    losses = falling(-3.0) + 0.2 * np.random.default_rng(1).standard_normal(100)
    found = rates.steepest(TRIED, losses)
    drop = np.diff(found.losses)
    at = int(np.argmin(np.abs(found.rates - found.suggestion)))
    assert drop[at - 1 : at + 1].min() == pytest.approx(drop.min())
    # Smoother than what came in, and on the same level.
    assert np.abs(np.diff(found.losses, 2)).max() < 0.1 * np.abs(np.diff(losses, 2)).max()
    assert found.losses.mean() == pytest.approx(losses.mean(), abs=0.05)


def test_a_fall_out_of_a_loss_that_ran_away_does_not_count():
    runaway = 30 * np.exp(-(((DECADES + 0.6) / 0.2) ** 2))
    found = rates.steepest(TRIED, falling(-3.0) + runaway)
    assert np.log10(found.suggestion) == pytest.approx(-3, abs=CLOSE)


def test_the_scale_of_the_loss_does_not_matter():
    losses = falling(-3.0) + 0.2 * np.random.default_rng(2).standard_normal(100)
    one, other = rates.steepest(TRIED, losses), rates.steepest(TRIED, 50 * losses + 7)
    assert one.suggestion == other.suggestion


def test_more_steps_find_the_same_rate():
    tried = np.logspace(-6, 0, 400)
    losses = np.interp(np.log10(tried), DECADES, falling(-3.0))
    losses += 0.2 * np.random.default_rng(3).standard_normal(400)
    assert np.log10(rates.steepest(tried, losses).suggestion) == pytest.approx(-3, abs=0.2)


@pytest.mark.parametrize("broken", [np.nan, np.inf])
def test_what_follows_a_loss_that_is_no_number_is_left_out(broken):
    losses = falling(-3.0)
    losses[80] = broken
    losses[81:] = -1000.0
    found = rates.steepest(TRIED, losses)
    assert len(found.rates) == len(found.losses) == 80
    assert np.log10(found.suggestion) == pytest.approx(-3, abs=CLOSE)


@pytest.mark.parametrize(
    "losses",
    [np.linspace(1, 9, 100), np.full(100, np.nan), np.array([2.0, *[np.nan] * 99])],
    ids=["rising", "never a number", "one number"],
)
def test_a_loss_that_does_not_fall_is_told(losses):
    with pytest.raises(UserError, match="does not fall at any rate"):
        rates.steepest(TRIED, losses)
