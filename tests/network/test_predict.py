"""Prediction: tables are distributions, views and folds are really averaged, nothing depends on the batching."""

from __future__ import annotations

import contextlib

import numpy as np
import pytest
import torch

from facemask.network import predict as prediction
from facemask.network import tta
from facemask.network.classifier import Classifier
from facemask.network.predict import predict
from facemask.runtime import launch
from facemask.runtime.errors import UserError
from facemask.settings import loading, params, recipes

IDENTITY, FLIP = params.Identity(kind="identity"), params.Flip(kind="hflip")
VIEWS = (
    FLIP,
    *(
        params.Crop(kind="crop", keep=0.75, at=at, flip=flip)
        for at in ("centre", "top_left", "top_right", "bottom_left", "bottom_right")
        for flip in (False, True)
    ),
    *(
        params.Scale(kind="scale", factor=factor, flip=flip)
        for factor in (0.75, 1.5)
        for flip in (False, True)
    ),
)
AVERAGES = ("probabilities", "logits")


@pytest.fixture
def photos() -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (7, 32, 24, 3), dtype=np.uint8)


@pytest.fixture
def models(toy_params) -> list[Classifier]:
    recipe = launch.view(toy_params, recipes.Recipe)
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(Classifier(recipe).eval())
    return found


def logs(model: Classifier, photos: np.ndarray, view: params.View = IDENTITY) -> np.ndarray:
    with torch.inference_mode():
        return model.log_table(tta.view(torch.from_numpy(photos), view)).double().numpy()


@pytest.mark.parametrize("average", AVERAGES)
def test_rows_sum_to_one(models, photos, average):
    table = predict(models, [photos], [IDENTITY, *VIEWS], average)
    assert table.shape == (7, 18)
    np.testing.assert_allclose(table.sum(1), 1, atol=1e-12)


def test_probabilities_of_models_and_views_are_averaged(models, photos):
    expected = np.mean([np.exp(logs(m, photos, v)) for m in models for v in (IDENTITY, FLIP)], axis=0)
    found = predict(models, [photos], [IDENTITY, FLIP], "probabilities")
    np.testing.assert_allclose(found, expected, atol=1e-6)


def test_logits_are_averaged_over_views_and_probabilities_over_models(models, photos):
    parts = [np.exp((logs(m, photos) + logs(m, photos, FLIP)) / 2) for m in models]
    expected = np.mean([part / part.sum(1, keepdims=True) for part in parts], axis=0)
    found = predict(models, [photos], [IDENTITY, FLIP], "logits")
    np.testing.assert_allclose(found, expected, atol=1e-6)
    assert np.abs(found - predict(models, [photos], [IDENTITY, FLIP], "probabilities")).max() > 1e-6


