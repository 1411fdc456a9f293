"""Answer the eval photos with all trained folds and the chosen past experiments; score them where the truth is known.

The truth is known for the drawn sample alone.
"""

from __future__ import annotations

import sys
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from facemask.ensemble import combiner, experiments
from facemask.network import reader
from facemask.network.predict import Table
from facemask.records import classes, tables
from facemask.runtime import files, progress
from facemask.runtime.launch import launch
from facemask.scoring import metrics as scores
from facemask.settings import params
from facemask.submission import submission
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
    truth: Path,
    out: Path,
    metrics: Path,
) -> None:
    """Read eval.csv, pixels, ``models``, ``combined``; write ``out``/{submission,probabilities}.csv, ``metrics``.

    ``out``/about.json says where the answers come from.
    """
    table = tables.read(manifest / "eval.csv", tables.EVAL_MANIFEST)
    join = combiner.read(combined / "combiner.json")
    answerer = Answerer(cfg, [models / f"fold{fold}" for fold in folds.folds], faces, mattes)
    # A photo that cannot be read is answered with the class frequencies of the training photos.
    answers: Table = np.tile(np.mean([c.prior for c in answerer.trained], axis=0), (len(table), 1))
    readable = (table["status"] == "ok").to_numpy()
    rows = reader.rows(table[readable])
    parts = answerer.answers(rows, engine)
    done = progress.track(parts, total=len(rows), label="photos answered", size=len)
    ours = np.concatenate([np.zeros((0, classes.COUNT)), *done])
    image_ids = table["image_id"]
    others = [experiments.answers(member, image_ids[readable]) for member in join.members]
    answers[readable] = join.apply(np.stack([ours, *others]))
    about: dict[str, Any] = {"eval_photos_used": int(join.eval_photos_used)}
    with files.replacing(out) as folder:
        about["answers"] = submission.write(folder, image_ids, answers)
        views = cfg.model_dump(mode="json", include={"views", "average"})
        members = [asdict(member) for member in join.members]
        files.write_json(folder / "about.json", about | views | {"members": members})
    report = _report(image_ids.tolist(), answers, truth / "answers.csv", int((~readable).sum()))
    files.write_json(metrics, report | about)
    for name in experiments.same_answers(metrics, about["answers"]):
        sys.stdout.write(f"{name} gave exactly these answers: submitting both would tell nothing\n")


def _report(image_ids: list[str], answers: Table, known: Path, unreadable: int) -> dict[str, Any]:
    report: dict[str, Any] = {"photos": len(image_ids), "unreadable": unreadable, "scored": 0}
    truth = tables.read(known, tables.ANSWERS).set_index("ImageID")["ans"]
    if not image_ids or not set(image_ids) <= set(truth.index):
        return report
    found = scores.score(answers, truth.loc[image_ids].to_numpy(np.int64))
    return report | {"scored": len(image_ids)} | {name: round(value, 6) for name, value in found.items()}


def main() -> None:
    """Run from the command line."""
    launch(run)


if __name__ == "__main__":
    main()
