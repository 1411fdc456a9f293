"""What answers are worth where photos of one face share them, as infer does: found as blindly, fold by fold."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pandas as pd

from facemask.evaluation import results
from facemask.recognition import groups, identity
from facemask.runtime.arrays import Ints
from facemask.scoring import predictions
from facemask.scoring.predictions import Predictions
from facemask.settings import params


@dataclass(frozen=True)
class Shared:
    """Groups by split, numbered by their first photo's place, and what is told of them and of the shared answers."""

    groups: Mapping[str, Ints]
    details: dict[str, Any]


def assess(
    cfg: params.Evaluate,
    consensus: params.Consensus,
    splits: Mapping[str, Predictions],
    manifest: pd.DataFrame,
    faces: Path,
    *,
    seed: int,
) -> Shared | None:
    """Group the photos of each fold and of the hold-out by face, share answers and score them; None where that is off.

    Parameters
    ----------
    splits, manifest
        See :func:`facemask.scoring.predictions.combined`.
    faces
        Folder of face_crop, with a folder a set.

    Raises
    ------
    UserError
        As :func:`facemask.recognition.identity.grouped`.
    """
    found: dict[str, Ints] = {}
    told: dict[str, Any] = {"groups": {}}
    for name, split in splits.items():
        folds = predictions.folds_of(split, manifest)
        group = identity.grouped(consensus, faces, "labelled", split.photos, folds)
        if group is None:
            return None
        found[name] = group
        shared = replace(split, probabilities=groups.share(split.probabilities, group))
        told[name] = results.summary(results.assess(shared, None, cfg, seed=seed))
        told["groups"][name] = groups.facts(group, split.person)
    return Shared(found, told)
