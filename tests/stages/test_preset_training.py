"""Every team's system, end to end on a few people: only size, length and initial weights are changed."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import timm
import yaml

from facemask.settings import loading, params, presets
from stages import sample_data

pytestmark = pytest.mark.slow

# A smaller network of the same family trains in seconds what the preset's own does in minutes.
SMALLER = {
    "convnext_tiny": "convnext_atto",
    "densenet161": "densenet121",
    "efficientnet_b3": "efficientnet_b0",
    "efficientnet_b4": "efficientnet_b0",
    "swin_large_patch4_window12_384": "swin_tiny_patch4_window7_224",
    "tf_efficientnet_b3": "tf_efficientnet_b0",
}
PRESETS = sorted(path.stem for path in (Path(__file__).parents[2] / "presets").glob("*.yaml"))


def shrunk(repository: Path, name: str, params_yaml: dict[str, Any]) -> dict[str, Any]:
    """The preset at a size that trains in seconds."""
    preset = yaml.safe_load((repository / "presets" / f"{name}.yaml").read_text())["params"]
    content = presets.merge(params_yaml, preset)
    train = content["train"]
    train |= {"folds": [0], "epochs": 1, "batch_size": 8, "patience": None}
    # Inception-v3 takes nothing smaller, nor does Swin's patching take sides that 32 does not divide.
    train["image"]["size"] = [96, 96]
    if train["backbone"]["kind"] == "onnx":
        # Files of the user's own: another network and finder in their place.
        train["backbone"] = params_yaml["train"]["backbone"]
    train["backbone"]["weights"] = {"kind": "scratch"}
    if train["backbone"]["kind"] == "timm":
        assert timm.is_model(train["backbone"]["name"])
        family = train["backbone"]["name"].partition(".")[0]
        train["backbone"]["name"] = SMALLER.get(family, family)
    if content["face_crop"]["finder"]["kind"] == "yunet":
        content["face_crop"]["finder"] = params_yaml["face_crop"]["finder"]
    content["face_crop"]["size"] = [96, 96]
    content["build_manifest"]["folds"] = 2
    matting = content["background_removal"]["matting"]
    if matting["kind"] == "rembg":
        content["background_removal"]["matting"] = {"kind": "grabcut", "iterations": 1, "height": 64}
    if train["unlabelled"]["kind"] == "self_training":
        # A network of one epoch is never that sure.
        train["unlabelled"]["threshold"] = 0.0
    content["evaluate"]["bootstrap"] = 10
    return content


@pytest.fixture(scope="module")
def drawn(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Eight drawn people and one to answer for, whose faces a detector finds."""
    root = tmp_path_factory.mktemp("drawn") / "contest"
    cfg = params.SampleData(train_people=8, eval_people=1, seed=7)
    sample_data.run(cfg, root=root, out=root)
    return root


@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_trains_scores_and_answers(
    name: str,
    repository: Path,
    params_yaml: dict[str, Any],
    pipeline: Any,
    drawn: Path,
) -> None:
    cfg = loading.parse(shrunk(repository, name, params_yaml), name)
    pipeline.prepare(cfg, drawn)
    out = pipeline.fit(cfg)
    assert (out / "weights.safetensors").is_file()
    submission = pipeline.answer(cfg)
    assert len(submission) == 7
    assert submission["ans"].between(0, 17).all()
    pipeline.evaluate(cfg)
    scores = json.loads(Path("metrics/oof.json").read_text())
    assert 0 <= scores["f1"] <= 1
    # The sample's own answers are known.
    assert 0 <= json.loads(Path("metrics/eval.json").read_text())["eval"] <= 1
    assert len(pd.read_csv("curves/fold0/scores.csv")) == 1
    # Pseudo-labelled eval photos are told wherever a score stands.
    used = cfg.train.unlabelled.kind != "none" and cfg.train.pool == "eval"
    for path in ("evaluate/details.json", "infer/about.json"):
        assert json.loads(Path(path).read_text())["eval_photos_used"] is used
