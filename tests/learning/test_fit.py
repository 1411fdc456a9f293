"""Training one fold: it learns, chooses by the reported metric, and repeats to the byte."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pytest
import torch
from dvc.repo import Repo

from facemask import launch, loading, params
from facemask.errors import UserError
from facemask.inference.predict import predict
from facemask.learning.fit import Fitted, Side
from facemask.learning.fit import fit as fit_or_none
from facemask.learning.task import Task
from facemask.scoring import metrics


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


def fit(*arguments: object, **options: object) -> Fitted:
    fitted = fit_or_none(*arguments, **options)
    assert fitted is not None
    return fitted


def recipe(toy_yaml: dict, **changes: object) -> params.Recipe:
    toy_yaml["train"] |= changes
    return launch.view(loading.parse(toy_yaml, "toy"), params.Recipe)


def side(photos: int, seed: int) -> Side:
    """Photos whose colour tells the class, four classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(photos) % 4 * 5
    pixels = (
        rng.integers(0, 60, (photos, 32, 24, 3))
        + np.stack([labels * 10, 150 - labels * 10, labels * 0], 1)[:, None, None]
    )
    return Side(pixels.astype(np.uint8), labels, labels, np.ones(photos, np.int64))


@pytest.mark.parametrize("ema", [0.0, 0.7])
def test_a_fold_learns_what_can_be_learnt(repo, toy_yaml, ema):
    """And the weights that are kept are those that were scored, averaged ones too."""
    cfg = recipe(toy_yaml, epochs=8, lr=0.01, ema=ema)
    val = side(16, 1)
    fitted = fit(cfg, side(64, 0), val, seed=0, live=repo / "live")
    assert fitted.macro_f1 > 0.9
    table = predict([fitted.model], [val.pixels], ["identity"])
    assert metrics.score(table, val.labels)["macro_f1"] == pytest.approx(fitted.macro_f1, abs=1e-6)


def test_the_epoch_kept_is_the_best_of_those_logged(repo, toy_yaml):
    cfg = recipe(toy_yaml, epochs=6, lr=0.02, schedule={"kind": "cosine", "warmup_steps": 0, "min_lr": 0.02})
    fitted = fit(cfg, side(32, 0), side(16, 1), seed=3, live=repo / "live")
    lines = (repo / "live/plots/metrics/val/macro_f1.tsv").read_text().splitlines()[1:]
    logged = [float(line.split("\t")[1]) for line in lines]
    assert len(logged) == 6
    assert fitted.macro_f1 == pytest.approx(max(logged), abs=1e-6)
    assert fitted.epoch == int(np.argmax(logged))


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"ema": 0.5},
        {"optimiser": {"kind": "sgd", "weight_decay": 0.0, "momentum": 0.9, "nesterov": True}},
    ],
)
def test_the_same_seed_gives_the_same_weights(repo, toy_yaml, changes):
    cfg = recipe(toy_yaml, epochs=2, **changes)
    first, again = (
        fit(cfg, side(24, 0), side(8, 1), seed=1, live=repo / "live").model.state_dict() for _ in range(2)
    )
    other = fit(cfg, side(24, 0), side(8, 1), seed=2, live=repo / "live").model.state_dict()
    assert all(torch.equal(first[name], again[name]) for name in first)
    assert any(not torch.equal(first[name], other[name]) for name in first)


@pytest.mark.parametrize(
    "changes",
    [
        {"head": {"kind": "joint", "dropout": 0.1}},
        {"loss": {"kind": "focal", "gamma": 2.0}},
        {"loss": {"kind": "soft_f1", "eps": 1e-7}},
        {"loss": {"kind": "cross_entropy", "smoothing": 0.3}},
        {"optimiser": {"kind": "sgd", "weight_decay": 0.0, "momentum": 0.9, "nesterov": True}},
        {"schedule": {"kind": "cosine", "warmup_steps": 2, "min_lr": 0.0}},
        {"ema": 0.9},
        {"augment": [{"name": "GridDropout", "p": 1.0}]},
        {"image": {"size": [32, 24], "background": "keep", "mean": [0.1] * 3, "std": [0.3] * 3}},
        {"batch_size": 4},
    ],
    ids=lambda changes: "-".join(changes),
)
def test_every_knob_of_the_recipe_reaches_the_weights(repo, toy_yaml, changes):
    usual = recipe(toy_yaml)
    before = fit(usual, side(24, 0), side(8, 1), seed=1, live=repo / "live").model.state_dict()
    after = fit(
        recipe(toy_yaml, **changes), side(24, 0), side(8, 1), seed=1, live=repo / "live"
    ).model.state_dict()
    assert before.keys() != after.keys() or any(not torch.equal(before[name], after[name]) for name in before)


def test_patience_ends_a_training_that_stopped_improving(repo, toy_yaml):
    cfg = recipe(toy_yaml, epochs=12, lr=1e-12, patience=2)
    fit(cfg, side(16, 0), side(8, 1), seed=1, live=repo / "live")
    lines = (repo / "live/plots/metrics/val/macro_f1.tsv").read_text().splitlines()[1:]
    assert len(lines) <= 4


def test_the_schedule_moves_at_every_optimiser_step(repo, toy_yaml, monkeypatch):
    """A schedule that is stepped once an epoch leaves the rate where it began."""
    seen: list[float] = []
    step = Task.training_step

    def spy(self, batch, index):
        seen.append(self.trainer.optimizers[0].param_groups[0]["lr"])
        return step(self, batch, index)

    monkeypatch.setattr(Task, "training_step", spy)
    cfg = recipe(toy_yaml, epochs=3, lr=0.1, schedule={"kind": "cosine", "warmup_steps": 0, "min_lr": 0.0})
    fit(cfg, side(32, 0), side(8, 1), seed=1, live=repo / "live")
    steps = 3 * 4
    expected = [0.05 * (1 + np.cos(np.pi * k / (steps - 1))) for k in range(steps)]
    assert seen == pytest.approx(expected, abs=1e-9)


def test_validation_uses_official_labels_and_training_the_trainers(repo, toy_yaml):
    """Shifted training labels move what is learnt and not the yardstick."""
    train, val = side(64, 0), side(16, 1)
    shifted = Side(train.pixels, (train.labels + 1) % 18, train.labels, train.repeats)
    odd = Side(val.pixels, (val.labels + 1) % 18, val.labels, val.repeats)
    fitted = fit(recipe(toy_yaml, epochs=8, lr=0.01), shifted, odd, seed=0, live=repo / "live")
    table = predict([fitted.model], [val.pixels], ["identity"])
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
        Side(train.pixels, train.labels, train.labels, repeats),
        side(8, 1),
        seed=1,
        live=repo / "live",
    )
    assert 5 not in counted
    assert counted.count(10) == 3 * counted.count(0)


def test_an_empty_side_is_told(repo, toy_yaml):
    empty = side(8, 0)
    empty = Side(empty.pixels, empty.labels, empty.labels, np.zeros(8, np.int64))
    with pytest.raises(UserError, match="training side"):
        fit(recipe(toy_yaml), empty, side(8, 1), seed=0, live=repo / "live")


def test_live_metrics_are_strict_json(repo, toy_yaml):
    fit(recipe(toy_yaml), side(16, 0), side(8, 1), seed=0, live=repo / "live")
    content = json.loads((repo / "live/metrics.json").read_text())
    assert 0 <= content["val"]["macro_f1"] <= 1
    assert content["train"]["loss"] > 0
