"""Learning-rate schedules, in optimiser steps; the trainer steps them once after every optimiser step.

Each group of weights keeps its own highest rate, so that layer-wise decay holds throughout: below, the *fraction* is of
that rate, and ``min_lr`` is the floor of the group with the full rate, the others' in proportion. Warm-up rises by
equal steps, from 1 / (warmup_steps + 1) at step 0 to 1 at step ``warmup_steps``.
"""

from __future__ import annotations

import math
from typing import assert_never

from torch import Tensor
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LambdaLR, LRScheduler, OneCycleLR

from facemask.runtime.errors import UserError
from facemask.settings import recipes


def build(
    cfg: recipes.Schedule, optimiser: Optimizer, *, lr: float, steps: int, steps_per_epoch: int
) -> LRScheduler:
    """Make the schedule for a training of ``steps`` optimiser steps with highest rate ``lr``.

    Parameters
    ----------
    optimiser
        Its groups hold each one's highest rate.
    lr
        The highest of those.

    Raises
    ------
    UserError
        If a schedule's lowest rate is above its highest.
    """
    if isinstance(cfg, (recipes.Cosine, recipes.CosineRestarts, recipes.Plateau)) and cfg.min_lr > lr:
        raise UserError(
            f"train.schedule.min_lr: {cfg.min_lr:g} is above train.lr, {lr:g}; lower one of the two"
        )
    match cfg:
        case recipes.ConstantRate():
            return LambdaLR(optimiser, lambda step: rise(step, cfg.warmup_steps))
        case recipes.OneCycle():
            return OneCycleLR(
                optimiser,
                max_lr=[group["lr"] for group in optimiser.param_groups],
                total_steps=steps,
                # A rise of one step or less has no length to divide by; torch's own formula then fails.
                pct_start=cfg.warmup if cfg.warmup * steps > 1 else 0.0,
                div_factor=cfg.start_div,
                final_div_factor=cfg.final_div,
                cycle_momentum=False,
            )
        case recipes.Cosine():
            return LambdaLR(optimiser, lambda step: cosine(step, steps, cfg.warmup_steps, cfg.min_lr / lr))
        case recipes.CosineRestarts():
            period = whole_steps(cfg.period_epochs, steps_per_epoch)
            return LambdaLR(
                optimiser,
                lambda step: cosine_restarts(step, cfg.warmup_steps, period, cfg.multiply, cfg.min_lr / lr),
            )
        case recipes.StepDecay():
            every = whole_steps(cfg.every_epochs, steps_per_epoch)
            return LambdaLR(
                optimiser, lambda step: rise(step, cfg.warmup_steps) * cfg.factor ** (step // every)
            )
        case recipes.Plateau():
            return PlateauRate(optimiser, cfg, floor=cfg.min_lr / lr)
        case _:
            assert_never(cfg)


def whole_steps(epochs: float, steps_per_epoch: int) -> int:
    """Optimiser steps of ``epochs``, at least one."""
    return max(1, round(epochs * steps_per_epoch))


def rise(step: int, warmup: int) -> float:
    """Fraction of the highest rate at optimiser step ``step``: ``(step + 1) / (warmup + 1)``, then 1."""
    return min((step + 1) / (warmup + 1), 1.0)


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
        return rise(step, warmup)
    done = min((step - warmup) / max(steps - 1 - warmup, 1), 1.0)
    return _half_cosine(done, floor)


def cosine_restarts(step: int, warmup: int, period: int, multiply: float, floor: float) -> float:
    """Fraction of the highest rate at optimiser step ``step``: linear rise, then half cosines.

    Parameters
    ----------
    warmup
        Steps of the rise.
    period
        Steps of the first cosine; the k-th has ``period * multiply**k``, rounded.
    floor
        Fraction that each cosine falls towards. As in the paper, the step that would reach it is the first of the next.

    References
    ----------
    Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017,
    https://arxiv.org/abs/1608.03983
    """
    if step < warmup:
        return rise(step, warmup)
    within, length, turn = step - warmup, period, 0
    while within >= length:
        within, turn = within - length, turn + 1
        length = round(period * multiply**turn)
    return _half_cosine(within / length, floor)


class PlateauRate(LRScheduler):
    """Linear warm-up; the rate falls by ``cfg.factor`` when the score has not risen for ``cfg.patience`` epochs.

    The rule is that of ``torch.optim.lr_scheduler.ReduceLROnPlateau(mode="max", threshold=0, eps=0)``.

    Parameters
    ----------
    floor
        Least fraction of the highest rate, of which the warm-up is still taken.
    """

    def __init__(self, optimiser: Optimizer, cfg: recipes.Plateau, *, floor: float) -> None:
        # Plain numbers only, since they go into the checkpoint.
        self.warmup, self.patience, self.factor, self.floor = (
            cfg.warmup_steps,
            cfg.patience,
            cfg.factor,
            floor,
        )
        self.fraction, self.best, self.bad_epochs = 1.0, -math.inf, 0
        super().__init__(optimiser)

    def get_lr(self) -> list[float | Tensor]:
        """Rates of the groups at the current step."""
        fraction = rise(self.last_epoch, self.warmup) * self.fraction
        return [float(base) * fraction for base in self.base_lrs]

    def observe(self, score: float) -> None:
        """Take an epoch's score, higher being better; a fall holds from the very next optimiser step."""
        if score > self.best:
            self.best, self.bad_epochs = score, 0
        else:
            self.bad_epochs += 1
        if self.bad_epochs <= self.patience:
            return
        self.bad_epochs = 0
        self.fraction = max(self.fraction * self.factor, self.floor)
        rates = self.get_lr()
        for group, rate in zip(self.optimizer.param_groups, rates, strict=True):
            group["lr"] = rate
        self._last_lr = list(rates)


def _half_cosine(done: float, floor: float) -> float:
    return floor + (1 - floor) * 0.5 * (1 + math.cos(math.pi * done))
