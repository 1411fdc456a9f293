"""Photos answered one by one against infer's answers to the same photos."""

from __future__ import annotations

import shutil
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from facemask.records import classes, tables
from facemask.sample import contest
from facemask.serving import predictor
from facemask.settings import loading, params

pytestmark = pytest.mark.slow

COLUMNS = list(classes.columns())


def laid_out(write_lock, content: dict) -> Path:
    """The folder of a finished run, laid out as DVC's stages lay it out."""
    folder = Path("project")
    for source, target in (("models", "models/train"), ("combine", "data/combine")):
        shutil.copytree(source, folder / target)
    write_lock(content, folder)
    return folder


def answered(names: list[str], root: Path) -> pd.DataFrame:
    files = [root / "eval" / "images" / name for name in names]
    return predictor.load("project").predict(files)


def infer_says() -> pd.DataFrame:
    return tables.read(Path("infer/probabilities.csv"), tables.EVAL_PROBABILITIES)


def test_answers_are_those_of_infer(prepared, toy_yaml, write_lock, tmp_path):
    """With two folds and a view that is scaled."""
    toy_yaml["train"]["folds"] = [0, 1]
    toy_yaml["infer"]["views"] = [{"kind": "identity"}, {"kind": "scale", "factor": 1.2, "flip": True}]
    cfg = loading.parse(toy_yaml, "toy")
    for fold in (0, 1):
        prepared.fit(cfg, fold)
    submitted = prepared.answer(cfg, (0, 1))
    laid_out(write_lock, toy_yaml)
    wanted = infer_says()
    found = answered(wanted["ImageID"].tolist(), tmp_path / "contest")
    np.testing.assert_allclose(found[COLUMNS], wanted[COLUMNS], atol=1e-5)
    assert found["class"].tolist() == submitted["ans"].tolist()
    assert set(found["found"]) == {"fixed"}


def test_answers_to_drawn_people_are_those_of_infer(pipeline, params_yaml, write_lock, tmp_path):
    """With MTCNN, mattes and a black background, as face_crop and background_removal make them."""
    params_yaml["train"]["image"]["background"] = "black"
    params_yaml["train"] |= {"epochs": 1, "precision": "32"}
    params_yaml["build_manifest"] |= {"folds": 2, "holdout": 0.0}
    cfg = loading.parse(params_yaml, "params")
    root = tmp_path / "drawn"
    contest.write(params.SampleData(train_people=8, eval_people=3, seed=7), root)
    pipeline.prepare(cfg, root)
    pipeline.fit(cfg)
    pipeline.answer(cfg)
    laid_out(write_lock, params_yaml)
    wanted = infer_says()
    names = wanted["ImageID"].tolist()
    boxes = tables.read(Path("face_crop/eval/boxes.csv"), tables.BOXES).set_index("photo")
    status = boxes.loc[[f"eval/images/{name}" for name in names], "status"]
    found = answered(names, root)
    seen = (status == "found").to_numpy()
    assert seen.sum() > 10
    np.testing.assert_allclose(found[COLUMNS][seen], wanted[COLUMNS][seen], atol=1e-5)
    # A single photo has no others to borrow a box from.
    assert found["found"].tolist() == ["found" if one else "frame" for one in seen]
    # Whatever is answered beside it, a photo's answer is the same.
    alone = answered(names[:1], root)
    np.testing.assert_allclose(alone[COLUMNS], found[COLUMNS].iloc[:1], atol=1e-6)
