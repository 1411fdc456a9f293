"""From a manifest to a submission: train a fold on tiny photos, then answer the eval photos with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from dvc.repo import Repo

from facemask import launch, loading, params
from facemask.errors import UserError
from facemask.images import archive
from facemask.records import tables
from stages import background_removal, build_manifest, face_crop, fix_labels, infer, train

PATHS = {"manifest": "build_manifest", "faces": "face_crop", "mattes": "background_removal"}


@pytest.fixture(scope="module")
def empty_repository(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("repository")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "start"]):
        subprocess.run(["git", *command], check=True, cwd=folder)
    Repo.init(str(folder)).close()
    return folder


@pytest.fixture(scope="module")
def once() -> dict[str, Path]:
    """Where the first test left the prepared folder for the others."""
    return {}


@pytest.fixture
def prepared(
    empty_repository,
    once: dict[str, Path],
    tmp_path: Path,
    tmp_path_factory,
    monkeypatch,
    contest_folder: Callable[..., Path],
    toy_params,
) -> Path:
    """All stages before training, run on a tiny contest folder; the current folder is theirs."""
    folder = tmp_path / "repository"
    root = contest_folder(people=12, eval_people=3)
    monkeypatch.setenv("DVC_ROOT", str(folder))
    shutil.copytree(once.get("folder", empty_repository), folder)
    monkeypatch.chdir(folder)
    if not once:
        _prepare(folder, root, toy_params)
        once["folder"] = tmp_path_factory.mktemp("prepared") / "repository"
        shutil.copytree(folder, once["folder"])
    return folder


def _prepare(folder: Path, root: Path, cfg: params.Params) -> None:
    (folder / "fixes.csv").write_text("dataset,id,field,old,new,status,source,note\n")
    (folder / "truth").mkdir()
    archive.write(folder / "truth/mattes.zip", {})
    pd.DataFrame({"ImageID": ["other.jpg"], "ans": [0]}).to_csv(folder / "truth/answers.csv", index=False)
    fix_labels.run(
        cfg.fix_labels, root=root, fixes=Path("fixes.csv"), out=Path("fix_labels"), metrics=Path("m/f.json")
    )
    labels = {"labels": Path("fix_labels"), "root": root}
    face_crop.run(
        cfg.face_crop, **labels, out=Path("face_crop"), metrics=Path("m/c.json"), plot=Path("p/c.jpg")
    )
    background_removal.run(
        cfg.background_removal,
        **labels,
        truth=Path("truth"),
        out=Path("background_removal"),
        metrics=Path("m/b.json"),
        plot=Path("p/b.jpg"),
    )
    build_manifest.run(
        cfg.build_manifest.model_copy(update={"holdout": 0.25}),
        launch.view(cfg, params.Bands),
        seed=1,
        labels=Path("fix_labels"),
        faces=Path("face_crop"),
        mattes=Path("background_removal"),
        out=Path("build_manifest"),
        metrics=Path("m/d.json"),
        plot=Path("p/d.png"),
    )


def fit(cfg: params.Params, fold: int = 0) -> Path:
    out = Path(f"models/fold{fold}")
    paths = {name: Path(path) for name, path in PATHS.items()}
    train.run(
        launch.view(cfg, params.Recipe), fold=fold, seed=1, **paths, out=out, live=Path(f"live/fold{fold}")
    )
    return out


def answer(cfg: params.Params, folds: tuple[int, ...] = (0,)) -> pd.DataFrame:
    paths = {name: Path(path) for name, path in PATHS.items()}
    infer.run(
        cfg.infer,
        params.Folds(folds=folds),
        **paths,
        models=Path("models"),
        truth=Path("truth"),
        out=Path("infer"),
        metrics=Path("m/infer.json"),
    )
    return tables.read(Path("infer/submission.csv"), tables.SUBMISSION)


def test_a_fold_scores_its_own_people_and_the_hold_out(prepared, toy_params):
    out = fit(toy_params)
    manifest = tables.read(Path("build_manifest/train.csv"), tables.TRAIN).set_index("photo")
    for name, rows in (
        ("oof", manifest[manifest["fold"] == 0]),
        ("holdout", manifest[manifest["split"] == "holdout"]),
    ):
        table = tables.read(out / f"{name}.csv", tables.PROBABILITIES)
        assert len(table) > 0
        assert sorted(table["photo"]) == sorted(rows.index)
        assert table["class"].tolist() == rows.loc[table["photo"], "class"].tolist()
        np.testing.assert_allclose(table[[f"p{k}" for k in range(18)]].sum(axis=1), 1, atol=1e-4)


def test_training_a_fold_again_gives_the_same_bytes(prepared, toy_params):
    out = fit(toy_params)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(before) == {"weights.safetensors", "model.json", "oof.csv", "holdout.csv"}
    shutil.rmtree(out)
    assert before == {path.name: path.read_bytes() for path in fit(toy_params).iterdir()}


@pytest.mark.slow
def test_two_processes_train_one_fold_together(prepared, toy_yaml, repository):
    """Each photo is trained on and scored once, by one of them, and one of them writes."""
    toy_yaml["train"] |= {"epochs": 2}
    Path("params.yaml").write_text(yaml.safe_dump(toy_yaml))
    options = [f"--{name}={path}" for name, path in PATHS.items()]
    command = [
        "-m",
        "torch.distributed.run",
        "--standalone",
        "--nproc-per-node=2",
        "-m",
        "stages.train",
        "--fold=0",
    ]
    ended = subprocess.run(
        [sys.executable, *command, *options, "--out=two", "--live=live/two"],
        env=os.environ | {"PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("epoch   2/2") == 1
    one = fit(loading.parse(toy_yaml, "toy"))
    for name in ("oof", "holdout"):
        alone, together = (
            tables.read(folder / f"{name}.csv", tables.PROBABILITIES) for folder in (one, Path("two"))
        )
        assert together["photo"].tolist() == alone["photo"].tolist()
        gap = (together.iloc[:, 3:] - alone.iloc[:, 3:]).abs().to_numpy().max()
        # Batch normalisation sees half a batch in each process: alike, not equal.
        assert 0 < gap < 0.25


def test_a_fold_starts_anew_whatever_was_trained_before(prepared, toy_params):
    """Weights never travel from fold to fold."""
    alone = (fit(toy_params, 1) / "weights.safetensors").read_bytes()
    fit(toy_params, 0)
    assert (fit(toy_params, 1) / "weights.safetensors").read_bytes() == alone


def test_submission_has_every_photo_in_the_order_of_info(prepared, toy_params, tmp_path):
    fit(toy_params)
    info = pd.read_csv(tmp_path / "contest/eval/info.csv")
    assert answer(toy_params)["ImageID"].tolist() == info["ImageID"].tolist()
    assert json.loads(Path("m/infer.json").read_text()) == {"photos": 21, "unreadable": 0, "scored": 0}


def test_known_answers_are_scored_and_change_nothing(prepared, toy_params):
    fit(toy_params)
    blind = answer(toy_params)
    blind.to_csv("truth/answers.csv", index=False)
    assert answer(toy_params).equals(blind)
    report = json.loads(Path("m/infer.json").read_text())
    assert (report["scored"], report["macro_f1"], report["accuracy"]) == (21, 1.0, 1.0)


def test_all_folds_are_averaged(prepared, toy_params):
    tabs = []
    for folds in ((0,), (1,), (0, 1)):
        for fold in folds:
            if not Path(f"models/fold{fold}").exists():
                fit(toy_params, fold)
        answer(toy_params, folds)
        tabs.append(
            tables.read(Path("infer/probabilities.csv"), tables.EVAL_PROBABILITIES).iloc[:, 1:].to_numpy()
        )
    np.testing.assert_allclose(tabs[2], (tabs[0] + tabs[1]) / 2, atol=2e-6)


def test_an_unreadable_eval_photo_is_answered_with_the_prior(prepared, toy_params):
    out = fit(toy_params)
    table = tables.read(Path("build_manifest/eval.csv"), tables.EVAL_MANIFEST)
    table.loc[2, "status"] = "unreadable"
    tables.write(Path("build_manifest/eval.csv"), table, tables.EVAL_MANIFEST)
    submission = answer(toy_params)
    assert len(submission) == 21
    prior = json.loads((out / "model.json").read_text())["prior"]
    assert submission["ans"][2] == int(np.argmax(prior))
    assert json.loads(Path("m/infer.json").read_text())["unreadable"] == 1


def test_a_fold_that_was_not_trained_is_told(prepared, toy_params):
    fit(toy_params)
    with pytest.raises(UserError, match=r"fold1.*dvc repro train"):
        answer(toy_params, (0, 1))


def test_a_fold_that_does_not_exist_is_told(prepared, toy_params):
    with pytest.raises(UserError, match=r"fold 7.*build_manifest\.folds"):
        fit(toy_params, 7)


def test_an_archive_out_of_step_with_the_manifest_is_told(prepared, toy_params):
    table = tables.read(Path("build_manifest/train.csv"), tables.TRAIN)
    table.loc[0, "photo"] = "train/images/gone/mask1.jpg"
    tables.write(Path("build_manifest/train.csv"), table, tables.TRAIN)
    with pytest.raises(UserError, match=r"gone/mask1\.jpg.*dvc repro"):
        fit(toy_params)
