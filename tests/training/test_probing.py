"""Probes: they find what was planted, are networks like others, and pay for each photo's features once."""

from __future__ import annotations

import copy
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.linear_model import LogisticRegression, Ridge

from facemask.network import ages, checkpoints
from facemask.network.classifier import Classifier
from facemask.network.predict import predict
from facemask.records.bands import Cuts
from facemask.runtime.errors import UserError
from facemask.scoring import metrics
from facemask.settings import loading, params, recipes
from facemask.training import features, probing, validation
from facemask.training.batches import Side
from facemask.training.fit import fit

C = {"mask": 1.0, "gender": 1.0, "age": 1.0}
LOGISTIC = {"kind": "logistic", "c": C, "mirrored": False, "people": False}
RIDGE = {**LOGISTIC, "kind": "ridge", "alpha": 1.0, "sigma": 4.0}
HEADS = {
    "logistic": {"kind": "bands"},
    "ridge": {"kind": "distribution", "ages": [10, 80], "sigma": 3.0},
}
VIEWS = [params.Identity(kind="identity"), params.Flip(kind="hflip")]


@pytest.fixture(autouse=True)
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    monkeypatch.delenv("FACEMASK_MEMO", raising=False)


def recipe(toy_yaml, probe=LOGISTIC, **changes) -> recipes.Recipe:
    content = copy.deepcopy(toy_yaml)
    age = HEADS.get(probe["kind"], HEADS["logistic"])
    head = {"kind": "three", "dropout": {"p": 0.1, "samples": 1}, "backbones": "one", "age": age}
    content["train"] |= {"head": head, "probe": probe} | changes
    whole = loading.parse(content, "test").train
    return recipes.Recipe.model_validate({key: getattr(whole, key) for key in recipes.Recipe.model_fields})


def side(count: int, seed: int, size: tuple[int, int] = (32, 24)) -> Side:
    """Photos whose colours tell mask (red), gender (green) and age (blue), each of some person's three."""
    rng = np.random.default_rng(seed)
    mask, gender = rng.integers(0, 3, count), rng.integers(0, 2, count)
    years = rng.integers(18, 70, count)
    pixels = rng.integers(0, 20, (count, *size, 3), dtype=np.uint8)
    pixels += np.stack([mask * 90, gender * 180, (years - 18) * 4], 1).astype(np.uint8)[:, None, None]
    band = np.digitize(years, [30, 60])
    labels = mask * 6 + gender * 3 + band
    people = np.arange(count) // 3
    # As those out of a table are.
    for column in (labels, years):
        column.flags.writeable = False
    return Side(pixels, labels, years, labels, np.ones(count, np.int64), cuts=Cuts(30, 60), people=people)


@pytest.mark.slow
@pytest.mark.parametrize("probe", [LOGISTIC, RIDGE], ids=lambda probe: probe["kind"])
def test_a_planted_truth_is_found_on_new_photos(toy_yaml, probe, tmp_path) -> None:
    cfg, train, val = recipe(toy_yaml, probe), side(240, 0), side(90, 1)
    fitted = fit(cfg, train, val, seed=0, curves=tmp_path / "curves", live=tmp_path / "live")
    assert fitted is not None
    table = validation.answers(cfg, fitted.model, [val.pixels])
    found = metrics.score(table, val.labels)
    assert found["macro_f1"] == pytest.approx(fitted.macro_f1)
    assert found["mask_f1"] > 0.9 and found["gender_f1"] > 0.9 and found["age_f1"] > 0.75
    scores = pd.read_csv(tmp_path / "curves" / "scores.csv")
    assert scores["macro_f1"].tolist() == [pytest.approx(fitted.macro_f1, abs=1e-5)]


