"""Ways to learn age: targets around the age, and probabilities that add up to the three bands."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facemask.network import ages
from facemask.records import classes
from facemask.records.bands import Cuts
from facemask.settings import recipes

EDGES = (20, 25, 29, 40, 50, 58, 70)
CUTS = Cuts(29, 58)
BANDS = recipes.AgeBands(kind="bands")
BINS = recipes.AgeBins(kind="bins", edges=EDGES)
CORN = recipes.AgeCorn(kind="corn", edges=EDGES)
SPREAD = recipes.AgeDistribution(kind="distribution", ages=(10, 90), sigma=3.0)
FINE = [BINS, CORN, SPREAD]
YEARS = torch.arange(12, 89)


def logits(way: ages.Ages, scale: float = 3.0) -> torch.Tensor:
    return torch.randn(6, way.output.width, generator=torch.Generator().manual_seed(3)) * scale


def learnt(way: ages.Ages, targets: torch.Tensor) -> torch.Tensor:
    """Logits of a classifier that gives ``targets`` as its probabilities."""
    if way.output.kind == "softmax":
        return targets.clamp_min(1e-30).log()
    reached = targets.flip(1).cumsum(1).flip(1)
    return torch.logit(reached[:, 1:] / reached[:, :-1].clamp_min(1e-9), eps=1e-6)


@pytest.mark.parametrize("cfg", [BANDS, *FINE], ids=lambda cfg: cfg.kind)
@pytest.mark.parametrize("scale", [1.0, 1e4])
def test_bands_are_probabilities_whatever_the_logits(cfg, scale):
    way = ages.build(cfg, CUTS)
    found = way.log_bands(logits(way, scale))
    assert found.shape == (6, 3)
    assert found.isfinite().all()
    torch.testing.assert_close(found.exp().sum(1), torch.ones(6))


@pytest.mark.parametrize("cfg", [BANDS, *FINE], ids=lambda cfg: cfg.kind)
def test_rows_of_the_targets_sum_to_one(cfg):
    way = ages.build(cfg, CUTS)
    targets = way.targets(torch.zeros_like(YEARS), YEARS)
    assert targets.shape == (len(YEARS), way.output.classes)
    torch.testing.assert_close(targets.sum(1), torch.ones(len(YEARS)))


@pytest.mark.parametrize("cfg", FINE, ids=lambda cfg: cfg.kind)
def test_every_age_folds_back_to_its_band(cfg):
    """At cut - 1 and at the cut too; the bands handed in are not looked at."""
    way = ages.build(cfg, CUTS)
    found = way.log_bands(learnt(way, way.targets(torch.ones_like(YEARS), YEARS))).argmax(1)
    assert found.tolist() == classes.band(YEARS.numpy(), *CUTS).tolist()


def test_plain_bands_are_those_of_the_class_whatever_the_age():
    bands = torch.tensor([2, 0, 1])
    targets = ages.build(BANDS, CUTS).targets(bands, torch.tensor([18, 99, 59]))
    assert targets.tolist() == [[0, 0, 1], [1, 0, 0], [0, 1, 0]]


@pytest.mark.parametrize("cfg", [BINS, CORN], ids=lambda cfg: cfg.kind)
def test_fine_classes_begin_at_their_edges(cfg):
    way = ages.build(cfg, CUTS)
    for edge, (below, above) in zip(EDGES, zip(range(7), range(1, 8), strict=True), strict=True):
        found = way.targets(torch.zeros(2, dtype=torch.long), torch.tensor([edge - 1, edge]))
        assert found.argmax(1).tolist() == [below, above]


def test_bins_are_summed_between_the_cuts():
    way = ages.build(BINS, CUTS)
    p = torch.softmax(logits(way).double(), 1)
    expected = torch.stack([p[:, :3].sum(1), p[:, 3:6].sum(1), p[:, 6:].sum(1)], 1)
    torch.testing.assert_close(way.log_bands(logits(way)).exp().double(), expected)


def test_corn_is_a_product_of_conditional_probabilities():
    """Brute force, photo by photo: p(age >= edge k) is the product of the sigmoids up to k."""
    way = ages.build(CORN, CUTS)
    given = logits(way)
    assert way.output.width == len(EDGES)
    for row, found in zip(given.double().numpy(), way.log_bands(given).exp().numpy(), strict=True):
        reached = dict(zip(EDGES, np.cumprod(1 / (1 + np.exp(-row))), strict=True))
        middle, old = (reached[cut] for cut in CUTS)
        np.testing.assert_allclose(found, [1 - middle, middle - old, old], rtol=1e-4)


def test_corn_keeps_small_probabilities():
    """Ten unlikely thresholds in a row: the product underflows, its logarithm must not."""
    way = ages.build(CORN, CUTS)
    found = way.log_bands(torch.full((1, len(EDGES)), -80.0))
    assert found[0].tolist() == pytest.approx([0, -80 * 3, -80 * 6], abs=1e-3)


def test_distributions_are_centred_on_the_age():
    way = ages.build(SPREAD, CUTS)
    years = torch.arange(10, 91).double()
    for age in (25, 40, 75):
        p = way.targets(torch.zeros(1, dtype=torch.long), torch.tensor([age]))[0].double()
        mean = float((p * years).sum())
        assert mean == pytest.approx(age, abs=1e-3)
        assert float((p * (years - mean) ** 2).sum()) ** 0.5 == pytest.approx(SPREAD.sigma, rel=1e-2)


def test_distributions_are_summed_between_the_cuts():
    way = ages.build(SPREAD, CUTS)
    p = torch.softmax(logits(way).double(), 1)
    years = torch.arange(10, 91)
    parts = [years < CUTS[0], (years >= CUTS[0]) & (years < CUTS[1]), years >= CUTS[1]]
    expected = torch.stack([p[:, part].sum(1) for part in parts], 1)
    torch.testing.assert_close(way.log_bands(logits(way)).exp().double(), expected)


def test_an_age_outside_the_years_leans_on_the_nearest():
    """So far outside that the density itself is 0 everywhere."""
    narrow = SPREAD.model_copy(update={"sigma": 0.5})
    found = ages.build(narrow, CUTS).targets(torch.zeros(2, dtype=torch.long), torch.tensor([1, 120]))
    torch.testing.assert_close(found.sum(1), torch.ones(2))
    assert found.argmax(1).tolist() == [0, 80]
