"""Training one fold: it learns, chooses by the reported metric, and repeats to the byte."""

from __future__ import annotations

import copy
import itertools
import json
import shutil
import subprocess
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from dvc.repo import Repo

from facemask.network.classifier import Classifier
from facemask.network.predict import predict
from facemask.records.bands import Cuts
from facemask.runtime import launch
from facemask.runtime.errors import UserError
from facemask.scoring import metrics
from facemask.settings import loading, params, recipes
from facemask.training import mixing, rates
from facemask.training.batches import Side
from facemask.training.fit import Fitted, loaders
from facemask.training.fit import fit as fit_or_none
from facemask.training.ranks import Process, synced
from facemask.training.task import Task, frequencies

pytestmark = pytest.mark.slow

PLAIN = [params.Identity(kind="identity")]


@pytest.fixture(scope="session")
def empty_repository(tmp_path_factory) -> Path:
    """A git and DVC repository with a commit, as DVCLive asks for."""
    folder = tmp_path_factory.mktemp("repository")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "start"]):
        subprocess.run(["git", *command], check=True, cwd=folder)
    Repo.init(str(folder)).close()
    return folder


@pytest.fixture
def repo(empty_repository, tmp_path: Path, monkeypatch) -> Path:
    folder = tmp_path / "repository"
    shutil.copytree(empty_repository, folder)
    monkeypatch.chdir(folder)
    return folder


DROPOUT = {"p": 0.1, "samples": 1}
BANDS = {"kind": "bands"}
BINS = {"kind": "bins", "edges": [25, 30, 45, 60]}
DISTRIBUTION = {"kind": "distribution", "ages": [10, 80], "sigma": 3.0}


def name(changes: dict) -> str:
    """Of a case: its keys, and the kinds chosen."""
    return "-".join(
        f"{key}.{value.get('kind', '')}" if isinstance(value, dict) else key for key, value in changes.items()
    )


def fit(*arguments: object, where: Path, **options: object) -> Fitted:
    fitted = fit_or_none(*arguments, **options, curves=where / "curves", live=where / "live")
    assert fitted is not None
    return fitted


def recipe(toy_yaml: dict, **changes: object) -> recipes.Recipe:
    toy_yaml["train"] |= changes
    return launch.view(loading.parse(toy_yaml, "toy"), recipes.Recipe)