def test_one_view_has_one_average(models, photos):
    one, other = (predict(models, [photos], [FLIP], average) for average in AVERAGES)
    np.testing.assert_allclose(one, other, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize("average", AVERAGES)
@pytest.mark.parametrize("view", VIEWS, ids=lambda v: "-".join(map(str, v.model_dump().values())))
def test_each_view_changes_the_answer_and_costs_its_forward_passes(models, photos, average, view):
    calls: list[int] = []
    for model in models:
        model.head.register_forward_pre_hook(lambda *_: calls.append(1))
    plain = predict(models, [photos[:4], photos[4:]], [IDENTITY], average)
    assert len(calls) == 4
    both = predict(models, [photos[:4], photos[4:]], [IDENTITY, view], average)
    assert len(calls) == 4 + 8
    assert np.abs(plain - both).max() > 1e-4


@pytest.mark.slow
@pytest.mark.parametrize("count", [1, 2])
@pytest.mark.parametrize("views", [[IDENTITY], [IDENTITY, FLIP], [IDENTITY, *VIEWS]], ids=len)
def test_forward_passes_are_models_times_views_times_chunks(models, photos, count, views):
    """Counted at the backbones, where the time goes."""
    calls: list[int] = []
    for model in models[:count]:
        for backbone in model.backbones.values():
            backbone.register_forward_pre_hook(lambda _, given: calls.append(len(given[0])))
    predict(models[:count], [photos[:3], photos[3:6], photos[6:]], views, "probabilities")
    assert len(calls) == count * len(views) * 3
    assert sum(calls) == count * len(views) * len(photos)


def test_flip_and_identity_answer_a_mirrored_photo_alike(models, photos):
    both = predict(models[:1], [photos], [IDENTITY, FLIP], "probabilities")
    mirrored = predict(models[:1], [photos[:, :, ::-1].copy()], [IDENTITY, FLIP], "probabilities")
    np.testing.assert_allclose(both, mirrored, atol=1e-6)


def test_chunks_do_not_change_the_answer(models, photos):
    whole = predict(models, [photos], [IDENTITY], "probabilities")
    parts = predict(models, [photos[:3], photos[3:4], photos[4:]], [IDENTITY], "probabilities")
    np.testing.assert_allclose(whole, parts, atol=1e-6)


def test_no_photos_give_an_empty_table(models):
    assert predict(models, [], [IDENTITY], "logits").shape == (0, 18)


def test_a_network_of_one_size_refuses_a_scaled_view_in_one_line(toy_yaml):
    photos = np.zeros((2, 32, 32, 3), np.uint8)
    model = vit(toy_yaml)
    predict([model], [photos], [IDENTITY, VIEWS[1]], "probabilities")
    view = params.Scale(kind="scale", factor=0.75, flip=False)
    with pytest.raises(
        UserError, match=r"infer\.views: this network.*scaled by 0\.75.*another factor"
    ) as caught:
        predict([model], [photos], [IDENTITY, view], "probabilities")
    assert "\n" not in str(caught.value)


def dtype(precision: prediction.Precision, device: str) -> torch.dtype | None:
    """The kind of number that a product has there; None where the asking changes nothing."""
    context = prediction._autocast(precision, torch.device(device))
    if isinstance(context, contextlib.nullcontext):
        return None
    assert context.device == device
    return context.fast_dtype


@pytest.mark.filterwarnings("ignore:.*CUDA is not available")
def test_precision_is_reduced_on_a_gpu_alone():
    assert [dtype(kind, "cuda") for kind in ("32", "bf16", "16")] == [None, torch.bfloat16, torch.float16]
    assert [dtype(kind, "cpu") for kind in ("32", "bf16", "16")] == [None, None, None]


@pytest.mark.parametrize("precision", ["32", "bf16", "16"])
def test_precision_reaches_the_network(models, photos, precision, monkeypatch):
    """The CPU plays the GPU: products are made in reduced numbers, probabilities and their mean are not."""
    usual = prediction._autocast

    def anywhere(asked, device):
        assert device.type == ("cuda" if torch.cuda.is_available() else "cpu")
        return (
            torch.autocast(device.type, dtype=prediction.REDUCED[asked])
            if asked != "32"
            else usual(asked, device)
        )

    monkeypatch.setattr(prediction, "_autocast", anywhere)
    seen: set[torch.dtype] = set()
    for model in models:
        for backbone in model.backbones.values():
            backbone.register_forward_hook(lambda _, __, made: seen.add(made.dtype))
    found = predict(models, [photos], [IDENTITY, FLIP], "probabilities", precision=precision)
    assert seen == {{"32": torch.float32, "bf16": torch.bfloat16, "16": torch.float16}[precision]}
    full = predict(models, [photos], [IDENTITY, FLIP], "probabilities")
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-12)
    np.testing.assert_allclose(found, full, atol=0.02)
    assert (np.abs(found - full).max() > 0) == (precision != "32")


def vit(toy_yaml) -> Classifier:
    toy_yaml["train"]["image"]["size"] = [32, 32]
    toy_yaml["train"]["backbone"]["name"] = "test_vit"
    toy_yaml["train"]["channels_last"] = False
    return Classifier(launch.view(loading.parse(toy_yaml, "toy"), recipes.Recipe)).eval()


@pytest.mark.slow
def test_compiled_networks_answer_alike(toy_yaml):
    model = vit(toy_yaml)
    photos = np.random.default_rng(0).integers(0, 256, (4, 32, 32, 3), dtype=np.uint8)
    eager = predict([model], [photos], [IDENTITY, FLIP], "probabilities")
    graphs = torch._dynamo.utils.counters["stats"]["unique_graphs"]
    try:
        compiled = predict([model], [photos], [IDENTITY, FLIP], "probabilities", compiled=True)
    except UserError as error:
        pytest.skip(str(error))
    assert torch._dynamo.utils.counters["stats"]["unique_graphs"] == graphs + 1
    np.testing.assert_allclose(compiled, eager, atol=1e-5)


@pytest.mark.slow
def test_a_machine_without_a_compiler_is_told_in_one_line(toy_yaml, monkeypatch):
    def refuses(*_):
        raise RuntimeError("InvalidCxxCompiler: No working C++ compiler found")

    compiler = torch.compile
    monkeypatch.setattr(torch, "compile", lambda function: compiler(function, backend=refuses))
    photos = np.zeros((2, 32, 32, 3), np.uint8)
    with pytest.raises(
        UserError, match=r"infer\.compile:.*No working C\+\+.*infer\.compile to false"
    ) as caught:
        predict([vit(toy_yaml)], [photos], [IDENTITY], "probabilities", compiled=True)
    assert "\n" not in str(caught.value)
