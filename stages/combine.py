"""Make one table of the folds' answers and those of past experiments: vote, weights or stacking, then calibration.

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
from facemask.records import left_out, tables
from facemask.runtime import files
from facemask.runtime.launch import launch
from facemask.scoring import metrics, predictions
from facemask.settings import params, recipes


def run(
    cfg: params.Combine,
    folds: params.Folds,
    *,
    models: Path,
    manifest: Path,
    out: Path,
) -> None:
    """Read ``models``/fold<k>, the labelled photos' ``manifest`` and the members; write ``out``.

    ``out`` then holds oof.csv (each row combined by what was fitted on the other folds), holdout.csv, the same two in
    uncalibrated/ where calibration changed them, combiner.json and about.json.
    """
    rows = tables.read(manifest / tables.MANIFEST.name, tables.MANIFEST)
    splits = {"oof": predictions.out_of_fold(models, folds.folds, rows)}
    if (held := predictions.hold_out(models, folds.folds, rows)) is not None:
        splits["holdout"] = held
    known = facts.read(models, folds.folds)
    members = experiments.resolve(cfg.members)
    past = [experiments.load(member) for member in members]
    used = known.eval_photos_used or any(one.eval_photos_used for one in past)
    seen = {name: _stacked(split, past, rows) for name, split in splits.items()}
    oof = splits["oof"]
    labelled = (seen["oof"], oof.official, predictions.folds_of(oof, rows), oof.person, known.prior)
    combiner = Combiner(members, ensembles.fit(cfg, *labelled), used)
    about: dict[str, Any] = {"eval_photos_used": used, "tau": combiner.fitted.tau}
    about |= {"calibration": combiner.to_json()["fitted"]["calibration"], "members": {}}
    for number, (name, share) in enumerate(zip(("this", *cfg.members), combiner.shares(), strict=True)):
        scores = {part: _scores(split, seen[part][number]) for part, split in splits.items()}
        about["members"][name] = {"weight": share} | scores
    # Calibration comes last: without it, all before it is the same.
    raw = cfg.model_copy(update={"calibrate": recipes.Nothing(kind="none")})
    ways = {"": (cfg, combiner.fitted)}
    if combiner.fitted.calibration is not None:
        ways["uncalibrated"] = (raw, replace(combiner.fitted, calibration=None))
    with files.replacing(out) as folder:
        for where, (way, fitted) in ways.items():
            joined = {"oof": ensembles.cross_fitted(way, *labelled)}
            joined |= {name: fitted(tabs) for name, tabs in seen.items() if name != "oof"}
            whole = {name: replace(splits[name], probabilities=table) for name, table in joined.items()}
            for name in ("oof", "holdout"):
                predictions.write(folder / where / f"{name}.csv", whole.get(name), rows)
            about |= {} if where else {name: _scores(split, joined[name]) for name, split in splits.items()}
        files.write_json(folder / "combiner.json", combiner.to_json())
        files.write_json(folder / "about.json", about)
    apart = rows["split"] == "train"
    untrained = apart & ~rows["fold"].isin(folds.folds)
    unreadable = ~untrained & (rows["status"] != "ok")
    reasons = {"of folds that are not trained": int(untrained.sum()), "unreadable": int(unreadable.sum())}
    left_out.tell(left_out.line("combine", len(rows), "labelled photos", reasons))


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
