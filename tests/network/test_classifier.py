"""Classifier: bytes in, a table out; as many backbones as the head wants, and a head that can be refitted."""

from __future__ import annotations

import copy
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from facemask.network import backbones
from facemask.network.classifier import Classifier
from facemask.settings import params, recipes

AGE = {"kind": "bands"}
DROPOUT = {"p": 0.2, "samples": 2}
SHARED = {"kind": "three", "backbones": "one", "age": AGE, "dropout": DROPOUT}
EACH = {"kind": "age_by_gender", "backbones": "each", "age": AGE, "dropout": DROPOUT}
FUSED = {"kind": "fused", "dropout": DROPOUT}
SIZE = (32, 24)


class Convolution(nn.Module):
    """A network of one convolution that remembers what it was given."""

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Conv2d(3, 5, 3)
        self.seen: list[Tensor] = []

    def forward(self, photos: Tensor) -> Tensor:
        self.seen.append(photos)
        return self.layer(photos).mean((2, 3))


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every backbone is one convolution."""
    monkeypatch.setattr(backbones, "build", lambda cfg, size, pretrained: Convolution())


def recipe(toy_params: params.Params, head: dict[str, Any]) -> recipes.Recipe:
    train = toy_params.train.model_dump()
    names = recipes.Recipe.model_fields
    return recipes.Recipe.model_validate({name: train[name] for name in names} | {"head": head})


def photos(count: int = 4) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    return torch.randint(0, 256, (count, *SIZE, 3), dtype=torch.uint8, generator=generator)


@pytest.mark.parametrize("head", [SHARED, EACH, FUSED], ids=lambda head: head["kind"])
def test_photos_become_a_table(toy_params, head):
    model = Classifier(recipe(toy_params, head)).eval()
    table = model.log_table(photos()).exp()
    assert table.shape == (4, 18)
    torch.testing.assert_close(table.sum(1), torch.ones(4))


@pytest.mark.parametrize(
    ("head", "branches"),
    [
        (SHARED, ["all"]),
        (SHARED | {"backbones": "each"}, ["mask", "gender", "age"]),
        (EACH, ["mask", "gender", "age_male", "age_female"]),
        (EACH | {"backbones": "one"}, ["all"]),
        (FUSED, ["mask", "gender", "age"]),
    ],
)
@pytest.mark.usefixtures("small")
def test_every_branch_has_a_backbone_that_sees_a_batch_once(toy_params, head, branches):
    model = Classifier(recipe(toy_params, head))
    assert list(model.backbones) == branches
    for backbone in model.backbones.values():
        backbone.seen.clear()
    model(photos())
    assert [len(backbone.seen) for backbone in model.backbones.values()] == [1] * len(branches)


def test_every_branch_starts_and_learns_on_its_own(toy_params):
    model = Classifier(recipe(toy_params, FUSED))
    starts = [backbone.state_dict() for backbone in model.backbones.values()]
    name = next(key for key, value in starts[0].items() if value.ndim == 4)
    assert not torch.equal(starts[0][name], starts[1][name])
    assert not torch.equal(starts[1][name], starts[2][name])
    model.head(model.features(photos()))["class"].square().sum().backward()
    assert all(weight.grad is not None for weight in model.parameters())
    before = copy.deepcopy(starts[1][name])
    with torch.no_grad():
        model.backbones["mask"].get_parameter(name).zero_()
    assert torch.equal(model.backbones["gender"].get_parameter(name), before)


@pytest.mark.usefixtures("small")
def test_bytes_are_normalised_by_the_recipe_and_stay_channels_last(toy_params):
    """A convolution in that layout would otherwise turn every batch around."""
    cfg = recipe(toy_params, SHARED).model_copy(update={"channels_last": True})
    model = Classifier(cfg)
    given = photos()
    model(given)
    seen = model.backbones["all"].seen[-1]
    assert seen.is_contiguous(memory_format=torch.channels_last)
    expected = (given.double() / 255 - torch.tensor(cfg.image.mean)) / torch.tensor(cfg.image.std)
    torch.testing.assert_close(seen.permute(0, 2, 3, 1).double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.usefixtures("small")
def test_photos_take_the_other_layout_where_it_is_wanted(toy_params):
    """Networks keep the layout of what they are given, whatever that of their weights."""
    cfg = recipe(toy_params, SHARED).model_copy(update={"channels_last": False})
    model = Classifier(cfg)
    model(photos())
    assert model.backbones["all"].seen[-1].is_contiguous()


def test_floats_mean_the_same_as_bytes_and_are_left_alone(toy_params):
    """Mixed photos are floats, and the trainer may still want them."""
    model = Classifier(recipe(toy_params, SHARED)).eval()
    mixed = photos().float()
    before = mixed.clone()
    assert torch.equal(model.log_table(mixed), model.log_table(photos()))
    assert torch.equal(mixed, before)


def test_the_memory_layout_does_not_change_the_answer(toy_params):
    model = Classifier(recipe(toy_params, SHARED)).eval()
    plain = model.log_table(photos())
    torch.testing.assert_close(
        model.to(memory_format=torch.channels_last).log_table(photos()), plain, atol=1e-5, rtol=1e-4
    )


@pytest.mark.slow
def test_facenet_takes_channels_last_photos(toy_params):
    cfg = recipe(toy_params, SHARED)
    backbone = recipes.FaceNet(kind="facenet", weights=recipes.Scratch(kind="scratch"))
    image = cfg.image.model_copy(update={"size": (96, 80)})
    model = Classifier(cfg.model_copy(update={"backbone": backbone, "image": image})).eval()
    given = torch.randint(0, 256, (2, 96, 80, 3), dtype=torch.uint8)
    with torch.inference_mode():
        plain = model.log_table(given)
        turned = model.to(memory_format=torch.channels_last).log_table(given)
    torch.testing.assert_close(turned, plain, atol=1e-4, rtol=1e-3)


@pytest.mark.parametrize("head", [SHARED, EACH, FUSED], ids=lambda head: head["kind"])
def test_a_refitted_head_is_linear_in_the_features_of_all_branches(toy_params, head):
    model = Classifier(recipe(toy_params, head))
    model.eval()
    features = torch.cat(list(model.features(photos()).values()), 1)
    weight, bias = torch.randn(18, features.shape[1]), torch.randn(18)
    model.refit(weight, bias)
    expected = torch.log_softmax(features @ weight.T + bias, 1)
    torch.testing.assert_close(model.log_table(photos()), expected)
    # Neither dropout nor its repetitions are left.
    assert model.head.samples == 1
    drawn = model.head.train()(model.features(photos()))["class"]
    torch.testing.assert_close(torch.log_softmax(drawn, 1), expected)


@pytest.mark.parametrize("head", [SHARED, EACH, FUSED], ids=lambda head: head["kind"])
def test_a_refitted_network_is_loaded_like_another(toy_params, head):
    cfg = recipe(toy_params, head)
    model = Classifier(cfg).eval()
    width = sum(part.shape[1] for part in model.features(photos()).values())
    model.refit(torch.randn(18, width), torch.randn(18))
    twin = Classifier(cfg, pretrained=False, refitted=True).eval()
    twin.load_state_dict(model.state_dict())
    assert torch.equal(twin.log_table(photos()), model.log_table(photos()))


def test_a_refit_for_other_features_is_refused(toy_params):
    model = Classifier(recipe(toy_params, FUSED))
    with pytest.raises(ValueError, match="do not fit"):
        model.refit(torch.zeros(18, 100), torch.zeros(18))
    with pytest.raises(ValueError, match="do not fit"):
        model.refit(torch.zeros(3, 96), torch.zeros(3))
