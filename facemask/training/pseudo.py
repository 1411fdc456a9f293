"""Labels for unlabelled photos by the network's own answers: self-training.

References
----------
Lee, "Pseudo-Label: The Simple and Efficient Semi-Supervised Learning Method for Deep Neural Networks", ICML workshop
2013; Xie et al., "Self-Training with Noisy Student Improves ImageNet Classification", CVPR 2020,
https://arxiv.org/abs/1911.04252 (students trained anew, classes balanced by confidence)
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import torch

from facemask.network.classifier import Classifier
from facemask.records import classes
from facemask.runtime.arrays import Ints, Pixels, Table
from facemask.settings import recipes
from facemask.training.batches import Side
from facemask.training.pixels import stacked


@torch.inference_mode()
def predict(model: Classifier, photos: Pixels, batch_size: int) -> Table:
    """Probabilities (N, 18) of (N, height, width, 3) uint8 photos."""
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    model.to(device).eval()
    parts = [
        model.log_table(torch.from_numpy(photos[k : k + batch_size]).to(device)).double().exp().cpu()
        for k in range(0, len(photos), batch_size)
    ]
    model.cpu()
    return np.asarray(torch.cat(parts).numpy() if parts else np.zeros((0, classes.COUNT)))


def choose(cfg: recipes.SelfTraining, table: Table) -> Ints:
    """Rows whose highest probability reaches the threshold; of each class the most confident ``per_class``.

    Returns
    -------
    Row numbers, rising.
    """
    confidence, label = table.max(1), table.argmax(1)
    # A stable order by falling confidence makes ties fall to the earlier photo.
    order = np.argsort(-confidence, kind="stable")
    order = order[confidence[order] >= cfg.threshold]
    if cfg.per_class is not None:
        seen = np.zeros(classes.COUNT, np.int64)
        kept = []
        for row in order:
            seen[label[row]] += 1
            if seen[label[row]] <= cfg.per_class:
                kept.append(row)
        order = np.asarray(kept, np.int64)
    return np.sort(order).astype(np.int64)


def join(train: Side, unlabelled: Pixels, chosen: Ints, table: Table) -> Side:
    """``train`` with the chosen photos below it, each seen once an epoch.

    An age in years, which fine age targets ask for, is the median of the training photos in the class's band.
    """
    label = table[chosen].argmax(1).astype(np.int64)
    _, _, band = classes.decode(label)
    _, _, known = classes.decode(train.targets)
    median = np.array(
        [np.median(train.ages[known == b]) if (known == b).any() else a for b, a in enumerate((20, 45, 60))]
    )
    ages = np.rint(median[band]).astype(np.int64)
    mattes = train.mattes
    if mattes is not None:
        # Without a matte of its own a photo keeps its background.
        person = np.broadcast_to(np.uint8(255), (len(chosen), *mattes.shape[1:]))
        mattes = stacked(mattes, person, np.arange(len(chosen)))
    return replace(
        train,
        pixels=stacked(train.pixels, unlabelled, chosen),
        mattes=mattes,
        targets=np.concatenate([train.targets, label]),
        labels=np.concatenate([train.labels, label]),
        ages=np.concatenate([train.ages, ages]),
        repeats=np.concatenate([train.repeats, np.ones(len(chosen), np.int64)]),
    )
