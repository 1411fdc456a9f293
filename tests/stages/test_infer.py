"""Answers for the eval photos: this experiment's and those of past ones, combined as combine decided."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from dvc.repo import Repo

from facemask.ensemble import combiner, experiments
from facemask.ensemble.combiner import Combiner, Mean
from facemask.records import classes, tables
from facemask.runtime import files
from facemask.runtime.errors import UserError
from facemask.settings import params
from facemask.submission import answering, submission
from stages import infer

IMAGES = [f"{number:03d}.jpg" for number in range(6)]
PRIOR = np.linspace(1, 2, 18) / np.linspace(1, 2, 18).sum()
CFG = params.Infer(
    views=(params.Identity(kind="identity"), params.Flip(kind="hflip")),
    average="logits",
    batch_size=4,
    precision="bf16",
    compile=True,
)
DAG = 'stages:\n  infer:\n    cmd: "true"\n    outs:\n    - data/infer\n'
OURS = np.random.default_rng(0).dirichlet(np.ones(18), 6)
THEIRS = np.random.default_rng(1).dirichlet(np.ones(18), 6)


@pytest.fixture(scope="module")
def saved(tmp_path_factory, start_project) -> Path:
    folder = tmp_path_factory.mktemp("infer") / "repository"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        start_project(DAG, "/data\n")
        answers = submission.write(Path("data/infer"), pd.Series(IMAGES), THEIRS)
        files.write_json(Path("metrics/infer.json"), {"answers": answers})
        with Repo(".") as repo:
            repo.experiments.save(name="past", include_untracked=["dvc.lock", "metrics/infer.json"])
        # Experiments leave the workspace as a new one would find it.
        shutil.rmtree("data")
        shutil.rmtree("metrics")
    return folder


@pytest.fixture
def repository(saved, tmp_path, monkeypatch) -> Path:
    """The repository with an eval manifest and the known answers of other photos; networks answer ``OURS``."""
    folder = tmp_path / "repository"
    shutil.copytree(saved, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    manifest = pd.DataFrame(
        {"photo": IMAGES, "image_id": IMAGES, "face": "found", "matte": "ok", "status": "ok"}
        | dict.fromkeys(("cx0", "cy0"), 0.0)
        | dict.fromkeys(("cx1", "cy1"), 9.0)
    )
    manifest.loc[2, "status"] = "unreadable"
    tables.write(Path("manifest/eval.csv"), manifest, tables.EVAL_MANIFEST)
    tables.write(Path("truth/answers.csv"), pd.DataFrame({"ImageID": ["x"], "ans": [0]}), tables.ANSWERS)
    loaded = SimpleNamespace(recipe=SimpleNamespace(image=None), prior=PRIOR, model=None)
    monkeypatch.setattr(answering.checkpoints, "load", lambda path: loaded)
    monkeypatch.setattr(infer.reader, "rows", lambda table: table["photo"].tolist())
    monkeypatch.setattr(answering.reader, "Reader", lambda *_: SimpleNamespace(read=lambda row: row))

    def answered(models, chunks, views, average, *, precision, compiled):
        assert (views, average) == (CFG.views, CFG.average)
        assert (precision, compiled) == (CFG.precision, CFG.compile)
        return OURS[[IMAGES.index(photo) for chunk in chunks for photo in chunk]]

    monkeypatch.setattr(answering, "predict", answered)
    return folder


def run(names: tuple[str, ...] = (), weights: tuple[float, ...] = (1.0,), **changes: object) -> np.ndarray:
    found = experiments.resolve(names)
    whole = Combiner(found, Mean(weights), 0.0, tuple(PRIOR.tolist()), False)
    files.write_json(Path("combine/combiner.json"), whole.to_json() | changes)
    infer.run(
        CFG,
        params.Folds(folds=(0,)),
        engine="local",
        manifest=Path("manifest"),
        faces=Path("faces"),
        mattes=Path("mattes"),
        models=Path("models"),
        combined=Path("combine"),
        truth=Path("truth"),
        out=Path("data/infer"),
        metrics=Path("metrics/infer.json"),
    )
    written = tables.read(Path("data/infer/probabilities.csv"), tables.EVAL_PROBABILITIES)
    assert written["ImageID"].tolist() == IMAGES
    return written[list(classes.columns())].to_numpy()


def test_past_answers_are_combined_with_ours_and_unreadable_photos_get_the_prior(repository):
    expected = 0.25 * OURS + 0.75 * THEIRS
    expected[2] = PRIOR
    np.testing.assert_allclose(run(("past",), (0.25, 0.75)), expected, atol=2e-6)
    report = json.loads(Path("metrics/infer.json").read_text())
    assert (report["photos"], report["unreadable"], report["scored"]) == (6, 1, 0)


def test_logit_adjustment_reaches_the_answers(repository):
    expected = OURS / PRIOR
    expected /= expected.sum(1, keepdims=True)
    expected[2] = PRIOR
    np.testing.assert_allclose(run(tau=1.0), expected, atol=2e-6)


def test_about_and_metrics_say_where_the_answers_come_from(repository):
    run(("past",), (0.5, 0.5), eval_photos_used=True)
    about = json.loads(Path("data/infer/about.json").read_text())
    assert about["members"] == [{"name": "past", "commit": experiments.resolve(("past",))[0].commit}]
    assert about["views"] == [{"kind": "identity"}, {"kind": "hflip"}]
    report = json.loads(Path("metrics/infer.json").read_text())
    assert about["eval_photos_used"] == report["eval_photos_used"] == 1
    assert about["answers"] == report["answers"]
    run()
    assert json.loads(Path("metrics/infer.json").read_text())["eval_photos_used"] == 0


def test_the_same_answers_as_a_past_experiments_show_in_dvcs_table(repository):
    table = tables.read(Path("manifest/eval.csv"), tables.EVAL_MANIFEST).assign(status="ok")
    tables.write(Path("manifest/eval.csv"), table, tables.EVAL_MANIFEST)
    for weights, same in (((0.0, 1.0), True), ((1.0, 0.0), False)):
        run(("past",), weights)
        about = json.loads(Path("data/infer/about.json").read_text())
        with Repo(".") as repo:
            shown = repo.metrics.show(["metrics/infer.json"], revs=["past"])
        (past, here) = (shown[name]["data"]["metrics/infer.json"]["data"] for name in ("past", "workspace"))
        assert about["answers"] == here["answers"]
        assert (here["answers"] == past["answers"]) is same


def test_a_lost_member_is_told_and_nothing_is_written(repository):
    lost = Combiner((combiner.Member("past", "0" * 40),), Mean((0.5, 0.5)), 0.0, tuple(PRIOR.tolist()), False)
    with pytest.raises(UserError, match=r"combine\.members: past \(0000000\): .*cannot be read"):
        run(**lost.to_json())
    assert not Path("data").exists()
