"""Answer the eval photos with all trained folds and the chosen past experiments; score those whose class is known.

Run as ``python -m stages.infer``.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from facemask.ensemble import combiner, experiments, history
from facemask.network import reader
from facemask.recognition import groups as recognition
from facemask.recognition import identity, sheet
from facemask.records import classes, left_out, tables
from facemask.runtime import files, progress
from facemask.runtime.arrays import Table
from facemask.runtime.launch import launch
from facemask.settings import params
from facemask.submission import entries, log, submission
from facemask.submission import known as known_answers
from facemask.submission.answering import Answerer


def run(
    cfg: params.Infer,
    folds: params.Folds,
    *,
    engine: params.Engine,
    manifest: Path,
    faces: Path,
    mattes: Path,
    models: Path,
    combined: Path,
    known: Path,
    out: Path,
    scores: Path,
) -> None:
    """Read the eval photos' ``manifest``, pixels, ``models`` and ``combined``; write ``out``, and JSON ``scores``.

    ``out`` then holds submission.csv, probabilities.csv and about.json, which says where the answers come from, and
    groups.jpg where photos are grouped by face.
    ``known`` lists the photos whose class is known: those are scored.
    """
    table = tables.read(manifest / tables.UNLABELLED_MANIFEST.name, tables.UNLABELLED_MANIFEST)
    join = combiner.read(combined / "combiner.json")
    answerer = Answerer(cfg, [models / f"fold{fold}" for fold in folds.folds], faces, mattes)
    answers, peeked = _combined(answerer, join, table, engine)
    readable, image_ids = (table["status"] == "ok").to_numpy(), table["image_id"]
    photos = table["photo"][readable].tolist()
    groups, alone = identity.grouped(cfg.consensus, faces, "eval", photos), answers.copy()
    if groups is not None:
        answers[readable] = recognition.share(answers[readable], groups)
    used = peeked or groups is not None
    truth = known_answers.read(known, image_ids)
    found = truth.score(answers)
    about: dict[str, Any] = {"photos": len(table), "unreadable": int((~readable).sum())}
    about |= {"scored": truth.count, "eval_photos_used": used}
    about |= cfg.model_dump(mode="json", include={"views", "average"})
    if groups is not None:
        facts = recognition.facts(groups) | {"without": truth.score(alone)}
        about["consensus"] = cfg.consensus.model_dump() | facts
    about["members"] = [asdict(member) for member in join.members]
    constant = {"unreadable, answered by a constant (class frequencies of training)": about["unreadable"]}
    told = left_out.line("infer", len(table), "eval photos", constant)
    with files.replacing(out) as folder:
        about["answers"] = submission.write(folder, image_ids, answers)
        left_out.keep(folder, told)
        if groups is not None:
            sheet.draw(folder / "groups.jpg", groups, faces, "eval", photos)
        files.write_json(folder / "about.json", about | found)
    told_of_use = {"eval_photos_used": True} if used else {}
    files.write_json(scores, ({"eval": found["macro_f1"]} if found else {}) | told_of_use)
    left_out.tell(told)
    if cfg.log:
        row = entries.entry(answers, combined, history.revision(), eval_photos_used=used)
        for line in log.append(Path(history.root()), row, out / "submission.csv", history.cached):
            sys.stderr.write(f"warning: {line}\n")


def _combined(
    answerer: Answerer, join: combiner.Combiner, table: pd.DataFrame, engine: params.Engine
) -> tuple[Table, bool]:
    """Answers (N, 18) to all photos, and whether a network or a past experiment has used them before."""
    # A photo that cannot be read is answered with the class frequencies of the training photos.
    answers: Table = np.tile(np.mean([c.prior for c in answerer.trained], axis=0), (len(table), 1))
    readable = table["status"] == "ok"
    rows = reader.rows(table[readable])
    parts = answerer.answers(rows, engine)
    done = progress.track(parts, total=len(rows), label="photos answered", size=len)
    ours = np.concatenate([np.zeros((0, classes.COUNT)), *done])
    others = [experiments.answers(member, table["image_id"][readable]) for member in join.members]
    answers[readable] = join.apply(np.stack([ours, *(one for one, _ in others)]))
    return answers, join.eval_photos_used or any(peeked for _, peeked in others)


def main() -> None:
    """Run from the command line."""
    launch(run)


if __name__ == "__main__":
    main()
