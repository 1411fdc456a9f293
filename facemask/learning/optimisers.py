"""Optimisers; biases and normalisation weights are never decayed."""

from __future__ import annotations

from typing import assert_never

import torch
from timm.optim import param_groups_weight_decay  # type: ignore[attr-defined]
from torch import nn

from facemask import params


def build(cfg: params.Optimiser, model: nn.Module, lr: float) -> torch.optim.Optimizer:
    """Make the optimiser over all trainable weights of ``model`` at learning rate ``lr``."""
    groups = param_groups_weight_decay(model, weight_decay=cfg.weight_decay)
    match cfg:
        case params.AdamW():
            return torch.optim.AdamW(groups, lr=lr, betas=cfg.betas, fused=True)
        case params.Sgd():
            return torch.optim.SGD(groups, lr=lr, momentum=cfg.momentum, nesterov=cfg.nesterov, fused=True)
        case _:
            assert_never(cfg)
