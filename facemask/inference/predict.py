"""(N, 18) tables from photos, averaged over views and folds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from facemask.inference import tta
from facemask.learning.classifier import Classifier

Photos = npt.NDArray[np.uint8]
Table = npt.NDArray[np.float64]


def predict(models: Sequence[Classifier], chunks: Iterable[Photos], views: Sequence[str]) -> Table:
    """Mean probabilities of ``models`` over ``views``.

    Parameters
    ----------
    models
        Networks in evaluation mode that expect the same pixels; moved to the GPU where there is one.
    chunks
        Photos, (n, height, width, 3) uint8 each; read once, whatever the number of models.
    views
        Names from :func:`facemask.inference.tta.view`.

    Returns
    -------
    (N, 18), rows summing to 1.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    placed = [model.to(device) for model in models]
    tables = [part.cpu().numpy() for part in _tables(placed, chunks, views, device)]
    if not tables:
        return np.zeros((0, 18))
    table = np.concatenate(tables)
    return np.asarray(table / table.sum(1, keepdims=True))


@torch.inference_mode()
def _tables(
    models: Sequence[Classifier], chunks: Iterable[Photos], views: Sequence[str], device: torch.device
) -> Iterator[Tensor]:
    for chunk in chunks:
        photos = torch.from_numpy(chunk).to(device)
        seen = [model.log_table(tta.view(photos, name)).double().exp() for name in views for model in models]
        yield torch.stack(seen).mean(0)
