"""The page's content as the templates ask for it."""

from __future__ import annotations

import hashlib
from typing import Any

from facemask.records import tables
from facemask.report import facts, gallery, omissions, page, population, sections
from facemask.report.inputs import SHOWN, Inputs, Places
from facemask.settings import params


def gather(
    given: Inputs, places: Places, cfg: params.Report, evaluate: params.Evaluate, *, seed: int
) -> dict[str, Any]:
    """Compute everything that ``page.jinja`` shows.

    Raises
    ------
    UserError
        If a stage's output does not fit the others.
    """
    manifests = {"labelled": given.manifest, "eval": given.eval}
    measured = {
        name: facts.measure(
            manifests[name], given.boxes[name], given.mattes[name], places.faces / name / "crops.zip"
        )
        for name in SHOWN
    }
    rows, balance = sections.class_rows(given, evaluate, seed=seed), population.balance(given)
    labels, columns = given.counts["fix_labels"], sections.columns(given)
    bounded = any(column.scores["macro_f1"].low == column.scores["macro_f1"].low for column in columns)
    return {
        "sections": list(page.SECTIONS.items()),
        "dataset": labels["dataset"],
        "people": labels["people"],
        "photos": labels["photos"]["labelled"],
        "eval_photos": labels["photos"]["eval"],
        "columns": columns,
        "confidence": evaluate.confidence if bounded else None,
        "cautions": sections.cautions(given, rows),
        "scores": sections.SCORES,
        "class_rows": rows,
        "matrices": sections.matrices(given),
        "calibration": sections.calibration(given),
        "learning": sections.learning(given),
        "slices": sections.parts(given, measured["labelled"], evaluate, seed=seed),
        "mistakes": gallery.mistakes(given, places, cfg.mistakes, photos=cfg.photos),
        "asked": cfg.mistakes > 0,
        "pictured": cfg.photos,
        "ages": population.ages(given),
        "balance": balance,
        "most": max(1, *(max(official, seen) for _, official, _, seen in balance)),
        "sheets": gallery.sheets(given, places, cfg.sheet) if cfg.photos else {},
        "groups": gallery.groups(places) if cfg.photos and "consensus" in given.details else "",
        "quarantine": list(given.quarantine.itertuples(index=False, name=None)),
        "omissions": omissions.found(given.counts),
        "drift": population.moved(given, measured, seed=seed),
        "facts": [*population.recipe(given.models), ("photos and labels", _digest(places))],
    }


def _digest(places: Places) -> str:
    """Hash of the table that lists every photo's bytes and labels."""
    path = places.labels / tables.PHOTOS.name
    return f"SHA-256 {hashlib.sha256(path.read_bytes()).hexdigest()[:16]}"