@pytest.mark.parametrize("probe", [LOGISTIC, RIDGE], ids=lambda probe: probe["kind"])
def test_a_probe_is_a_network_like_another(toy_yaml, probe, tmp_path) -> None:
    cfg, train, val = recipe(toy_yaml, probe), side(60, 0), side(20, 1)
    model, _ = probing.train(cfg, cfg.probe, train, val, seed=0, curves=tmp_path / "curves")
    checkpoints.save(tmp_path / "fold0", checkpoints.Checkpoint(model, cfg, np.full(18, 1 / 18)), {})
    again = checkpoints.load(tmp_path / "fold0").model
    kept = validation.answers(cfg, model, [val.pixels[:7], val.pixels[7:]])
    assert np.allclose(kept, predict([again], [val.pixels], VIEWS[:1], "probabilities"), atol=1e-5)
    assert np.allclose(kept.sum(1), 1)


def test_weights_are_scikit_learn_s(toy_yaml) -> None:
    rng = np.random.default_rng(3)
    found, labels, years = rng.normal(2, 3, (80, 5)), rng.integers(0, 3, 80), rng.integers(20, 70, 80)
    labels[labels == 1] = 2
    repeats = rng.integers(1, 4, 80)
    rows = probing.Rows.of(found, repeats, labels, years)
    linear = probing.logistic(0.3, rows, labels, 3, "mask")
    logits = found @ linear.weight.T + linear.bias
    odds = np.exp(logits - logits.max(1, keepdims=True))
    told = LogisticRegression(C=0.3, max_iter=1000).fit(rows.values, labels, sample_weight=repeats)
    assert np.allclose(
        (odds / odds.sum(1, keepdims=True))[:, [0, 2]], told.predict_proba(rows.values), atol=1e-6
    )
    # A class that nobody has is next to impossible.
    assert (odds / odds.sum(1, keepdims=True))[:, 1].max() < 1e-6
    with pytest.raises(UserError, match="one class of gender alone"):
        probing.logistic(1.0, rows, np.zeros(80, np.int64), 2, "gender")


def test_ridge_gives_a_normal_distribution_around_its_answer() -> None:
    rng = np.random.default_rng(4)
    found, years = rng.normal(1, 2, (50, 4)), rng.integers(20, 70, 50)
    rows = probing.Rows.of(found, np.ones(50), years, years)
    probe = recipes.ProbeRidge.model_validate({**RIDGE, "alpha": 3.0, "sigma": 5.0})
    age = ages.Distribution(10, 80, Cuts(30, 58), 3.0)
    linear = probing.ridge(probe, rows, age)
    logits = torch.from_numpy(found @ linear.weight.T + linear.bias)
    mu = Ridge(alpha=3.0).fit(rows.values, years).predict(rows.values)
    density = np.exp(-((np.arange(10, 81) - mu[:, None]) ** 2) / 50)
    assert np.allclose(logits.softmax(1), density / density.sum(1, keepdims=True), atol=1e-8)


def test_features_are_paid_for_once_and_the_memo_changes_nothing(toy_yaml, monkeypatch) -> None:
    cfg = recipe(toy_yaml)
    torch.manual_seed(0)
    model = Classifier(cfg).eval()
    shown = 0
    plain = Classifier.features

    def counted(self: Classifier, photos: torch.Tensor) -> dict[str, torch.Tensor]:
        nonlocal shown
        shown += 1
        return plain(self, photos)

    monkeypatch.setattr(Classifier, "features", counted)
    pixels = side(40, 0).pixels
    first = features.of(model, pixels, label="f")
    assert shown == 3
    # Other neighbours, another order: the same numbers, and nothing is computed.
    assert np.array_equal(features.of(model, pixels[::-1], label="f"), first[::-1]) and shown == 3
    monkeypatch.setenv("FACEMASK_MEMO", "0")
    assert np.array_equal(features.of(model, pixels[5:9], label="f"), first[5:9]) and shown == 4
    monkeypatch.delenv("FACEMASK_MEMO")
    # Other weights, other normalisation, other pixels: nothing old is taken.
    with torch.no_grad():
        next(model.backbones.parameters()).add_(0.1)
    assert not np.array_equal(features.of(model, pixels[:1], label="f"), first[:1]) and shown == 5
    model.mean.add_(0.1)
    features.of(model, pixels[:1], label="f")
    features.of(model, pixels[:1] + 1, label="f")
    assert shown == 7
    # The head does not reach them.
    with torch.no_grad():
        for weight in model.head.parameters():
            weight.add_(1.0)
    features.of(model, pixels[:1], label="f")
    assert shown == 7


