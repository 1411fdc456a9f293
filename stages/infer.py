"""Answer the eval photos with all trained folds; score the answers where the truth is known (the drawn sample)."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from facemask import files, params, progress
from facemask.errors import UserError
from facemask.images import reader
from facemask.inference import checkpoints, submission
from facemask.inference.predict import Table, predict
from facemask.launch import launch
from facemask.records import tables
from facemask.scoring import metrics as scores


def run(
    cfg: params.Infer,
    folds: params.Folds,
    *,
    manifest: Path,
    faces: Path,
    mattes: Path,
    models: Path,
    truth: Path,
    out: Path,
    metrics: Path,
) -> None:
    """Read eval.csv, pixels and ``models``; write ``out``/{submission,probabilities}.csv and ``metrics``."""
    table = tables.read(manifest / "eval.csv", tables.EVAL_MANIFEST)
    trained = [checkpoints.load(models / f"fold{fold}") for fold in folds.folds]
    image = trained[0].recipe.image
    if any(checkpoint.recipe.image != image for checkpoint in trained):
        raise UserError(
            f"{models}: the folds were trained on different pixels (train.image); run `dvc repro train`"
        )
    # A photo that cannot be read is answered with the class frequencies of the training photos.
    answers: Table = np.tile(np.mean([c.prior for c in trained], axis=0), (len(table), 1))
    readable = table["status"] == "ok"
    rows = reader.rows(table[readable])
    stream = reader.Reader(faces, mattes, image).stream(rows, cfg.batch_size) if rows else iter(())
    chunks = progress.track(stream, total=len(rows), label="photos answered", size=len)
    answers[readable.to_numpy()] = predict([c.model for c in trained], chunks, cfg.views)
    with files.replacing(out) as folder:
        submission.write(folder, table["image_id"], answers)
    files.write_json(
        metrics, _report(table["image_id"].tolist(), answers, truth / "answers.csv", int((~readable).sum()))
    )


def _report(image_ids: list[str], answers: Table, known: Path, unreadable: int) -> dict[str, float | int]:
    report: dict[str, float | int] = {"photos": len(image_ids), "unreadable": unreadable, "scored": 0}
    truth = tables.read(known, tables.SUBMISSION).set_index("ImageID")["ans"]
    if not image_ids or not set(image_ids) <= set(truth.index):
        return report
    found = scores.score(answers, truth.loc[image_ids].to_numpy(np.int64))
    return report | {"scored": len(image_ids)} | {name: round(value, 6) for name, value in found.items()}


def main() -> None:
    """Run from the command line."""
    launch(run)


if __name__ == "__main__":
    main()
