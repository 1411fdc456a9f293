"""(N, 18) tables from photos, averaged over views and folds."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterable, Iterator, Sequence
from typing import Literal, assert_never

import numpy as np
import torch
from torch import Tensor

from facemask.network import tta
from facemask.network.classifier import Classifier
from facemask.runtime.arrays import Pixels, Table
from facemask.runtime.errors import UserError
from facemask.settings import params

Average = Literal["probabilities", "logits"]
Precision = Literal["32", "bf16", "16"]
LogTable = Callable[[Tensor], Tensor]
REDUCED = {"bf16": torch.bfloat16, "16": torch.float16}


def predict(
    models: Sequence[Classifier],
    chunks: Iterable[Pixels],
    views: Sequence[params.View],
    average: Average,
    *,
    precision: Precision = "32",
    compiled: bool = False,
) -> Table:
    """Mean probabilities of ``models``, each averaged over ``views``.

    Parameters
    ----------
    models
        Networks in evaluation mode that expect the same pixels; moved to the GPU where there is one.
    chunks
        Pixels, (n, height, width, 3) uint8 each; read once, whatever the number of models.
    views
        One forward pass a model each, see :func:`facemask.network.tta.view`.
    average
        Whether probabilities or their logarithms are averaged over the views (the geometric mean); over the models
        probabilities are, as for the people held out.
    precision
        Of the networks' arithmetic on a GPU; a CPU, which is slower with less, always computes in full.
    compiled
        Whether the networks are compiled first: half a minute or more for each size of their photos, which thousands
        of them earn back.

    Returns
    -------
    (N, 18), rows summing to 1.

    Raises
    ------
    UserError
        If a network refuses the size of a scaled view, or cannot be compiled on this machine.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    placed = [model.to(device) for model in models]
    networks = [_compiled(model) for model in placed] if compiled else _together(placed)
    with _autocast(precision, device):
        tables = [part.cpu().numpy() for part in _tables(networks, chunks, views, average, device)]
    if not tables:
        return np.zeros((0, 18))
    table = np.concatenate(tables)
    return np.asarray(table / table.sum(1, keepdims=True))


@torch.inference_mode()
def _tables(
    networks: Sequence[LogTable],
    chunks: Iterable[Pixels],
    views: Sequence[params.View],
    average: Average,
    device: torch.device,
) -> Iterator[Tensor]:
    for chunk in chunks:
        photos = torch.from_numpy(chunk).to(device)
        # (views, networks, n, 18)
        logs = torch.stack([_seen(networks, photos, cfg) for cfg in views])
        match average:
            case "probabilities":
                yield logs.exp().mean((0, 1))
            case "logits":
                yield logs.mean(0).softmax(-1).mean(0)
            case _:
                assert_never(average)


def _autocast(precision: Precision, device: torch.device) -> contextlib.AbstractContextManager[None]:
    """Where ``precision`` is reduced: on a GPU alone, as for training."""
    if device.type == "cpu" or precision == "32":
        return contextlib.nullcontext()
    return torch.autocast(device.type, dtype=REDUCED[precision])


def _compiled(model: Classifier) -> LogTable:
    # Imports the compiler, which takes seconds.
    from torch._dynamo.exc import BackendCompilerFailed

    fast = torch.compile(model.log_table)

    def log_table(photos: Tensor) -> Tensor:
        try:
            return fast(photos)
        except BackendCompilerFailed as error:
            told = " ".join(str(error).split("\n\n")[0].split())[:160]
            raise UserError(
                f"infer.compile: the networks cannot be compiled on this machine ({told}); install a C++ compiler "
                "such as g++ (with a GPU also Python's headers), or set infer.compile to false"
            ) from None

    return log_table


def _together(models: Sequence[Classifier]) -> list[LogTable]:
    """What each network gives; those that differ in their heads alone, as probes of one backbone do, share its work."""
    first = models[0].backbones
    own = first.state_dict()
    for other in models[1:]:
        theirs = other.backbones.state_dict()
        if repr(other.backbones) != repr(first) or not all(torch.equal(own[key], theirs[key]) for key in own):
            return [model.log_table for model in models]
    # The view that was shown last, and its features.
    last: list[tuple[Tensor, dict[str, Tensor]]] = []

    def answer(model: Classifier, photos: Tensor) -> Tensor:
        if not last or last[0][0] is not photos:
            last[:] = [(photos, models[0].features(photos))]
        return model.head.log_table(model.head(last[0][1]))

    return [functools.partial(answer, model) for model in models]


def _seen(networks: Sequence[LogTable], photos: Tensor, cfg: params.View) -> Tensor:
    """Log-probabilities (networks, n, 18) for one view."""
    shown = tta.view(photos, cfg)
    if not isinstance(cfg, params.Scale):
        return torch.stack([network(shown).double() for network in networks])
    try:
        return torch.stack([network(shown).double() for network in networks])
    except torch.OutOfMemoryError:
        raise
    except (AssertionError, RuntimeError) as error:
        told = " ".join(str(error).split())[:120]
        raise UserError(
            f"infer.views: this network does not take photos scaled by {cfg.factor:g} ({told}); choose another factor "
            "or a crop, or a convolutional network (train.backbone)"
        ) from None
