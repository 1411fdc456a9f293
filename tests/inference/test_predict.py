"""Prediction: tables are distributions, views and folds are really averaged, nothing depends on the batching."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facemask import launch, params
from facemask.inference import tta
from facemask.inference.predict import predict
from facemask.learning.classifier import Classifier


@pytest.fixture
def photos() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 32, 24, 3), dtype=np.uint8)


@pytest.fixture
def models(toy_params) -> list[Classifier]:
    recipe = launch.view(toy_params, params.Recipe)
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(Classifier(recipe).eval())
    return found


def one(model: Classifier, photos: np.ndarray) -> np.ndarray:
    with torch.inference_mode():
        return model.log_table(torch.from_numpy(photos)).exp().numpy()


def test_rows_sum_to_one(models, photos):
    table = predict(models, [photos], ["identity", "hflip"])
    assert table.shape == (7, 18)
    np.testing.assert_allclose(table.sum(1), 1, atol=1e-12)


def test_models_and_views_are_averaged(models, photos):
    expected = np.mean([one(m, p) for m in models for p in (photos, photos[:, :, ::-1].copy())], axis=0)
    np.testing.assert_allclose(predict(models, [photos], ["identity", "hflip"]), expected, atol=1e-6)


def test_each_view_changes_the_answer(models, photos):
    plain = predict(models[:1], [photos], ["identity"])
    both = predict(models[:1], [photos], ["identity", "hflip"])
    assert np.abs(plain - both).max() > 1e-4
    mirrored = predict(models[:1], [photos[:, :, ::-1].copy()], ["identity", "hflip"])
    np.testing.assert_allclose(both, mirrored, atol=1e-6)


def test_chunks_do_not_change_the_answer(models, photos):
    whole = predict(models, [photos], ["identity"])
    parts = predict(models, [photos[:3], photos[3:4], photos[4:]], ["identity"])
    np.testing.assert_allclose(whole, parts, atol=1e-6)


def test_no_photos_give_an_empty_table(models):
    assert predict(models, [], ["identity"]).shape == (0, 18)


def test_unknown_view_is_refused():
    with pytest.raises(ValueError, match="hflip"):
        tta.view(torch.zeros(1, 2, 2, 3), "vflip")


def test_hflip_mirrors_left_to_right_and_nothing_else(photos):
    flipped = tta.view(torch.from_numpy(photos), "hflip").numpy()
    assert np.array_equal(flipped, photos[:, :, ::-1])
    assert np.array_equal(tta.view(torch.from_numpy(photos), "identity").numpy(), photos)
