"""Several training processes: which share of a batch is whose, and what they must hold in common."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from timm.layers.norm_act import convert_sync_batchnorm
from torch import distributed

from facemask.network.classifier import Classifier


class Process(NamedTuple):
    """Which of several training processes this one is, and how many there are."""

    rank: int
    world_size: int


def synced(model: Classifier) -> Classifier:
    """Let the processes share their batch statistics.

    Lightning's ``sync_batchnorm`` would replace timm's layers that normalise and activate in one by plain ones, and so
    drop the activation.
    """
    shared: Classifier = convert_sync_batchnorm(model)  # type: ignore[no-untyped-call]
    return shared


def agreed(table: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Take the first process's answers: another's last digits could choose other photos, and so longer epochs."""
    if not (distributed.is_available() and distributed.is_initialized()):
        return table
    told = [table]
    distributed.broadcast_object_list(told)
    return told[0]
