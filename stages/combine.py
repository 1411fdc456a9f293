"""Make one table of the folds' answers and those of past experiments: vote, weights or stacking, logit adjustment.

Past experiments (``combine.members``) are read through DVC; the commit behind each name is kept in ``combiner.json``,
and infer asks for that one. DVC runs this stage again when the list changes, not when a branch moves on: name an
experiment, a tag or a commit.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from facemask.ensemble import ensembles, experiments, facts
from facemask.ensemble.combiner import Combiner
from facemask.records import tables
from facemask.runtime import files
from facemask.runtime.launch import launch
from facemask.scoring import metrics, predictions
from facemask.settings import params


def run(
    cfg: params.Combine,
    folds: params.Folds,
    *,
    models: Path,
    manifest: Path,
    out: Path,
) -> None:
    """Read ``models``/fold<k>, the labelled photos' ``manifest`` and the members; write ``out``.

    ``out`` then holds oof.csv (each row combined by what was fitted on the other folds), holdout.csv, combiner.json
    and about.json.
    """
    rows = tables.read(manifest / tables.MANIFEST.name, tables.MANIFEST)
    oof = predictions.out_of_fold(models, folds.folds, rows)
    held = predictions.hold_out(models, folds.folds, rows)
    known = facts.read(models, folds.folds)
    members = experiments.resolve(cfg.members)
    past = [experiments.load(member) for member in members]
    used = known.eval_photos_used or any(one.eval_photos_used for one in past)
    seen = _stacked(oof, past, rows)
    labelled = (seen, oof.official, predictions.folds_of(oof, rows), oof.person, known.prior)
    rule, tau = ensembles.fit(cfg, *labelled)
    combiner = Combiner(members, rule, tau, tuple(known.prior.tolist()), used)
    alone = {"oof": (oof, seen)}
    whole = {"oof": replace(oof, probabilities=ensembles.cross_fitted(cfg, *labelled))}
    if held is not None:
        unseen = _stacked(held, past, rows)
        alone["holdout"] = (held, unseen)
        whole["holdout"] = replace(held, probabilities=combiner.apply(unseen))
    about: dict[str, Any] = {"eval_photos_used": used, "tau": tau, "members": {}}
    for number, (name, share) in enumerate(zip(("this", *cfg.members), combiner.shares(), strict=True)):
        scores = {part: _scores(split, tabs[number]) for part, (split, tabs) in alone.items()}
        about["members"][name] = {"weight": share} | scores
    for part, split in whole.items():
        about[part] = _scores(split, split.probabilities)
    with files.replacing(out) as folder:
        for name in ("oof", "holdout"):
            predictions.write(folder / f"{name}.csv", whole.get(name), rows)
        files.write_json(folder / "combiner.json", combiner.to_json())
        files.write_json(folder / "about.json", about)


def _stacked(
    split: predictions.Predictions, past: Sequence[experiments.Past], rows: pd.DataFrame
) -> npt.NDArray[np.float64]:
    """(M, N, 18) answers of this experiment, then of each past one."""
    return np.stack([split.probabilities, *(one.honest(split, rows) for one in past)])


def _scores(split: predictions.Predictions, table: npt.NDArray[np.float64]) -> dict[str, Any]:
    return metrics.rounded(metrics.score(table, split.official))


def main() -> None:
    """Run from the command line."""
    launch(run)


if __name__ == "__main__":
    main()
