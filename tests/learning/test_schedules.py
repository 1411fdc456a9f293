"""Learning rates, read at every optimiser step, against their closed form."""

from __future__ import annotations

import math

import pytest
import torch

from facemask import params
from facemask.learning import optimisers, schedules


def rates(cfg: params.Schedule, lr: float, steps: int) -> list[float]:
    optimiser = torch.optim.SGD([torch.zeros(1, requires_grad=True)], lr=lr)
    schedule = schedules.build(cfg, optimiser, lr=lr, steps=steps)
    seen = []
    for _ in range(steps):
        seen.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        schedule.step() if len(seen) < steps else None
    return seen


def test_one_cycle_follows_its_closed_form():
    steps, lr = 50, 0.3
    seen = rates(params.OneCycle(kind="one_cycle", warmup=0.2, start_div=25.0, final_div=1000.0), lr, steps)
    peak = 0.2 * steps - 1
    low, last = lr / 25, lr / 25 / 1000

    def anneal(start: float, end: float, part: float) -> float:
        return end + (start - end) / 2 * (1 + math.cos(math.pi * part))

    expected = [
        anneal(low, lr, s / peak) if s <= peak else anneal(lr, last, (s - peak) / (steps - 1 - peak))
        for s in range(steps)
    ]
    assert seen == pytest.approx(expected, rel=1e-9)
    assert max(seen) == pytest.approx(lr)


def test_cosine_rises_linearly_and_falls_to_its_floor():
    steps, lr = 40, 0.01
    seen = rates(params.Cosine(kind="cosine", warmup_steps=4, min_lr=0.001), lr, steps)
    assert seen[:5] == pytest.approx([lr * k / 5 for k in (1, 2, 3, 4, 5)])
    expected = [
        0.001 + (lr - 0.001) / 2 * (1 + math.cos(math.pi * (s - 4) / (steps - 5))) for s in range(4, steps)
    ]
    assert seen[4:] == pytest.approx(expected)
    assert seen[-1] == pytest.approx(0.001)


@pytest.mark.parametrize("steps", [1, 2, 3, 5, 10])
def test_very_short_trainings_have_a_schedule(steps):
    for cfg in (
        params.OneCycle(kind="one_cycle", warmup=0.2, start_div=25.0, final_div=1000.0),
        params.Cosine(kind="cosine", warmup_steps=0, min_lr=0.0),
    ):
        assert all(0 <= rate <= 0.1 + 1e-12 for rate in rates(cfg, 0.1, steps))


def test_biases_and_norms_are_not_decayed():
    model = torch.nn.Sequential(torch.nn.Conv2d(3, 4, 3), torch.nn.BatchNorm2d(4))
    optimiser = optimisers.build(params.AdamW(kind="adamw", weight_decay=0.5, betas=(0.9, 0.999)), model, 0.1)
    decay = {id(p): group["weight_decay"] for group in optimiser.param_groups for p in group["params"]}
    assert decay[id(model[0].weight)] == 0.5
    assert {decay[id(p)] for p in (model[0].bias, model[1].weight, model[1].bias)} == {0.0}


def test_sgd_receives_momentum_and_nesterov():
    cfg = params.Sgd(kind="sgd", weight_decay=0.0, momentum=0.9, nesterov=True)
    group = optimisers.build(cfg, torch.nn.Linear(2, 2), 0.1).param_groups[0]
    assert (group["momentum"], group["nesterov"], group["lr"]) == (0.9, True, 0.1)
