"""Learning-rate schedules, in optimiser steps: timm's, and torch's for one cycle and plateaus.

Each group of weights keeps its own highest rate, so that layer-wise decay holds throughout: ``min_lr`` is the floor of
the group with the full rate, the others' in proportion. Warm-up rises by equal steps, from lr / (warmup_steps + 1) at
step 0 to lr at step ``warmup_steps``.
"""

from __future__ import annotations

from typing import Any, assert_never

from lightning.pytorch.utilities.types import LRSchedulerConfigType
from timm.scheduler.cosine_lr import CosineLRScheduler
from timm.scheduler.scheduler import Scheduler
from timm.scheduler.step_lr import StepLRScheduler
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LinearLR, OneCycleLR, ReduceLROnPlateau

from facemask.runtime.errors import UserError
from facemask.settings import recipes
from facemask.training.curves import MONITOR


def build(
    cfg: recipes.Schedule, optimiser: Optimizer, *, lr: float, steps: int, steps_per_epoch: int
) -> list[LRSchedulerConfigType]:
    """Make the schedule for a training of ``steps`` optimiser steps with highest rate ``lr``, as Lightning asks for it.

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
    rates = [group["lr"] for group in optimiser.param_groups]
    match cfg:
        case recipes.OneCycle():
            schedule: Any = OneCycleLR(
                optimiser,
                max_lr=rates,
                total_steps=steps,
                # A rise of one step or less has no length to divide by; torch's own formula then fails.
                pct_start=cfg.warmup if cfg.warmup * steps > 1 else 0.0,
                div_factor=cfg.start_div,
                final_div_factor=cfg.final_div,
                cycle_momentum=False,
            )
        case recipes.Plateau():
            # timm's is deprecated, and leaves its counters out of checkpoints.
            plateau = ReduceLROnPlateau(
                optimiser,
                mode="max",
                factor=cfg.factor,
                patience=cfg.patience,
                threshold=0,
                min_lr=[cfg.min_lr * rate / lr for rate in rates],
                eps=0,
            )
            rise = LinearLR(optimiser, 1 / (cfg.warmup_steps + 1), total_iters=cfg.warmup_steps)
            return [
                {"scheduler": rise, "interval": "step"},
                {"scheduler": plateau, "interval": "epoch", "monitor": MONITOR},
            ]
        case _:
            for group, rate in zip(optimiser.param_groups, rates, strict=True):
                # How timm is told a group's share of what it schedules.
                group["lr_scale"], group["initial_lr"] = rate / lr, lr
            schedule = _timm(cfg, optimiser, lr, steps, steps_per_epoch)
    return [{"scheduler": schedule, "interval": "step"}]


def _timm(
    cfg: recipes.ConstantRate | recipes.StepDecay | recipes.Cosine | recipes.CosineRestarts,
    optimiser: Optimizer,
    lr: float,
    steps: int,
    steps_per_epoch: int,
) -> Scheduler:
    """Make one of timm's, whose ``step_update`` takes the number of optimiser steps done.

    References
    ----------
    Loshchilov and Hutter, "SGDR: Stochastic Gradient Descent with Warm Restarts", ICLR 2017,
    https://arxiv.org/abs/1608.03983 (cosine, cosine_restarts)
    """
    warmup: dict[str, Any] = {
        "warmup_t": cfg.warmup_steps,
        "warmup_lr_init": lr / (cfg.warmup_steps + 1),
        "t_in_epochs": False,
    }
    match cfg:
        case recipes.ConstantRate():
            return StepLRScheduler(optimiser, steps, **warmup)
        case recipes.StepDecay():
            every = _whole_steps(cfg.every_epochs, steps_per_epoch)
            return StepLRScheduler(optimiser, every, cfg.factor, warmup_prefix=False, **warmup)
        case recipes.Cosine():
            fall = max(steps - 1 - cfg.warmup_steps, 1)
            return CosineLRScheduler(optimiser, fall, cfg.min_lr, warmup_prefix=True, **warmup)
        case recipes.CosineRestarts():
            # timm floors a rounded logarithm, which sets some restarts a step late; a hair less than whole does not.
            first: Any = _whole_steps(cfg.period_epochs, steps_per_epoch) * (1 - 1e-12)
            return CosineLRScheduler(
                optimiser, first, cfg.min_lr, cfg.multiply, cycle_limit=steps, warmup_prefix=True, **warmup
            )
        case _:
            assert_never(cfg)


def _whole_steps(epochs: float, steps_per_epoch: int) -> int:
    """Optimiser steps of ``epochs``, at least one."""
    return max(1, round(epochs * steps_per_epoch))