def side(photos: int, seed: int) -> Side:
    """Photos whose colour tells the class, four classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(photos) % 4 * 5
    pixels = (
        rng.integers(0, 60, (photos, 32, 24, 3))
        + np.stack([labels * 10, 150 - labels * 10, labels * 0], 1)[:, None, None]
    )
    # Classes 0, 5, 10, 15: young, old, middle-aged, young.
    ages = np.array([20, 60, 45, 25])[np.arange(photos) % 4]
    return Side(pixels.astype(np.uint8), labels, ages, labels, np.ones(photos, np.int64))


@pytest.mark.parametrize(
    "average",
    [{"kind": "none"}, {"kind": "ema", "decay": 0.7}, {"kind": "swa", "start": 0.5}],
    ids=lambda a: a["kind"],
)
def test_a_fold_learns_what_can_be_learnt(repo, toy_yaml, average):
    """And the weights that are kept are those that were scored, averaged ones too."""
    cfg = recipe(toy_yaml, epochs=8, lr=0.01, average=average)
    val = side(16, 1)
    fitted = fit(cfg, side(64, 0), val, seed=0, where=repo)
    assert fitted.macro_f1 > 0.9
    table = predict([fitted.model], [val.pixels], PLAIN, "probabilities")
    assert metrics.score(table, val.labels)["macro_f1"] == pytest.approx(fitted.macro_f1, abs=1e-6)


def test_a_training_that_diverges_is_told(repo, toy_yaml):
    cfg = recipe(toy_yaml, epochs=2, lr=1e30)
    with pytest.raises(UserError, match=r"the training diverged.*lower train\.lr"):
        fit(cfg, side(32, 0), side(16, 1), seed=0, where=repo)


def test_an_epoch_without_finite_answers_never_wins(repo, toy_yaml, monkeypatch):
    """Answers that are no numbers are all the first class, here the right guess."""
    whole = Task.validation_step

    def broken(task: Task, batch: object, index: int) -> None:
        if task.current_epoch:
            with torch.no_grad():
                next(task.model.head.parameters()).fill_(torch.nan)
        whole(task, batch, index)

    monkeypatch.setattr(Task, "validation_step", broken)
    first = np.zeros(16, np.int64)
    val = replace(side(16, 1), labels=first, targets=first)
    fitted = fit(recipe(toy_yaml, epochs=3, lr=1e-6), side(32, 0), val, seed=0, where=repo)
    assert fitted.macro_f1 < 0.9
    assert fitted.epoch == 0
    assert np.isfinite(predict([fitted.model], [val.pixels], PLAIN, "probabilities")).all()


def test_processes_share_batch_statistics_and_keep_activations(toy_yaml):
    """Layers that normalise and activate in one lose the activation where plain ones take their place."""
    backbone = toy_yaml["train"]["backbone"] | {"name": "test_efficientnet"}
    model = Classifier(recipe(toy_yaml, backbone=backbone)).eval()
    photos = torch.from_numpy(side(4, 0).pixels)
    before = model.log_table(photos)
    after = synced(copy.deepcopy(model)).eval()
    assert any(isinstance(layer, torch.nn.SyncBatchNorm) for layer in after.modules())
    torch.testing.assert_close(after.log_table(photos), before)
    assert list(after.state_dict()) == list(model.state_dict())


def test_a_share_without_photos_is_refused(toy_yaml):
    cfg = recipe(toy_yaml, batch_size=8)
    with pytest.raises(UserError, match=r"train\.batch_size: 8 leaves some of 8 processes without a photo"):
        loaders(cfg, side(9, 0), None, seed=0, process=Process(0, 8))


def test_batches_of_one_step_are_mixed_each_in_its_way(repo, toy_yaml):
    mixed = {"kind": "mixup", "alpha": 1.0, "p": 1.0}
    cfg = recipe(toy_yaml, epochs=2, batch_size=8, accumulate=2, mixing=mixed)
    steps = []
    draw = mixing.Mixup.__call__

    def spy(self: mixing.Mixup, photos: torch.Tensor, targets: dict, step: int) -> object:
        steps.append(step)
        return draw(self, photos, targets, step)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mixing.Mixup, "__call__", spy)
        fit(cfg, side(32, 0), side(8, 1), seed=0, where=repo)
    assert steps == list(range(8))


def test_frequencies_are_those_of_what_the_sampler_draws(toy_yaml):
    head = {"kind": "joint", "dropout": DROPOUT}
    rare = side(40, 0)
    rare = replace(rare, repeats=np.where(rare.targets == 5, 1, 3))
    shuffled = recipe(toy_yaml, head=head)
    weighted = recipe(toy_yaml, sampler={"kind": "weighted", "power": 1.0})
    (plain,) = frequencies(shuffled, Classifier(shuffled), rare).values()
    (even,) = frequencies(weighted, Classifier(weighted), rare).values()
    assert plain[[0, 5, 10, 15]].tolist() == [30, 10, 30, 30]
    torch.testing.assert_close(even[[0, 5, 10, 15]], torch.full((4,), 25.0))


@pytest.mark.parametrize("freeze", [{"kind": "head_only"}, {"kind": "gradual", "every": 2}])
def test_frozen_layers_keep_their_batch_statistics(repo, toy_yaml, freeze):
    cfg = recipe(toy_yaml, epochs=2, freeze=freeze)
    before = Classifier(cfg).backbones.state_dict()
    after = fit(cfg, side(16, 0), side(8, 1), seed=1, where=repo).model.backbones.state_dict()
    means = [name for name in before if name.endswith("running_mean")]
    assert means
    assert all(not after[name].any() and not before[name].any() for name in means)


@pytest.mark.parametrize("self_training", [False, True])
def test_fine_ages_are_folded_back_to_the_bands_of_the_training_side(repo, toy_yaml, self_training):
    fine = {"kind": "bins", "edges": [25, 45, 58]}
    changes = {"head": {"kind": "three", "dropout": DROPOUT, "backbones": "one", "age": fine}}
    changes |= {"young_cut": 25, "age_cut": 58}
    if self_training:
        changes["unlabelled"] = {
            "kind": "self_training", "rounds": 1, "threshold": 0.0, "per_class": None
        }  # fmt: skip
    train = replace(side(16, 0), cuts=Cuts(25, 58))
    cfg = recipe(toy_yaml, **changes)
    fitted = fit(cfg, train, side(8, 1), seed=1, where=repo, unlabelled=side(4, 2).pixels)
    bands = fitted.model.head.age.log_bands(torch.eye(4) * 50).argmax(1)
    assert bands.tolist() == [0, 1, 1, 2]


def curves(repo: Path) -> tuple[pd.DataFrame, pd.DataFrame]:
    return pd.read_csv(repo / "curves/loss.csv"), pd.read_csv(repo / "curves/scores.csv")


def test_the_epoch_kept_is_the_best_of_those_on_the_curves(repo, toy_yaml):
    cfg = recipe(toy_yaml, epochs=6, lr=0.02, schedule={"kind": "cosine", "warmup_steps": 0, "min_lr": 0.02})
    fitted = fit(cfg, side(32, 0), side(16, 1), seed=3, where=repo)
    losses, scores = curves(repo)
    assert list(scores.columns) == ["epoch", "macro_f1", "accuracy", "lr"]
    assert scores["epoch"].tolist() == list(range(1, 7))
    assert fitted.macro_f1 == pytest.approx(scores["macro_f1"].max(), abs=1e-6)
    # The curves count from one, networks from nought.
    assert fitted.epoch + 1 == scores["epoch"][scores["macro_f1"].argmax()] > 1
    assert (scores["lr"] == 0.02).all()
    assert list(losses.columns) == ["epoch", "curve", "loss"]
    expected = [(epoch, curve) for epoch in range(1, 7) for curve in ("training", "validation")]
    assert list(zip(losses["epoch"], losses["curve"], strict=True)) == expected


def test_the_curves_tell_what_dvclive_tells_while_it_trains(repo, toy_yaml):
    fit(recipe(toy_yaml, epochs=3), side(16, 0), side(8, 1), seed=0, where=repo)
    losses, scores = curves(repo)
    tables = {
        "train/loss": losses["loss"][losses["curve"] == "training"],
        "val/loss": losses["loss"][losses["curve"] == "validation"],
        "val/macro_f1": scores["macro_f1"],
        "val/accuracy": scores["accuracy"],
        "train/lr": scores["lr"],
    }
    for name, found in tables.items():
        live = pd.read_csv(repo / f"live/plots/metrics/{name}.tsv", sep="\t").iloc[:, 1]
        np.testing.assert_allclose(found, live, rtol=1e-5, err_msg=name)


def test_an_older_training_s_curves_are_gone(repo, toy_yaml):
    for epochs in (3, 1):
        fit(recipe(toy_yaml, epochs=epochs), side(16, 0), side(8, 1), seed=0, where=repo)
    losses, scores = curves(repo)
    assert (len(losses), len(scores)) == (2, 1)


def test_a_training_that_breaks_off_leaves_the_curves_as_they_were(repo, toy_yaml, monkeypatch):
    fit(recipe(toy_yaml), side(16, 0), side(8, 1), seed=0, where=repo)
    before = {path.name: path.read_bytes() for path in (repo / "curves").iterdir()}
    assert set(before) == {"loss.csv", "scores.csv"}

    def broken(task: Task, batch: object, index: int) -> None:
        raise RuntimeError("no such thing")

    monkeypatch.setattr(Task, "validation_step", broken)
    with pytest.raises(RuntimeError, match="no such thing"):
        fit(recipe(toy_yaml, lr=0.1), side(16, 0), side(8, 1), seed=0, where=repo)
    assert before == {path.name: path.read_bytes() for path in (repo / "curves").iterdir()}


@pytest.fixture
def stepped(monkeypatch) -> list[float]:
    """The rates of all optimiser steps of a training."""
    seen: list[float] = []
    monkeypatch.setattr(
        Task, "on_before_optimizer_step", lambda task, optimizer: seen.append(optimizer.param_groups[0]["lr"])
    )
    return seen


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_schedule_moves_at_every_optimiser_step(repo, toy_yaml, stepped, accumulate):
    cosine = {"kind": "cosine", "warmup_steps": 2, "min_lr": 0.001}
    cfg = recipe(toy_yaml, epochs=3, lr=0.01, batch_size=8, accumulate=accumulate, schedule=cosine)
    fit(cfg, side(40, 0), side(16, 1), seed=0, where=repo)
    count = 3 * -(-5 // accumulate)
    falls = 0.001 + 0.0045 * (1 + np.cos(np.pi * np.arange(count - 2) / (count - 3)))
    assert stepped == pytest.approx([0.01 / 3, 0.02 / 3, *falls])


def test_a_plateau_goes_by_the_score_that_is_logged(repo, toy_yaml, stepped, monkeypatch):
    scores = iter([0.5, 0.4, 0.6, 0.6])
    monkeypatch.setattr(metrics, "macro_f1", lambda matrix: next(scores))
    plateau = {"kind": "plateau", "warmup_steps": 1, "patience": 0, "factor": 0.5, "min_lr": 0.002}
    cfg = recipe(toy_yaml, epochs=4, lr=0.01, batch_size=8, schedule=plateau)
    fit(cfg, side(16, 0), side(16, 1), seed=0, where=repo)
    assert stepped == pytest.approx([0.005, 0.01, 0.01, 0.01, 0.005, 0.005, 0.005, 0.005])


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"average": {"kind": "ema", "decay": 0.5}},
        {"optimiser": {"kind": "sgd", "weight_decay": 0.0, "momentum": 0.9, "nesterov": True}},
    ],
)
def test_the_same_seed_gives_the_same_weights(repo, toy_yaml, changes):
    cfg = recipe(toy_yaml, epochs=2, **changes)
    first, again = (
        fit(cfg, side(24, 0), side(8, 1), seed=1, where=repo).model.state_dict() for _ in range(2)
    )
    other = fit(cfg, side(24, 0), side(8, 1), seed=2, where=repo).model.state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.fixture(scope="module")
def usual() -> dict[str, dict[str, torch.Tensor]]:
    """Weights without any change, by how long they were trained."""
    return {}


@pytest.mark.parametrize(
    "changes",
    [
        {"head": {"kind": "joint", "dropout": DROPOUT}},
        {"head": {"kind": "arcface", "dropout": DROPOUT, "scale": 20.0, "margin": 0.3}},
        {"head": {"kind": "three", "dropout": {"p": 0.5, "samples": 1}, "backbones": "one", "age": BANDS}},
        {"head": {"kind": "three", "dropout": {"p": 0.1, "samples": 4}, "backbones": "one", "age": BANDS}},
        {"head": {"kind": "three", "dropout": DROPOUT, "backbones": "each", "age": BANDS}},
        {"head": {"kind": "three", "dropout": DROPOUT, "backbones": "one", "age": BINS}},
        {"head": {"kind": "three", "dropout": DROPOUT, "backbones": "one", "age": BINS | {"kind": "corn"}}},
        {"head": {"kind": "three", "dropout": DROPOUT, "backbones": "one", "age": DISTRIBUTION}},
        {"head": {"kind": "fused", "dropout": DROPOUT}},
        {
            "head": {"kind": "multilabel", "dropout": DROPOUT},
            "loss": {"kind": "multilabel_soft_margin"},
        },
        {"head": {"kind": "age_by_gender", "dropout": DROPOUT, "backbones": "one", "age": BANDS}},
        {"loss": {"kind": "focal", "gamma": 2.0}},
        {"loss": {"kind": "soft_f1", "eps": 1e-7}},
        {"loss": {"kind": "cross_entropy", "smoothing": 0.3}},
        {"loss": {"kind": "symmetric_cross_entropy", "alpha": 1.0, "beta": 1.0, "log_zero": -4.0}},
        {
            "loss": {
                "kind": "blend",
                "parts": [
                    {"weight": 0.4, "loss": {"kind": "soft_f1", "eps": 1e-7}},
                    {"weight": 0.6, "loss": {"kind": "focal", "gamma": 2.0}},
                ],
            }
        },
        {"class_weights": {"kind": "inverse", "power": 1.0}},
        {"class_weights": {"kind": "inverse_log"}},
        {"class_weights": {"kind": "effective", "beta": 0.9}},
        {"logit_adjustment": {"kind": "loss", "tau": 1.0}},
        {"optimiser": {"kind": "sgd", "weight_decay": 0.0, "momentum": 0.9, "nesterov": True}},
        {"optimiser": {"kind": "timm", "name": "lamb", "weight_decay": 0.01, "options": {}}},
        {"layer_decay": 0.5},
        {"schedule": {"kind": "constant", "warmup_steps": 0}},
        {"schedule": {"kind": "cosine", "warmup_steps": 2, "min_lr": 0.0}},
        {
            "schedule": {
                "kind": "cosine_restarts",
                "warmup_steps": 0,
                "period_epochs": 1.0,
                "multiply": 1.0,
                "min_lr": 0.0,
            }
        },
        {"schedule": {"kind": "step", "warmup_steps": 0, "every_epochs": 0.5, "factor": 0.5}},
        {"schedule": {"kind": "plateau", "warmup_steps": 5, "patience": 0, "factor": 0.1, "min_lr": 0.0}},
        {"accumulate": 2},
        {"clip": {"kind": "norm", "limit": 0.01}},
        {"clip": {"kind": "value", "limit": 0.0001}},
        {"clip": {"kind": "agc", "limit": 0.0001}},
        {"average": {"kind": "ema", "decay": 0.9}},
        {"average": {"kind": "swa", "start": 0.0}, "epochs": 3, "lr": 0.03},
        {"freeze": {"kind": "head_only"}},
        {"freeze": {"kind": "gradual", "every": 1}},
        {"augment": [{"name": "GridDropout", "p": 1.0}]},
        {"mixing": {"kind": "mixup", "alpha": 1.0, "p": 1.0}},
        {"mixing": {"kind": "cutmix", "alpha": 1.0, "p": 1.0}},
        {"sampler": {"kind": "weighted", "power": 1.0}},
        {"image": {"size": [32, 24], "background": "keep", "mean": [0.1] * 3, "std": [0.3] * 3}},
        {"batch_size": 4},
        {"refit": {"kind": "logistic", "c": 1.0, "smote": 3}},
        {"refit": {"kind": "logistic", "c": 1.0, "smote": None}},
    ],
    ids=name,
)
def test_every_knob_of_the_recipe_reaches_the_weights(repo, toy_yaml, usual, changes):
    # Class 0 is three times as frequent as the others, so that its weight and frequency matter.
    train = replace(side(24, 0), repeats=np.where(np.arange(24) % 4 == 0, 3, 1))

    def weights(**changes: object) -> dict[str, torch.Tensor]:
        cfg = recipe(copy.deepcopy(toy_yaml), **changes)
        return fit(cfg, train, side(8, 1), seed=1, where=repo).model.state_dict()

    length = {key: changes[key] for key in ("epochs", "lr") if key in changes}
    if str(length) not in usual:
        usual[str(length)] = weights(**length)
    before, after = usual[str(length)], weights(**changes)
    assert before.keys() != after.keys() or any(not torch.equal(before[name], after[name]) for name in before)


def test_patience_ends_a_training_that_stopped_improving(repo, toy_yaml):
    cfg = recipe(toy_yaml, epochs=12, lr=1e-12, patience=2)
    fit(cfg, side(16, 0), side(8, 1), seed=1, where=repo)
    losses, scores = curves(repo)
    assert len(scores) <= 4
    assert len(losses) == 2 * len(scores)


def test_validation_uses_official_labels_and_training_the_trainers(repo, toy_yaml):
    """Shifted training labels move what is learnt and not the yardstick."""
    train, val = side(64, 0), side(16, 1)
    shifted = replace(train, targets=(train.labels + 1) % 18)
    odd = replace(val, targets=(val.labels + 1) % 18)
    fitted = fit(recipe(toy_yaml, epochs=8, lr=0.01), shifted, odd, seed=0, where=repo)
    table = predict([fitted.model], [val.pixels], PLAIN, "probabilities")
    assert (
        metrics.score(table, (val.labels + 1) % 18)["macro_f1"] > metrics.score(table, val.labels)["macro_f1"]
    )
    assert fitted.macro_f1 == pytest.approx(metrics.score(table, val.labels)["macro_f1"], abs=1e-6)


def test_rows_with_no_repeats_never_reach_the_trainer(repo, toy_yaml, monkeypatch):
    counted: list[int] = []
    step = Task.training_step

    def spy(self, batch, index):
        counted.extend(batch.labels.tolist())
        return step(self, batch, index)

    monkeypatch.setattr(Task, "training_step", spy)
    train = side(24, 0)
    repeats = np.where(train.labels == 5, 0, np.where(train.labels == 10, 3, 1))
    fit(
        recipe(toy_yaml),
        replace(train, repeats=repeats),
        side(8, 1),
        seed=1,
        where=repo,
    )
    assert 5 not in counted
    assert counted.count(10) == 3 * counted.count(0)


def test_an_empty_side_is_told(repo, toy_yaml):
    empty = side(8, 0)
    empty = replace(empty, repeats=np.zeros(8, np.int64))
    with pytest.raises(UserError, match="training side"):
        fit(recipe(toy_yaml), empty, side(8, 1), seed=0, where=repo)


def test_live_metrics_are_strict_json(repo, toy_yaml):
    fit(recipe(toy_yaml), side(16, 0), side(8, 1), seed=0, where=repo)
    content = json.loads((repo / "live/metrics.json").read_text())
    assert 0 <= content["val"]["macro_f1"] <= 1
    assert content["train"]["loss"] > 0


def unlabelled(photos: int, seed: int) -> np.ndarray:
    return side(photos, seed).pixels


SELF_TRAINING = {"kind": "self_training", "rounds": 2, "threshold": 0.0, "per_class": None}
UDA = {"kind": "uda", "weight": 5.0, "ratio": 2, "temperature": 0.5, "threshold": 0.0}


def test_pseudo_labelled_photos_train_the_next_round(repo, toy_yaml, monkeypatch):
    sizes: list[int] = []
    start = Task.__init__

    def spy(self, recipe, model, train, **options):
        sizes.append(int(train.repeats.sum()))
        start(self, recipe, model, train, **options)

    monkeypatch.setattr(Task, "__init__", spy)
    cfg = recipe(toy_yaml, unlabelled=SELF_TRAINING)
    fitted = fit(cfg, side(16, 0), side(8, 1), seed=0, where=repo, unlabelled=unlabelled(12, 2))
    assert sizes == [16, 28, 28]
    # The curves are those of the last round, whose network is kept.
    losses, scores = curves(repo)
    assert (len(losses), len(scores)) == (2, 1)
    assert scores["macro_f1"][0] == pytest.approx(fitted.macro_f1, abs=1e-6)


def test_no_confident_photo_leaves_the_teacher(repo, toy_yaml):
    cfg = recipe(toy_yaml, unlabelled=SELF_TRAINING | {"threshold": 1.0})
    alone = fit(
        recipe(copy.deepcopy(toy_yaml), unlabelled={"kind": "none"}),
        side(16, 0),
        side(8, 1),
        seed=0,
        where=repo,
    )
    both = fit(cfg, side(16, 0), side(8, 1), seed=0, where=repo, unlabelled=unlabelled(12, 2))
    before, after = alone.model.state_dict(), both.model.state_dict()
    assert all(torch.equal(before[name], after[name]) for name in before)


@pytest.mark.parametrize("threshold", [0.0, 1.0])
def test_consistency_moves_the_weights_where_answers_are_confident(repo, toy_yaml, threshold):
    """Without a confident answer, unlabelled photos reach the running statistics only."""
    sides = side(16, 0), side(8, 1)
    toy_yaml["train"]["augment"] = [{"name": "GridDropout", "p": 1.0}]
    # Dropout would draw other numbers once there are more photos.
    toy_yaml["train"]["head"]["dropout"]["p"] = 0.0
    off = fit(recipe(toy_yaml), *sides, seed=0, where=repo).model
    cfg = recipe(toy_yaml, unlabelled=UDA | {"threshold": threshold})
    on = fit(cfg, *sides, seed=0, where=repo, unlabelled=unlabelled(12, 2)).model
    pairs = zip(off.parameters(), on.parameters(), strict=True)
    assert all(torch.allclose(a, b, atol=1e-7) for a, b in pairs) == (threshold == 1.0)


def test_unlabelled_photos_that_are_not_there_are_told(repo, toy_yaml):
    for pool in ("eval", "unlabelled"):
        cfg = recipe(copy.deepcopy(toy_yaml), unlabelled=SELF_TRAINING, pool=pool)
        with pytest.raises(UserError, match=rf"train\.pool is {pool}, but there are no such photos"):
            fit(cfg, side(16, 0), side(8, 1), seed=0, where=repo)


def test_the_finder_suggests_a_rate_at_which_the_loss_falls(repo, toy_yaml):
    found = rates.find(recipe(toy_yaml), side(64, 0), None, seed=0, steps=100)
    assert len(found.rates) == len(found.losses) <= 100
    assert all(a < b for a, b in itertools.pairwise(found.rates))
    assert found.rates[0] < found.suggestion < found.rates[int(np.argmin(found.losses))]
    assert min(found.losses) < 0.9 * found.losses[0]


@pytest.mark.parametrize("accumulate", [1, 2])
def test_the_finder_looks_at_the_losses_of_single_steps(repo, toy_yaml, monkeypatch, accumulate):
    given, seen = [], []
    step, look = Task.training_step, rates.steepest

    def training_step(task: Task, batch: object, index: int) -> torch.Tensor:
        loss = step(task, batch, index)
        given.append(loss.item())
        return loss

    monkeypatch.setattr(Task, "training_step", training_step)
    monkeypatch.setattr(rates, "steepest", lambda *curve: seen.extend(curve) or look(*curve))
    found = rates.find(recipe(toy_yaml, accumulate=accumulate), side(64, 0), None, seed=0, steps=40)
    assert seen[1] == pytest.approx(given[accumulate - 1 :: accumulate])
    assert len(found.losses) == len(seen[0])


def test_the_finder_knows_the_bands_of_the_training_side(repo, toy_yaml):
    """Without them there would be no band to fold these classes to."""
    fine = {"kind": "bins", "edges": [25, 45, 58]}
    head = {"kind": "three", "dropout": DROPOUT, "backbones": "one", "age": fine}
    cfg = recipe(toy_yaml, head=head, young_cut=25, age_cut=58)
    assert rates.find(cfg, replace(side(32, 0), cuts=Cuts(25, 58)), None, seed=0, steps=25).suggestion


def test_a_frozen_backbone_is_frozen_when_the_rate_is_looked_for(repo, toy_yaml, monkeypatch):
    seen = []

    def look(task: Task, optimizer: object) -> None:
        seen.append(any(weight.grad is not None for weight in task.model.backbones.parameters()))

    monkeypatch.setattr(Task, "on_before_optimizer_step", look)
    rates.find(recipe(toy_yaml, freeze={"kind": "head_only"}), side(32, 0), None, seed=0, steps=25)
    assert seen
    assert not any(seen)


def test_too_few_steps_to_find_a_rate_are_told(toy_yaml):
    with pytest.raises(UserError, match="19 steps are too few"):
        rates.find(recipe(toy_yaml), side(32, 0), None, seed=0, steps=19)