@pytest.mark.slow
def test_mirrored_probes_see_both_sides_alike(toy_yaml) -> None:
    """What is learnt from a photo and from its mirror image is then the same."""
    for mirrored in (True, False):
        cfg = recipe(toy_yaml, {**LOGISTIC, "mirrored": mirrored})
        models = []
        for pixels in (side(60, 0).pixels, side(60, 0).pixels[:, :, ::-1]):
            torch.manual_seed(0)
            model = Classifier(cfg).eval()
            given = side(60, 0)
            probing.fit(
                cfg.probe, model, Side(pixels, given.targets, given.ages, given.labels, given.repeats)
            )
            models.append(model.head.linears["gender"].weight.detach())
        assert torch.allclose(*models, atol=1e-5) == mirrored


def test_pooled_people_teach_gender_and_age_and_never_masks(toy_yaml) -> None:
    weights = {}
    for people in (True, False):
        cfg = recipe(toy_yaml, {**LOGISTIC, "people": people})
        torch.manual_seed(0)
        model = Classifier(cfg).eval()
        probing.fit(cfg.probe, model, side(60, 0))
        weights[people] = {name: linear.weight.detach() for name, linear in model.head.linears.items()}
    assert torch.equal(weights[True]["mask"], weights[False]["mask"])
    for name in ("gender", "age"):
        assert not torch.allclose(weights[True][name], weights[False][name], atol=1e-4)


def test_folds_that_share_a_backbone_answer_as_each_alone(toy_yaml, monkeypatch) -> None:
    cfg = recipe(toy_yaml)
    models = []
    for seed in (0, 1):
        torch.manual_seed(0)
        model = Classifier(cfg).eval()
        probing.fit(cfg.probe, model, side(60, seed))
        models.append(model)
    photos = side(10, 5).pixels
    alone = [predict([model], [photos], VIEWS, "logits") for model in models]
    calls = 0
    plain = Classifier.features

    def counted(self: Classifier, shown: torch.Tensor) -> dict[str, torch.Tensor]:
        nonlocal calls
        calls += 1
        return plain(self, shown)

    monkeypatch.setattr(Classifier, "features", counted)
    assert np.allclose(predict(models, [photos], VIEWS, "logits"), np.mean(alone, axis=0), atol=1e-6)
    assert calls == 2, "one for each view"
    with torch.no_grad():
        next(models[1].backbones.parameters()).add_(0.5)
    assert not np.allclose(predict(models, [photos], VIEWS, "logits"), np.mean(alone, axis=0), atol=1e-6)
    assert calls == 6


@pytest.mark.parametrize(
    ("probe", "changes", "told"),
    [
        (LOGISTIC, {"head": {"kind": "joint", "dropout": {"p": 0.1, "samples": 1}}}, "needs head three"),
        (
            {**RIDGE, "kind": "ridge"},
            {"refit": {"kind": "logistic", "c": 1.0, "smote": None}},
            "takes the place of refit",
        ),
    ],
)
def test_what_cannot_be_probed_is_refused(toy_yaml, probe, changes, told) -> None:
    with pytest.raises(UserError, match=told):
        recipe(toy_yaml, probe, **changes)
    with pytest.raises(UserError, match="age distribution"):
        recipe(
            toy_yaml,
            RIDGE,
            head={
                "kind": "three",
                "dropout": {"p": 0.1, "samples": 1},
                "backbones": "one",
                "age": {"kind": "bands"},
            },
        )
