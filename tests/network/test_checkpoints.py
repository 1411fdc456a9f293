"""Checkpoints: what is loaded predicts what was saved, and damaged ones are told."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch
from safetensors.torch import load_file, save_file

from facemask.network import checkpoints
from facemask.network.classifier import Classifier
from facemask.network.predict import predict
from facemask.records import bands
from facemask.runtime import files, launch
from facemask.runtime.errors import UserError
from facemask.settings import loading, params, recipes

PRIOR = np.full(18, 1 / 18)
PLAIN = [params.Identity(kind="identity")]
BINS = {"kind": "bins", "edges": [25, 30, 60]}
DROPOUT = {"p": 0.1, "samples": 2}


@pytest.fixture
def saved(toy_params, tmp_path):
    recipe = launch.view(toy_params, recipes.Recipe)
    checkpoint = checkpoints.Checkpoint(Classifier(recipe).eval(), recipe, PRIOR)
    checkpoints.save(tmp_path / "fold0", checkpoint, {"fold": 0})
    return checkpoint, tmp_path / "fold0"


def test_a_loaded_fold_predicts_what_the_saved_one_did(saved):
    checkpoint, folder = saved
    photos = np.random.default_rng(0).integers(0, 256, (3, 32, 24, 3), dtype=np.uint8)
    loaded = checkpoints.load(folder)
    assert loaded.recipe == checkpoint.recipe
    np.testing.assert_allclose(loaded.prior, PRIOR)
    first, second = (predict([c.model], [photos], PLAIN, "probabilities") for c in (checkpoint, loaded))
    assert np.array_equal(first, second)


@pytest.mark.parametrize(
    "changes",
    [
        {"head": {"kind": "arcface", "dropout": DROPOUT, "scale": 20.0, "margin": 0.3}},
        {"head": {"kind": "fused", "dropout": DROPOUT}},
        {"head": {"kind": "age_by_gender", "dropout": DROPOUT, "backbones": "each", "age": BINS}},
        {
            "head": {"kind": "multilabel", "dropout": DROPOUT},
            "loss": {"kind": "multilabel_soft_margin"},
        },
        {"refit": {"kind": "logistic", "c": 1.0, "smote": 2}},
    ],
    ids=lambda changes: next(iter(changes.values()))["kind"],
)
def test_every_form_of_network_comes_back(toy_yaml, tmp_path, changes):
    toy_yaml["train"] |= changes
    toy_yaml["train"]["backbone"]["pool"] = {"kind": "gem", "p": 3.0, "learn": True}
    recipe = launch.view(loading.parse(toy_yaml, "toy"), recipes.Recipe)
    model = Classifier(recipe, cuts=bands.Cuts(25, 60)).eval()
    if "refit" in changes:
        width = model.features(torch.zeros(1, 32, 24, 3))["all"].shape[1]
        model.refit(torch.randn(18, width), torch.randn(18))
    checkpoints.save(tmp_path / "fold0", checkpoints.Checkpoint(model, recipe, PRIOR), {"fold": 0})
    photos = torch.randint(0, 256, (3, 32, 24, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(
            checkpoints.load(tmp_path / "fold0").model.log_table(photos), model.log_table(photos)
        )


def test_the_pretrained_weights_are_not_needed_to_predict(saved):
    _, folder = saved
    content = json.loads((folder / "model.json").read_text())
    content["recipe"]["backbone"]["weights"] = {
        "kind": "file",
        "path": "gone.safetensors",
        "sha256": "0" * 64,
    }
    reseal(folder, content)
    checkpoints.load(folder)


def test_saving_twice_gives_the_same_bytes(saved, tmp_path):
    checkpoint, folder = saved
    checkpoints.save(tmp_path / "again", checkpoint, {"fold": 0})
    for name in ("weights.safetensors", "model.json"):
        assert (folder / name).read_bytes() == (tmp_path / "again" / name).read_bytes()


@pytest.mark.parametrize("name", ["weights.safetensors", "model.json"])
def test_missing_and_damaged_files_are_told_with_a_remedy(saved, name):
    _, folder = saved
    whole = (folder / name).read_bytes()
    (folder / name).write_bytes(whole[: len(whole) // 2])
    with pytest.raises(UserError, match=f"{name}: (not the file that was written|damaged).*dvc repro train"):
        checkpoints.load(folder)
    (folder / name).unlink()
    with pytest.raises(UserError, match=f"{name}.*dvc repro train"):
        checkpoints.load(folder)


def test_weights_of_another_network_are_told(saved):
    _, folder = saved
    content = json.loads((folder / "model.json").read_text())
    content["recipe"]["backbone"]["name"] = "mobilenetv3_small_050"
    reseal(folder, content)
    with pytest.raises(UserError, match="not a fold"):
        checkpoints.load(folder)


def reseal(folder, content):
    content.pop("sha256")
    files.write_sealed(folder / "model.json", content)


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("prior", [0.1] * 18),
        ("prior", [1 / 17] * 17),
        ("prior", [1.5, -0.5, *[0.0] * 16]),
        ("prior", "flat"),
        ("classes", ["a"] * 18),
        ("cuts", [60, 30]),
        ("cuts", [30.5, 60]),
        ("cuts", [30]),
        ("cuts", None),
    ],
)
def test_numbers_that_cannot_be_are_told(saved, key, value):
    _, folder = saved
    reseal(folder, json.loads((folder / "model.json").read_text()) | {key: value})
    with pytest.raises(UserError, match="not a fold of this version.*dvc repro train"):
        checkpoints.load(folder)


def test_weights_that_are_not_finite_are_told(saved):
    _, folder = saved
    tensors = load_file(folder / "weights.safetensors")
    name = next(name for name, tensor in tensors.items() if tensor.is_floating_point())
    tensors[name] = tensors[name].clone().fill_(float("nan"))
    save_file(tensors, folder / "weights.safetensors")
    reseal(folder, json.loads((folder / "model.json").read_text()))
    with pytest.raises(UserError, match=f"{name} is not finite"):
        checkpoints.load(folder)


def test_any_flipped_bit_is_told(saved):
    _, folder = saved
    for name in ("weights.safetensors", "model.json"):
        whole = (folder / name).read_bytes()
        for at in range(3, len(whole), max(1, len(whole) // 40)):
            (folder / name).write_bytes(whole[:at] + bytes([whole[at] ^ 1]) + whole[at + 1 :])
            # White space between JSON's tokens is no content.
            if name == "model.json" and whole[at : at + 1].isspace():
                continue
            with pytest.raises(UserError, match="dvc repro train"):
                checkpoints.load(folder)
        (folder / name).write_bytes(whole)
    checkpoints.load(folder)


def test_the_classifier_normalises_with_the_recipes_statistics(toy_yaml):
    toy_yaml["train"]["image"] |= {"mean": [0.2, 0.4, 0.6], "std": [0.5, 0.25, 0.125]}
    model = Classifier(launch.view(loading.parse(toy_yaml, "toy"), recipes.Recipe))
    seen: list[torch.Tensor] = []
    model.backbones.all.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0]))
    photo = torch.full((1, 32, 24, 3), 51, dtype=torch.uint8)
    model.eval()(photo)
    torch.testing.assert_close(seen[0][0, :, 0, 0], torch.tensor([0.0, -0.8, -3.2]))
    assert photo.unique().tolist() == [51]
