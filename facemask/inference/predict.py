"""(N, 18) tables from photos, averaged over views and folds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Literal, assert_never

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facemask import params
from facemask.errors import UserError
from facemask.inference import tta
from facemask.learning.classifier import Classifier

Photos = npt.NDArray[np.uint8]
Table = npt.NDArray[np.float64]
Average = Literal["probabilities", "logits"]


def predict(
    models: Sequence[Classifier], chunks: Iterable[Photos], views: Sequence[params.View], average: Average
) -> Table:
    """Mean probabilities of ``models``, each averaged over ``views``.

    Parameters
    ----------
    models
        Networks in evaluation mode that expect the same pixels; moved to the GPU where there is one.
    chunks
        Photos, (n, height, width, 3) uint8 each; read once, whatever the number of models.
    views
        One forward pass a model each, see :func:`facemask.inference.tta.view`.
    average
        Whether probabilities or their logarithms are averaged over the views (the geometric mean); over the models
        probabilities are, as for the people held out.

    Returns
    -------
    (N, 18), rows summing to 1.

    Raises
    ------
    UserError
        If a network refuses the size of a scaled view.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    placed = [model.to(device) for model in models]
    tables = [part.cpu().numpy() for part in _tables(placed, chunks, views, average, device)]
    if not tables:
        return np.zeros((0, 18))
    table = np.concatenate(tables)
    return np.asarray(table / table.sum(1, keepdims=True))


@torch.inference_mode()
def _tables(
    models: Sequence[Classifier],
    chunks: Iterable[Photos],
    views: Sequence[params.View],
    average: Average,
    device: torch.device,
) -> Iterator[Tensor]:
    for chunk in chunks:
        photos = torch.from_numpy(chunk).to(device)
        # (views, models, n, 18)
        logs = torch.stack([torch.stack([_seen(model, photos, cfg) for model in models]) for cfg in views])
        match average:
            case "probabilities":
                yield logs.exp().mean((0, 1))
            case "logits":
                yield logs.mean(0).softmax(-1).mean(0)
            case _:
                assert_never(average)


def _seen(model: Classifier, photos: Tensor, cfg: params.View) -> Tensor:
    """Log-probabilities (n, 18) of one model for one view."""
    if not isinstance(cfg, params.Scale):
        return model.log_table(tta.view(photos, cfg)).double()
    try:
        return model.log_table(tta.view(photos, cfg)).double()
    except torch.OutOfMemoryError:
        raise
    except (AssertionError, RuntimeError) as error:
        told = " ".join(str(error).split())[:120]
        raise UserError(
            f"infer.views: this network does not take photos scaled by {cfg.factor:g} ({told}); choose another factor "
            "or a crop, or a convolutional network (train.backbone)"
        ) from None
