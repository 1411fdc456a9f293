"""Heads: every one ends in an (N, 18) table, and its targets are the class's own attributes."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facemask import params
from facemask.learning import heads
from facemask.records import classes

KINDS = [params.JointHead(kind="joint", dropout=0.0), params.ThreeHead(kind="three", dropout=0.0)]


@pytest.mark.parametrize("cfg", KINDS, ids=lambda cfg: cfg.kind)
def test_rows_of_the_table_sum_to_one(cfg):
    head = heads.build(cfg, 7)
    table = head.log_table(head(torch.randn(5, 7) * 10)).exp()
    assert table.shape == (5, 18)
    torch.testing.assert_close(table.sum(1), torch.ones(5))


@pytest.mark.parametrize("cfg", KINDS, ids=lambda cfg: cfg.kind)
def test_logits_that_agree_with_the_targets_give_the_class(cfg):
    """Targets and table are inverse: a head that learns its targets predicts the right class."""
    head = heads.build(cfg, 7)
    every = torch.arange(18)
    shapes = {name: part.shape[1] for name, part in head(torch.zeros(1, 7)).items()}
    sure = {
        name: torch.nn.functional.one_hot(t, shapes[name]) * 50.0 for name, t in head.targets(every).items()
    }
    assert torch.equal(head.log_table(sure).argmax(1), every)


def test_three_heads_are_asked_for_the_attributes_of_the_class():
    targets = heads.build(KINDS[1], 4).targets(torch.arange(18))
    for name, expected in zip(("mask", "gender", "age"), classes.decode(np.arange(18)), strict=True):
        assert targets[name].tolist() == expected.tolist()


def test_the_table_of_three_is_the_product_of_its_attributes():
    head = heads.build(KINDS[1], 4)
    logits = head(torch.randn(3, 4))
    marginals = classes.marginals(head.log_table(logits).exp().detach().numpy())
    for name, table in marginals.items():
        np.testing.assert_allclose(table, torch.softmax(logits[name], 1).detach().numpy(), rtol=1e-5)


@pytest.mark.parametrize("kind", [params.JointHead, params.ThreeHead])
def test_dropout_acts_in_training_and_not_in_evaluation(kind):
    head = heads.build(kind(kind=kind.model_fields["kind"].annotation.__args__[0], dropout=0.5), 64)
    features = torch.ones(1, 64)

    def differs() -> bool:
        first, second = head(features), head(features)
        return any(not torch.equal(first[name], second[name]) for name in first)

    assert differs()
    head.eval()
    assert not differs()
