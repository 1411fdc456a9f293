"""From a manifest to a submission: train a fold on tiny photos, then answer the eval photos with it."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
import yaml
from safetensors.torch import load_file

from facemask.records import tables
from facemask.runtime.errors import UserError
from facemask.settings import loading

pytestmark = pytest.mark.slow

LABELLED, EVAL = (Path("build_manifest", name, "manifest.csv") for name in ("labelled", "eval"))
PATHS = {"manifest": "build_manifest", "faces": "face_crop", "mattes": "background_removal"}
STUDENT = {"kind": "self_training", "rounds": 1, "threshold": 0.0, "per_class": None}


def test_a_fold_scores_its_own_people_and_the_hold_out(prepared, toy_params):
    out = prepared.fit(toy_params)
    manifest = tables.read(LABELLED, tables.MANIFEST).set_index("photo")
    for name, rows in (
        ("oof", manifest[manifest["fold"] == 0]),
        ("holdout", manifest[manifest["split"] == "holdout"]),
    ):
        table = tables.read(out / f"{name}.csv", tables.PROBABILITIES)
        assert len(table) > 0
        assert sorted(table["photo"]) == sorted(rows.index)
        assert table["class"].tolist() == rows.loc[table["photo"], "class"].tolist()
        np.testing.assert_allclose(table[[f"p{k}" for k in range(18)]].sum(axis=1), 1, atol=1e-4)


def test_the_curves_are_those_of_the_network_that_is_kept(prepared, toy_yaml):
    toy_yaml["train"] |= {"epochs": 3, "lr": 0.01, "schedule": {"kind": "constant", "warmup_steps": 0}}
    said = json.loads((prepared.fit(loading.parse(toy_yaml, "toy")) / "model.json").read_text())
    losses, scores = (pd.read_csv(f"curves/fold0/{name}.csv") for name in ("loss", "scores"))
    assert scores["epoch"].tolist() == [1, 2, 3]
    assert losses.groupby("epoch")["curve"].agg(list).to_dict() == {
        epoch: ["training", "validation"] for epoch in (1, 2, 3)
    }
    best = scores.set_index("epoch")["macro_f1"]
    assert best.idxmax() == said["best_epoch"]
    assert best.max() == pytest.approx(said["val_macro_f1"], abs=1e-5)


@pytest.mark.parametrize("pool", ["eval", "unlabelled"])
def test_the_pool_decides_whose_photos_are_learnt_from_and_that_is_told(prepared, toy_yaml, pool):
    """Photos without labels are here the eval photos of somebody else: only the pool tells them apart."""
    for folder, table in (("build_manifest", "manifest.csv"), ("face_crop", "crops.zip")):
        shutil.copy(f"{folder}/eval/{table}", f"{folder}/unlabelled/{table}")
    rows = tables.read(EVAL, tables.UNLABELLED_MANIFEST)
    few = rows.iloc[:9].assign(set="unlabelled", image_id="")
    tables.write(Path("build_manifest/unlabelled/manifest.csv"), few, tables.UNLABELLED_MANIFEST)
    toy_yaml["train"] |= {"unlabelled": STUDENT, "pool": pool}
    cfg = loading.parse(toy_yaml, "toy")
    out = prepared.fit(cfg)
    assert json.loads((out / "model.json").read_text())["recipe"]["pool"] == pool
    prepared.answer(cfg)
    prepared.evaluate(cfg)
    for path in ("combine/about.json", "evaluate/details.json", "infer/about.json"):
        assert json.loads(Path(path).read_text())["eval_photos_used"] is (pool == "eval"), path


def test_a_fold_is_trained_on_the_manifest_s_bands(prepared, toy_yaml):
    fine = {"kind": "distribution", "ages": [15, 80], "sigma": 3.0}
    toy_yaml["train"]["head"] |= {"kind": "three", "backbones": "one", "age": fine}
    toy_yaml["train"] |= {"young_cut": 29, "age_cut": 58}
    cfg = loading.parse(toy_yaml, "toy")
    prepared.manifest(cfg)
    assert json.loads((prepared.fit(cfg) / "model.json").read_text())["cuts"] == [29, 58]


def test_training_a_fold_again_gives_the_same_bytes(prepared, toy_params):
    out = prepared.fit(toy_params)
    before = {path.name: path.read_bytes() for path in out.iterdir()}
    assert set(before) == {"weights.safetensors", "model.json", "oof.csv", "holdout.csv"}
    shutil.rmtree(out)
    assert before == {path.name: path.read_bytes() for path in prepared.fit(toy_params).iterdir()}


def test_two_processes_train_one_fold_together(prepared, toy_yaml, repository):
    """As one process does with the same batches, though each batch leaves one of them a photo more; twice over.

    The network has no batch normalisation, which sees half a batch in each process on a CPU, and no dropout and no
    augmentation, whose draws are each process's own.
    """
    train = toy_yaml["train"]
    train |= {"epochs": 3, "batch_size": 7, "unlabelled": STUDENT, "pool": "eval", "augment": []}
    train["image"]["size"] = [32, 32]
    train["backbone"]["name"] = "test_vit"
    train["head"]["dropout"] = {"p": 0.0, "samples": 1}
    # Adam's first steps have the length of the rate whatever the gradient's: they would hide its size.
    train["optimiser"] = {"kind": "sgd", "weight_decay": 0.0, "momentum": 0.9, "nesterov": False}
    train["lr"] = 0.005
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
        [sys.executable, *command, *options, "--out=two", "--curves=curves/two", "--live=live/two"],
        env=os.environ | {"PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 0, ended.stderr
    assert ended.stdout.count("epoch   3/3") == 2
    one = prepared.fit(loading.parse(toy_yaml, "toy"), seed=toy_yaml["seed"])
    # Every epoch's scores are those of all photos, each counted once; one process of the two tells them.
    for name, rows in (("loss", 6), ("scores", 3)):
        drawn, both = (pd.read_csv(f"curves/{folder}/{name}.csv") for folder in ("fold0", "two"))
        assert len(drawn) == rows
        pd.testing.assert_frame_equal(both, drawn, rtol=0, atol=1e-4)
    for name in ("oof", "holdout"):
        alone, together = (
            tables.read(folder / f"{name}.csv", tables.PROBABILITIES) for folder in (one, Path("two"))
        )
        assert together["photo"].tolist() == alone["photo"].tolist()
        np.testing.assert_allclose(together.iloc[:, 3:], alone.iloc[:, 3:], atol=1e-4)
    weights, others = (load_file(folder / "weights.safetensors") for folder in (one, Path("two")))
    assert weights.keys() == others.keys()
    assert all(torch.allclose(weights[key], others[key], atol=1e-4) for key in weights)


def test_submission_has_every_photo_in_the_order_of_info(prepared, toy_params, tmp_path):
    prepared.fit(toy_params)
    info = pd.read_csv(tmp_path / "contest/eval/info.csv")
    assert prepared.answer(toy_params)["ImageID"].tolist() == info["ImageID"].tolist()
    about = json.loads(Path("infer/about.json").read_text())
    assert (about["photos"], about["unreadable"], about["scored"]) == (21, 0, 0)
    assert about["eval_photos_used"] is False
    assert json.loads(Path("metrics/eval.json").read_text()) == {}


def test_known_answers_are_scored_and_change_nothing(prepared, toy_params):
    prepared.fit(toy_params)
    blind = prepared.answer(toy_params)
    for known in (blind, blind.iloc[3:8]):
        known.to_csv("fix_labels/answers.csv", index=False)
        assert prepared.answer(toy_params).equals(blind)
        about = json.loads(Path("infer/about.json").read_text())
        assert (about["scored"], about["macro_f1"], about["accuracy"]) == (len(known), 1.0, 1.0)
        assert json.loads(Path("metrics/eval.json").read_text()) == {"eval": 1}


def test_all_folds_are_averaged(prepared, toy_yaml):
    # The mean of calibrated answers is not the calibrated mean.
    toy_yaml["combine"]["calibrate"] = {"kind": "none"}
    toy_params = loading.parse(toy_yaml, "toy")
    tabs = []
    for folds in ((0,), (1,), (0, 1)):
        for fold in folds:
            if not Path(f"models/fold{fold}").exists():
                prepared.fit(toy_params, fold)
        prepared.answer(toy_params, folds)
        tabs.append(
            tables.read(Path("infer/probabilities.csv"), tables.EVAL_PROBABILITIES).iloc[:, 1:].to_numpy()
        )
    np.testing.assert_allclose(tabs[2], (tabs[0] + tabs[1]) / 2, atol=2e-6)


def test_an_unreadable_eval_photo_is_answered_with_the_prior(prepared, toy_params):
    out = prepared.fit(toy_params)
    table = tables.read(EVAL, tables.UNLABELLED_MANIFEST)
    table.loc[2, "status"] = "unreadable"
    tables.write(EVAL, table, tables.UNLABELLED_MANIFEST)
    submission = prepared.answer(toy_params)
    assert len(submission) == 21
    prior = json.loads((out / "model.json").read_text())["prior"]
    assert submission["ans"][2] == int(np.argmax(prior))
    assert json.loads(Path("infer/about.json").read_text())["unreadable"] == 1


def test_a_fold_that_was_not_trained_is_told(prepared, toy_params):
    prepared.fit(toy_params)
    with pytest.raises(UserError, match=r"fold1.*dvc repro train"):
        prepared.answer(toy_params, (0, 1))


def test_a_fold_that_does_not_exist_is_told(prepared, toy_params):
    with pytest.raises(UserError, match=r"fold 7.*build_manifest\.folds"):
        prepared.fit(toy_params, 7)


def test_an_archive_out_of_step_with_the_manifest_is_told(prepared, toy_params):
    table = tables.read(LABELLED, tables.MANIFEST)
    table.loc[0, "photo"] = "train/images/gone/mask1.jpg"
    tables.write(LABELLED, table, tables.MANIFEST)
    with pytest.raises(UserError, match=r"labelled/crops\.zip: .*gone/mask1\.jpg.*dvc repro"):
        prepared.fit(toy_params)
