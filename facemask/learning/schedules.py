"""Learning-rate schedules, in optimiser steps; the trainer steps them once after every optimiser step."""

from __future__ import annotations

import math
from typing import assert_never

from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from facemask import params


def build(cfg: params.Schedule, optimiser: Optimizer, *, lr: float, steps: int) -> LRScheduler:
    """Make the schedule for a training of ``steps`` optimiser steps with highest rate ``lr``."""
    match cfg:
        case params.OneCycle():
            return OneCycleLR(
                optimiser,
                max_lr=lr,
                total_steps=steps,
                # A rise of one step or less has no length to divide by; torch's own formula then fails.
                pct_start=cfg.warmup if cfg.warmup * steps > 1 else 0.0,
                div_factor=cfg.start_div,
                final_div_factor=cfg.final_div,
                cycle_momentum=False,
            )
        case params.Cosine():
            return LambdaLR(optimiser, lambda step: cosine(step, steps, cfg.warmup_steps, cfg.min_lr / lr))
        case _:
            assert_never(cfg)


def cosine(step: int, steps: int, warmup: int, floor: float) -> float:
    """Fraction of the highest rate at optimiser step ``step`` of ``steps``: linear rise, then half a cosine.

    Parameters
    ----------
    warmup
        Steps of the rise; the first step has rate 1 / (warmup + 1).
    floor
        Fraction reached at the last step.

    References
    ----------
    Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017,
    https://arxiv.org/abs/1608.03983 (without restarts)
    """
    if step < warmup:
        return (step + 1) / (warmup + 1)
    done = min((step - warmup) / max(steps - 1 - warmup, 1), 1.0)
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))
