"""Learning rates, read at every optimiser step, against their closed form."""

from __future__ import annotations

import itertools
import math

import pytest
import torch
from timm.scheduler.scheduler import Scheduler

from facemask.runtime.errors import UserError
from facemask.settings import recipes
from facemask.training import schedules

LR = 0.3
STEPS, EPOCH = 60, 10
# Of groups with a rate of their own, as layer-wise decay makes them.
SCALES = (1.0, 0.5, 0.125)


def rates(cfg: recipes.Schedule, steps: int = STEPS, epoch: int = EPOCH, scores=None) -> list[list[float]]:
    """Rates of each group at each optimiser step of a dummy training; ``scores`` are those of its epochs."""
    weights = [torch.ones(1, dtype=torch.float64, requires_grad=True) for _ in SCALES]
    groups = [{"params": [w], "lr": LR * scale} for w, scale in zip(weights, SCALES, strict=True)]
    optimiser = torch.optim.SGD(groups, lr=LR)
    held = schedules.build(cfg, optimiser, lr=LR, steps=steps, steps_per_epoch=epoch)
    seen = []
    for step in range(steps):
        seen.append([group["lr"] for group in optimiser.param_groups])
        torch.stack(weights).sum().backward()
        before = [w.item() for w in weights]
        optimiser.step()
        optimiser.zero_grad()
        # What the weights felt, not merely what the optimiser says.
        moved = [b - w.item() for b, w in zip(before, weights, strict=True)]
        assert moved == pytest.approx(seen[-1])
        if step < steps - 1:
            move(held, step + 1)
        if scores is not None and (step + 1) % epoch == 0:
            for one in held:
                if one["interval"] == "epoch":
                    assert one["monitor"] == "val/macro_f1"
                    one["scheduler"].step(scores[step // epoch])
    return seen


def move(held: list[dict], done: int) -> None:
    """What the trainer does after every optimiser step."""
    for one in held:
        if isinstance(one["scheduler"], Scheduler):
            one["scheduler"].step_update(done)
        elif one["interval"] == "step":
            one["scheduler"].step()


def check(seen: list[list[float]], expected: list[float]) -> None:
    """Every group follows ``expected`` at its own scale."""
    assert len(seen) == len(expected)
    for step, (found, wanted) in enumerate(zip(seen, expected, strict=True)):
        assert found == pytest.approx([wanted * scale for scale in SCALES], rel=1e-9, abs=1e-15), step


def warm(step: int, warmup: int) -> float:
    return LR * (step + 1) / (warmup + 1)


def test_constant_rises_and_stays():
    seen = rates(recipes.ConstantRate(kind="constant", warmup_steps=4))
    check(seen, [LR * k / 5 for k in (1, 2, 3, 4)] + [LR] * (STEPS - 4))


def test_one_cycle_rises_and_falls_by_cosines():
    seen = rates(recipes.OneCycle(kind="one_cycle", warmup=0.2, start_div=25.0, final_div=1000.0))
    peak = 0.2 * STEPS - 1
    low, last = LR / 25, LR / 25 / 1000

    def anneal(start: float, end: float, part: float) -> float:
        return end + (start - end) / 2 * (1 + math.cos(math.pi * part))

    expected = [
        anneal(low, LR, s / peak) if s <= peak else anneal(LR, last, (s - peak) / (STEPS - 1 - peak))
        for s in range(STEPS)
    ]
    check(seen, expected)
    assert max(seen)[0] == pytest.approx(LR)


def test_cosine_rises_linearly_and_falls_to_its_floor():
    seen = rates(recipes.Cosine(kind="cosine", warmup_steps=4, min_lr=0.01))
    expected = [
        warm(s, 4) if s < 4 else 0.01 + (LR - 0.01) / 2 * (1 + math.cos(math.pi * (s - 4) / (STEPS - 5)))
        for s in range(STEPS)
    ]
    check(seen, expected)
    assert seen[-1][0] == pytest.approx(0.01)


def test_cosine_restarts_start_anew_each_time_longer():
    """Cosines of 12, 18 (12 x 1.5) and 27 steps after 5 of warm-up: two whole ones and part of a third."""
    cfg = recipes.CosineRestarts(
        kind="cosine_restarts", warmup_steps=5, period_epochs=1.2, multiply=1.5, min_lr=0.01
    )

    def fall(done: float) -> float:
        return 0.01 + (LR - 0.01) / 2 * (1 + math.cos(math.pi * done))

    expected = [warm(s, 5) for s in range(5)]
    expected += [fall(k / 12) for k in range(12)] + [fall(k / 18) for k in range(18)]
    expected += [fall(k / 27) for k in range(STEPS - len(expected))]
    seen = rates(cfg)
    check(seen, expected)
    assert [s for s in range(STEPS) if seen[s][0] == pytest.approx(LR)] == [5, 17, 35]


def test_cosine_restarts_are_torchs():
    cfg = recipes.CosineRestarts(
        kind="cosine_restarts", warmup_steps=0, period_epochs=1.0, multiply=2.0, min_lr=0.01
    )
    optimiser = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=LR)
    reference = torch.optim.lr_scheduler.CosineAnnealingWarmRestarts(
        optimiser, T_0=EPOCH, T_mult=2, eta_min=0.01
    )
    theirs = []
    for _ in range(STEPS):
        theirs.append(optimiser.param_groups[0]["lr"])
        optimiser.step()
        reference.step()
    assert [step[0] for step in rates(cfg)] == pytest.approx(theirs)


def test_step_falls_at_the_ends_of_epochs():
    cfg = recipes.StepDecay(kind="step", warmup_steps=4, every_epochs=2.0, factor=0.1)
    seen = rates(cfg)
    expected = [
        warm(s, 4) if s < 4 else LR if s < 20 else 0.1 * LR if s < 40 else 0.01 * LR for s in range(STEPS)
    ]
    check(seen, expected)


def test_step_by_parts_of_epochs():
    seen = rates(recipes.StepDecay(kind="step", warmup_steps=0, every_epochs=0.5, factor=0.9))
    check(seen, [LR * 0.9 ** (s // 5) for s in range(STEPS)])


@pytest.mark.parametrize("patience", [0, 1, 2])
@pytest.mark.parametrize(
    "scores",
    [
        [0.1, 0.2, 0.2, 0.2, 0.3, 0.2],
        [0.5, 0.4, 0.3, 0.2, 0.1, 0.0],
        [0.1, 0.2, 0.3, 0.4, 0.5, 0.6],
        [0.3, 0.3, 0.30001, 0.3, 0.3, 0.3],
    ],
)
def test_plateau_falls_as_torchs(patience, scores):
    cfg = recipes.Plateau(kind="plateau", warmup_steps=3, patience=patience, factor=0.3, min_lr=0.02)
    optimiser = torch.optim.SGD([torch.ones(1, requires_grad=True)], lr=LR)
    reference = torch.optim.lr_scheduler.ReduceLROnPlateau(
        optimiser, mode="max", factor=0.3, patience=patience, threshold=0, min_lr=0.02, eps=0
    )
    expected = []
    for score in scores:
        expected += [optimiser.param_groups[0]["lr"]] * EPOCH
        reference.step(score)
    expected[:3] = [warm(s, 3) for s in range(3)]
    check(rates(cfg, scores=scores), expected)


@pytest.mark.slow
@pytest.mark.parametrize("multiply", [1.0, 1.25, 2.0, 3.0, 10.0])
def test_every_restart_comes_on_its_step(multiply):
    cfg = recipes.CosineRestarts(
        kind="cosine_restarts", warmup_steps=0, period_epochs=1.6, multiply=multiply, min_lr=0.0
    )
    starts, length = [0.0], 16.0
    while (coming := starts[-1] + length) < 2000:
        starts.append(coming)
        length *= multiply
    seen = [step[0] for step in rates(cfg, steps=2000)]
    for start in starts:
        if start == int(start):
            assert seen[int(start)] == pytest.approx(LR)
    falls = sum(later > earlier for earlier, later in itertools.pairwise(seen))
    assert falls == len(starts) - 1


EVERY = [
    recipes.ConstantRate(kind="constant", warmup_steps=4),
    recipes.OneCycle(kind="one_cycle", warmup=0.2, start_div=25.0, final_div=1000.0),
    recipes.Cosine(kind="cosine", warmup_steps=7, min_lr=0.1),
    recipes.CosineRestarts(
        kind="cosine_restarts", warmup_steps=1, period_epochs=0.5, multiply=1.5, min_lr=0.0
    ),
    recipes.StepDecay(kind="step", warmup_steps=1, every_epochs=0.5, factor=0.5),
    recipes.Plateau(kind="plateau", warmup_steps=3, patience=0, factor=0.5, min_lr=0.0),
]


@pytest.mark.parametrize("cfg", EVERY, ids=lambda cfg: cfg.kind)
def test_schedules_go_through_a_checkpoint(cfg, tmp_path):
    """Plain numbers only: checkpoints are read without running code."""

    def made() -> tuple[torch.optim.Optimizer, list[dict]]:
        groups = [{"params": [torch.ones(1, requires_grad=True)], "lr": LR * scale} for scale in SCALES]
        optimiser = torch.optim.SGD(groups, lr=LR)
        return optimiser, schedules.build(cfg, optimiser, lr=LR, steps=STEPS, steps_per_epoch=EPOCH)

    def go_on(optimiser: torch.optim.Optimizer, held: list[dict], first: int, last: int) -> list[float]:
        seen = []
        for done in range(first, last):
            optimiser.step()
            move(held, done + 1)
            if (done + 1) % EPOCH == 0 and len(held) > 1:
                held[1]["scheduler"].step(0.3 - done / 1000)
            seen += [group["lr"] for group in optimiser.param_groups]
        return seen

    one = made()
    go_on(*one, 0, 25)
    torch.save(
        [one[0].state_dict(), *(held["scheduler"].state_dict() for held in one[1])], tmp_path / "all.pt"
    )
    state, *states = torch.load(tmp_path / "all.pt", weights_only=True)
    again = made()
    again[0].load_state_dict(state)
    for held, kept in zip(again[1], states, strict=True):
        held["scheduler"].load_state_dict(kept)
    assert go_on(*again, 25, STEPS - 1) == go_on(*one, 25, STEPS - 1)


@pytest.mark.parametrize(
    "cfg",
    [
        recipes.ConstantRate(kind="constant", warmup_steps=4),
        recipes.OneCycle(kind="one_cycle", warmup=0.2, start_div=25.0, final_div=1000.0),
        recipes.Cosine(kind="cosine", warmup_steps=0, min_lr=0.0),
        recipes.Cosine(kind="cosine", warmup_steps=7, min_lr=0.1),
        recipes.CosineRestarts(
            kind="cosine_restarts", warmup_steps=1, period_epochs=0.01, multiply=1.0, min_lr=0.0
        ),
        recipes.StepDecay(kind="step", warmup_steps=1, every_epochs=0.01, factor=0.5),
        recipes.Plateau(kind="plateau", warmup_steps=7, patience=0, factor=0.5, min_lr=0.0),
    ],
    ids=lambda cfg: cfg.kind,
)
@pytest.mark.parametrize("steps", [1, 2, 3, 5, 10])
def test_very_short_trainings_have_a_schedule(cfg, steps):
    assert all(0 <= rate <= LR + 1e-12 for step in rates(cfg, steps, epoch=1) for rate in step)


@pytest.mark.parametrize(
    "cfg",
    [
        recipes.Cosine(kind="cosine", warmup_steps=0, min_lr=0.4),
        recipes.CosineRestarts(
            kind="cosine_restarts", warmup_steps=0, period_epochs=1.0, multiply=1.0, min_lr=0.4
        ),
        recipes.Plateau(kind="plateau", warmup_steps=0, patience=0, factor=0.5, min_lr=0.4),
    ],
    ids=lambda cfg: cfg.kind,
)
def test_a_floor_above_the_rate_is_told(cfg):
    with pytest.raises(UserError, match=r"train\.schedule\.min_lr.*0\.4.*0\.3"):
        rates(cfg)
