"""Multi-sample dropout: as many draws as told, each of its own, right on average."""

from __future__ import annotations

import pytest
import torch

from facemask.network.dropout import MultiSample
from facemask.settings import recipes


def dropout(p: float, samples: int) -> MultiSample:
    return MultiSample(recipes.Dropout(p=p, samples=samples))


def test_draws_differ_and_are_right_on_average():
    torch.manual_seed(0)
    features = torch.rand(4, 8) + 0.5
    draws = dropout(0.4, 3000)(features).unflatten(0, (3000, 4))
    assert not torch.equal(draws[0], draws[1])
    torch.testing.assert_close(draws.mean(0), features, rtol=0.1, atol=0)
    assert float((draws == 0).float().mean()) == pytest.approx(0.4, abs=0.01)


@pytest.mark.parametrize("samples", [1, 2, 5])
def test_no_dropout_repeats_the_batch(samples):
    features = torch.randn(3, 2)
    assert torch.equal(dropout(0.0, samples)(features), torch.cat([features] * samples))


@pytest.mark.parametrize("samples", [1, 4])
def test_evaluation_leaves_the_features_alone(samples):
    features = torch.randn(3, 2)
    assert torch.equal(dropout(0.7, samples).eval()(features), features)


def test_none_is_no_dropout():
    features = torch.randn(3, 2)
    assert torch.equal(MultiSample(None)(features), features)
