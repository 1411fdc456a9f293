"""The angular margin: the paper's closed form, never a reward for the wrong answer."""

from __future__ import annotations

import math

import pytest
import torch

from facemask.network.angular import Angular

SCALE, MARGIN = 30.0, 0.5


def layer(margin: float = MARGIN) -> Angular:
    return Angular(6, 4, scale=SCALE, margin=margin)


def with_angle(theta: torch.Tensor, share: float = 1.0, margin: float = MARGIN) -> torch.Tensor:
    """True class's logit over scale, of angle ``theta`` (N,), where the target gives it ``share``."""
    logits = (SCALE * theta.cos())[:, None].repeat(1, 4)
    targets = torch.tensor([share, 0, 0, 0], dtype=theta.dtype).repeat(len(theta), 1)
    return layer(margin).with_margin(logits, targets)[:, 0] / SCALE


def test_logits_are_scaled_cosines_whatever_the_lengths():
    found = layer()
    features = torch.randn(3, 6)
    logits = found(features)
    expected = SCALE * torch.cosine_similarity(features[:, None], found.weight[None], 2)
    torch.testing.assert_close(logits, expected)
    with torch.no_grad():
        found.weight *= 7
    torch.testing.assert_close(found(features * 100), logits)


def test_the_margin_is_the_closed_form():
    theta = torch.linspace(0.01, math.pi - MARGIN - 0.01, 50, dtype=torch.float64)
    torch.testing.assert_close(with_angle(theta), (theta + MARGIN).cos())
    torch.testing.assert_close(with_angle(theta, 0.3), 0.3 * (theta + MARGIN).cos() + 0.7 * theta.cos())


@pytest.mark.parametrize("margin", [0.1, 0.5, 1.5])
def test_a_larger_angle_is_never_better(margin):
    """Also where angle and margin together pass pi, and the cosine would rise."""
    theta = torch.linspace(0, math.pi, 400, dtype=torch.float64)
    found = with_angle(theta, margin=margin)
    assert (found.diff() < 0).all()
    assert (found < theta.cos()).all()


def test_no_margin_changes_nothing():
    theta = torch.linspace(0, math.pi, 50, dtype=torch.float64)
    torch.testing.assert_close(with_angle(theta, margin=0.0), theta.cos())


def test_gradients_are_right_and_finite_at_the_ends():
    generator = torch.Generator().manual_seed(0)
    logits = (torch.rand(5, 4, generator=generator, dtype=torch.float64) * 1.6 - 0.8) * SCALE
    targets = torch.softmax(torch.randn(5, 4, generator=generator, dtype=torch.float64), 1)
    assert torch.autograd.gradcheck(lambda x: layer().with_margin(x, targets), logits.requires_grad_())
    ends = torch.tensor([[SCALE, -SCALE, SCALE * (1 + 1e-7), 0.0]], requires_grad=True)
    layer().with_margin(ends, torch.full((1, 4), 0.25)).sum().backward()
    assert ends.grad is not None and ends.grad.isfinite().all()


def test_half_precision_around_it_does_not_round_the_logits():
    found, features = layer(), torch.randn(3, 6)
    with torch.autocast("cpu", torch.bfloat16):
        inside = found(features)
    assert torch.equal(inside, found(features))
