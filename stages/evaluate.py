"""Score the combined predictions, on the official age bands, out-of-fold and hold-out.

Run as ``python -m stages.evaluate``.
"""

from __future__ import annotations

from pathlib import Path

from facemask.evaluation import charts, consensus, pictures, results
from facemask.recognition import sheet
from facemask.records import left_out, tables
from facemask.runtime import files
from facemask.runtime.launch import launch
from facemask.scoring import predictions
from facemask.settings import params


def run(
    cfg: params.Evaluate,
    grouping: params.Grouping,
    *,
    seed: int,
    faces: Path,
    manifest: Path,
    combined: Path,
    out: Path,
    scores: Path,
    plots: Path,
) -> None:
    """Read the labelled photos' ``manifest`` and ``combined``; write JSON ``scores``, folders ``out`` and ``plots``.

    ``out`` then holds details.json and pictures, ``plots`` the data of charts. Where answers are shared among photos
    of one face, each fold's photos are grouped as blindly as those to answer (``faces``), and scored so too.
    """
    rows = tables.read(manifest / tables.MANIFEST.name, tables.MANIFEST)
    splits = predictions.combined(combined, rows)
    raw = results.uncalibrated(combined, rows)
    used = predictions.eval_photos_used(combined)
    found = {name: results.assess(split, raw.get(name), cfg, seed=seed) for name, split in splits.items()}
    details = {name: results.summary(result) for name, result in found.items()}
    headline = results.headline(found)
    shared = consensus.assess(cfg, grouping.consensus, splits, rows, faces, seed=seed)
    if shared is not None:
        details["consensus"] = shared.details | {"networks_used_eval_photos": used}
        headline |= {"f1_shared": shared.details["oof"]["macro_f1"]}
    used |= shared is not None
    charts.write(found, plots)
    with files.replacing(out) as folder:
        pictures.draw(found, folder)
        if shared is not None:
            oof = splits["oof"]
            sheet.draw(folder / "groups.jpg", shared.groups["oof"], faces, "labelled", oof.photos, oof.person)
        files.write_json(
            folder / "details.json", {"confidence": cfg.confidence, "eval_photos_used": used} | details
        )
    files.write_json(scores, headline)
    missing = len(rows) - sum(len(split.photos) for split in splits.values())
    reasons = {"not scored (unreadable, or of folds that are not trained)": missing}
    left_out.tell(left_out.line("evaluate", len(rows), "labelled photos", reasons))


def main() -> None:
    """Run the stage with the params and paths it was given."""
    launch(run)


if __name__ == "__main__":
    main()
