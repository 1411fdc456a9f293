"""Optimisers; biases and normalisation weights are never decayed."""

from __future__ import annotations

import difflib
import inspect
import warnings
from typing import TYPE_CHECKING, Any, assert_never, cast

import torch
from torch import nn

from facemask.network.layers import Layers
from facemask.runtime.errors import UserError
from facemask.runtime.imports import hidden, lean
from facemask.settings import recipes

# Tensors that are spread over machines, which Muon asks for: more than a second.
with hidden({"torch.distributed.tensor": None}), lean():
    from timm.optim import (  # type: ignore[attr-defined]
        create_optimizer_v2,
        get_optimizer_info,
        list_optimizers,
        param_groups_layer_decay,
        param_groups_weight_decay,
    )

if TYPE_CHECKING:
    from facemask.network.classifier import Classifier

LOOKAHEAD = "lookahead_"
# Given by their own keys, or by this module.
TAKEN = {"params", "lr", "weight_decay"}


def build(
    cfg: recipes.Optimiser, model: Classifier, lr: float, layer_decay: float, *, fused: bool = True
) -> torch.optim.Optimizer:
    """Make the optimiser over all trainable weights of ``model``.

    Parameters
    ----------
    lr
        Learning rate of the head.
    layer_decay
        Each group of layers has this times the rate of the group above it; 1 gives all the same.
    fused
        False for float16 with clipping: a fused step removes the loss's scale itself, too late for clipping.

    Raises
    ------
    UserError
        If timm has no such optimiser, it cannot be served here, or an option is refused.

    References
    ----------
    Bao et al., "BEiT: BERT Pre-Training of Image Transformers", ICLR 2022, https://arxiv.org/abs/2106.08254
    (layer_decay)
    """
    groups = _groups(model, lr, cfg.weight_decay, layer_decay)
    # None leaves torch the choice among the others.
    one = True if fused else None
    match cfg:
        case recipes.AdamW():
            return torch.optim.AdamW(groups, lr=lr, betas=cfg.betas, fused=one)
        case recipes.Sgd():
            return torch.optim.SGD(groups, lr=lr, momentum=cfg.momentum, nesterov=cfg.nesterov, fused=one)
        case recipes.TimmOptimiser():
            return _timm(cfg, groups, lr)
        case _:
            assert_never(cfg)


def names() -> list[str]:
    """Names of timm's optimisers that a plain training step serves; each also with ``lookahead_`` before it."""
    return [name for name in map(str, list_optimizers()) if not get_optimizer_info(name).second_order]


def _groups(model: Classifier, lr: float, weight_decay: float, layer_decay: float) -> list[dict[str, Any]]:
    if layer_decay == 1:
        plain: list[dict[str, Any]] = param_groups_weight_decay(model, weight_decay=weight_decay)
        return plain
    above = [(name, w) for name, w in model.named_parameters() if not name.startswith("backbones.")]
    found: list[dict[str, Any]] = []
    seen: set[int] = set()
    for branch in model.backbones.values():
        scaled = param_groups_layer_decay(
            cast(nn.Module, Layers(branch, above)),
            weight_decay=weight_decay,
            layer_decay=layer_decay,
            no_weight_decay_list=["*.bias"],
        )
        if all(group["lr_scale"] == 1 for group in scaled):
            raise UserError("train.layer_decay: this backbone has no groups of layers; set it to 1")
        for group in scaled:
            # The head stands above every branch.
            weights = [weight for weight in group["params"] if id(weight) not in seen]
            seen.update(map(id, weights))
            if weights:
                rate = lr * group["lr_scale"]
                found.append({"params": weights, "weight_decay": group["weight_decay"], "lr": rate})
    return found


def _timm(cfg: recipes.TimmOptimiser, groups: list[dict[str, Any]], lr: float) -> torch.optim.Optimizer:
    name = cfg.name.lower()
    base = name.removeprefix(LOOKAHEAD)
    if base not in list_optimizers():
        near = difflib.get_close_matches(base, names(), n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UserError(f"train.optimiser.name: timm has no optimiser {cfg.name!r}{hint}")
    info = get_optimizer_info(base)
    if info.second_order:
        raise UserError(
            f"train.optimiser.name: {cfg.name} needs second derivatives, which this training does not make; "
            "choose another, such as adamw or lamb"
        )
    if not isinstance(info.opt_class, str):
        # timm drops some options that an optimiser does not have: a knob would be read nowhere.
        allowed = set(inspect.signature(info.opt_class).parameters) - TAKEN
        for key in cfg.options:
            if key not in allowed:
                raise UserError(
                    f"train.optimiser.options: {cfg.name} has no {key!r}; it takes {', '.join(sorted(allowed))}"
                )
    options: dict[str, Any] = {
        key: tuple(value) if isinstance(value, list) else value for key, value in cfg.options.items()
    }
    try:
        with warnings.catch_warnings():
            # kron would like a package that this project does not need.
            warnings.filterwarnings("ignore", message=".*opt_einsum")
            made: torch.optim.Optimizer = create_optimizer_v2(
                groups, opt=name, lr=lr, weight_decay=cfg.weight_decay, **options
            )
    except (AssertionError, ImportError, RuntimeError, TypeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(f"train.optimiser: timm cannot make {cfg.name} with {options}: {reason}") from None
    for group in made.param_groups:
        # Corrected weight decay compares each group's rate with its own highest.
        if group.get("max_lr_snapshot") is not None:
            group["max_lr_snapshot"] = group["lr"]
    return made
