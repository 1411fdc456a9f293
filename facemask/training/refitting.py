"""A logistic regression on the trained backbone's features in place of its head, with rare classes filled by SMOTE.

References
----------
Chawla et al., "SMOTE: Synthetic Minority Over-sampling Technique", JAIR 16, 2002; Kang et al., "Decoupling
Representation and Classifier for Long-Tailed Recognition", ICLR 2020, https://arxiv.org/abs/1910.09217
"""

from __future__ import annotations

import warnings

import numpy as np
import numpy.typing as npt
import torch
from imblearn.over_sampling import SMOTE
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import LogisticRegression

from facemask.network.classifier import Classifier
from facemask.records import classes
from facemask.runtime.arrays import Floats, Pixels
from facemask.runtime.errors import UserError
from facemask.scoring import metrics
from facemask.settings import recipes
from facemask.training import pseudo
from facemask.training.batches import Side

ABSENT = -30.0


def logistic(
    cfg: recipes.RefitLogistic, model: Classifier, train: Side, *, batch_size: int, seed: int
) -> None:
    """Replace the head of ``model``; classes that ``train`` lacks get next to no probability.

    Raises
    ------
    UserError
        If the training photos are of one class only.
    """
    seen = train.repeats > 0
    rows, targets = features(model, train.pixels, batch_size)[seen], train.targets[seen]
    known = np.unique(targets)
    if len(known) < 2:
        raise UserError("train.refit: the training photos are all of one class; use kind: none")
    mean, std = rows.mean(0), rows.std(0) + 1e-6
    rows = (rows - mean) / std
    if cfg.smote is not None:
        rows, targets = balanced(rows, targets, neighbours=cfg.smote, seed=seed)
    fitted = LogisticRegression(C=cfg.c, max_iter=1000)
    with warnings.catch_warnings():
        # Features of a hundred dimensions need not converge to the last digit.
        warnings.simplefilter("ignore", ConvergenceWarning)
        fitted.fit(rows, targets)
    coefficients, intercept = fitted.coef_, fitted.intercept_
    if len(known) == 2:
        # For two classes scikit-learn keeps the second's coefficients only.
        coefficients = np.concatenate([np.zeros_like(coefficients), coefficients])
        intercept = np.concatenate([np.zeros_like(intercept), intercept])
    weight = np.zeros((classes.COUNT, rows.shape[1]))
    bias = np.full(classes.COUNT, ABSENT)
    weight[known] = coefficients / std
    bias[known] = intercept - (coefficients / std) @ mean
    model.refit(torch.from_numpy(weight).float(), torch.from_numpy(bias).float())


@torch.inference_mode()
def features(model: Classifier, photos: Pixels, batch_size: int) -> Floats:
    """Backbone features (N, D) of plain photos, those of several backbones side by side."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).eval()
    parts = []
    for k in range(0, len(photos), batch_size):
        found = model.features(torch.from_numpy(photos[k : k + batch_size]).to(device))
        parts.append(torch.cat([found[name] for name in model.backbones], 1).double().cpu())
    model.cpu()
    return np.asarray(torch.cat(parts).numpy())


def balanced(
    rows: Floats, targets: npt.NDArray[np.int64], *, neighbours: int, seed: int
) -> tuple[Floats, npt.NDArray[np.int64]]:
    """Raise every class to the size of the largest by SMOTE; a class of one photo stays as it is."""
    names, counts = np.unique(targets, return_counts=True)
    rare = {int(name): int(counts.max()) for name, count in zip(names, counts, strict=True) if count > 1}
    smallest = min((count for count in counts if count > 1), default=0)
    if not smallest:
        return rows, targets
    smote = SMOTE(sampling_strategy=rare, k_neighbors=min(neighbours, int(smallest) - 1), random_state=seed)
    more, labels = smote.fit_resample(rows, targets)
    return np.asarray(more, np.float64), np.asarray(labels, np.int64)


def macro_f1(model: Classifier, side: Side, batch_size: int) -> float:
    """Macro-F1 of the whole of ``side`` on its official classes."""
    return metrics.score(pseudo.predict(model, side.pixels, batch_size), side.labels)["macro_f1"]
