"""Gradient clipping against its definitions."""

from __future__ import annotations

import pytest
import torch
from torch import nn

from facemask.settings import recipes
from facemask.training import clipping

LIMIT = 0.05


class Toy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.backbones = nn.ModuleDict({"all": nn.Sequential(nn.Conv2d(3, 4, 3), nn.Conv2d(4, 2, 1))})
        self.head = nn.Linear(2, 5)
        self.idle = nn.Linear(2, 2)


@pytest.fixture
def model() -> Toy:
    """With gradients everywhere but in ``idle``, some large, some tiny."""
    torch.manual_seed(0)
    found = Toy()
    for k, weight in enumerate([*found.backbones.parameters(), *found.head.parameters()]):
        weight.grad = torch.randn_like(weight) * (10.0 if k % 2 else 1e-3)
    return found


def gradients(model: nn.Module) -> dict[str, torch.Tensor]:
    return {name: w.grad.clone() for name, w in model.named_parameters() if w.grad is not None}


def test_norm_scales_all_gradients_alike(model):
    before = gradients(model)
    norm = torch.stack([g.square().sum() for g in before.values()]).sum().sqrt()
    clipping.clip(recipes.ClipNorm(kind="norm", limit=LIMIT), model)
    for name, after in gradients(model).items():
        torch.testing.assert_close(after, before[name] * LIMIT / norm)


def test_norm_leaves_short_gradients(model):
    before = gradients(model)
    clipping.clip(recipes.ClipNorm(kind="norm", limit=1e6), model)
    assert all(torch.equal(after, before[name]) for name, after in gradients(model).items())


def test_value_cuts_each_number(model):
    before = gradients(model)
    clipping.clip(recipes.ClipValue(kind="value", limit=LIMIT), model)
    for name, after in gradients(model).items():
        torch.testing.assert_close(after, before[name].clamp(-LIMIT, LIMIT))


def test_adaptive_limits_each_units_gradient_by_its_weights_and_spares_the_head(model):
    before = gradients(model)
    clipping.clip(recipes.ClipAdaptive(kind="agc", limit=LIMIT), model)
    after = gradients(model)
    changed = 0
    for name, weight in model.backbones.named_parameters():
        old, new = before[f"backbones.{name}"], after[f"backbones.{name}"]
        # A unit is an output channel; a vector of biases is one unit.
        rows = range(len(weight)) if weight.ndim > 1 else [slice(None)]
        for row in rows:
            most = LIMIT * max(weight[row].norm().item(), 1e-3)
            norm = old[row].norm().item()
            factor = most / norm if norm > most else 1.0
            torch.testing.assert_close(new[row], old[row] * factor)
            changed += factor < 1
    assert changed > 1
    for name in ("head.weight", "head.bias"):
        assert torch.equal(after[name], before[name])


def test_none_leaves_all(model):
    before = gradients(model)
    clipping.clip(recipes.Nothing(kind="none"), model)
    assert all(torch.equal(after, before[name]) for name, after in gradients(model).items())
