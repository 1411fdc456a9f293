"""Losses: limits, gradients, and agreement with plain definitions."""

from __future__ import annotations

import pytest
import torch
from torch.nn import functional

from facemask import params
from facemask.learning import losses


@pytest.fixture
def batch() -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(3)
    logits = torch.randn(40, 6, generator=generator, dtype=torch.float64) * 2
    return logits, torch.randint(0, 6, (40,), generator=generator)


def test_focal_without_gamma_is_cross_entropy(batch):
    logits, labels = batch
    torch.testing.assert_close(losses.FocalLoss(0)(logits, labels), functional.cross_entropy(logits, labels))


def test_focal_weighs_each_photo_by_its_error_to_the_power_gamma(batch):
    logits, labels = batch
    p = functional.softmax(logits, 1)[torch.arange(40), labels]
    torch.testing.assert_close(losses.FocalLoss(2)(logits, labels), -((1 - p) ** 2 * p.log()).mean())


def test_focal_has_a_gradient_when_a_photo_is_certain():
    logits = torch.tensor([[60.0, 0.0]], requires_grad=True)
    losses.FocalLoss(0.5)(logits, torch.tensor([0])).backward()
    assert torch.isfinite(logits.grad).all()


def test_soft_f1_is_zero_when_all_are_right_and_one_when_all_are_wrong():
    labels = torch.arange(6).repeat(3)
    sure = functional.one_hot(labels, 6).double() * 80
    loss = losses.SoftF1Loss(1e-7)
    assert loss(sure, labels) == pytest.approx(0, abs=1e-6)
    assert loss(sure.roll(1, 1), labels) == pytest.approx(1, abs=1e-6)


def test_soft_f1_of_certain_predictions_is_hard_f1(batch):
    from sklearn.metrics import f1_score

    logits, labels = batch
    hard = functional.one_hot(logits.argmax(1), 6).double() * 200
    present = sorted(set(labels.tolist()))
    expected = f1_score(labels, logits.argmax(1), labels=present, average="macro", zero_division=0)
    assert 1 - losses.SoftF1Loss(1e-9)(hard, labels).item() == pytest.approx(expected, abs=1e-6)


def test_soft_f1_ignores_classes_that_the_batch_does_not_hold(batch):
    logits, labels = batch
    wider = torch.cat([logits, torch.full((40, 3), -80.0, dtype=torch.float64)], 1)
    torch.testing.assert_close(
        losses.SoftF1Loss(1e-7)(wider, labels), losses.SoftF1Loss(1e-7)(logits, labels)
    )


@pytest.mark.parametrize("loss", [losses.FocalLoss(2.0), losses.FocalLoss(0.5), losses.SoftF1Loss(1e-7)])
def test_gradients_are_those_of_the_value(loss, batch):
    logits, labels = batch
    small = logits[:12].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: loss(x, labels[:12]), small)


def test_build_passes_the_knobs_on(batch):
    logits, labels = batch
    smooth = losses.build(params.CrossEntropy(kind="cross_entropy", smoothing=0.2))
    torch.testing.assert_close(
        smooth(logits, labels), functional.cross_entropy(logits, labels, label_smoothing=0.2)
    )
    assert losses.build(params.Focal(kind="focal", gamma=3.0)).gamma == 3
    assert losses.build(params.SoftF1(kind="soft_f1", eps=1e-3)).eps == 1e-3
