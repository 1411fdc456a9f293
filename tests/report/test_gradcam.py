"""Grad-CAM: it points at what the answer comes from, in convolutional networks and in transformers."""

import numpy as np
import pytest
import torch
from torch import nn

from facemask.network.classifier import Classifier
from facemask.report import gradcam
from facemask.runtime import launch
from facemask.settings import loading, recipes

SWIN = {"embed_dim": 24}


def classifier(toy_yaml, name, size, backbones="one", options=None):
    toy_yaml["train"]["image"]["size"] = size
    toy_yaml["train"]["backbone"] |= {"name": name, "options": options or {}}
    toy_yaml["train"]["head"]["backbones"] = backbones
    torch.manual_seed(0)
    recipe = launch.view(loading.parse(toy_yaml, "toy"), recipes.Recipe)
    return Classifier(recipe, pretrained=False).eval()


class Bright(nn.Module):
    """Pools what is bright: its one feature map is the photo itself, at an eighth of its size."""

    def __init__(self):
        super().__init__()
        self.map = nn.Conv2d(3, 1, 8, stride=8)
        nn.init.constant_(self.map.weight, 1 / 192)
        nn.init.constant_(self.map.bias, 2.0)

    def forward(self, photos):
        return self.map(photos).mean((2, 3))


def test_the_map_is_where_the_answer_comes_from(toy_yaml):
    model = classifier(toy_yaml, "test_resnet", [32, 32])
    model.backbones["all"] = Bright()
    linear = [part for part in model.head.modules() if isinstance(part, nn.Linear)]
    for part in linear:
        part.weight = nn.Parameter(torch.zeros(part.out_features, 1))
        part.weight.data[0] = 1.0
    photos = np.zeros((2, 32, 32, 3), np.uint8)
    photos[0, :16, 16:] = 255
    photos[1, 16:, :16] = 255
    found = gradcam.heat(model, photos, np.array([0, 0]))
    assert found.shape == (2, 32, 32)
    assert found[0, :16, 16:].mean() > 2 * found[0, 16:, :16].mean()
    assert found[1, 16:, :16].mean() > 2 * found[1, :16, 16:].mean()


@pytest.mark.parametrize(
    ("name", "size", "backbones", "options"),
    [
        ("test_resnet", [64, 48], "one", {}),
        ("test_resnet", [32, 24], "each", {}),
        ("test_vit", [160, 160], "one", {}),
        ("test_vit", [160, 160], "one", {"global_pool": "avg"}),
        ("test_efficientnet", [64, 48], "one", {}),
        ("swin_tiny_patch4_window7_224", [96, 64], "one", SWIN),
    ],
)
def test_networks_of_all_kinds_have_a_map(toy_yaml, name, size, backbones, options):
    model = classifier(toy_yaml, name, size, backbones, options)
    photos = np.random.default_rng(0).integers(0, 256, (3, *size, 3), dtype=np.uint8)
    found = gradcam.heat(model, photos, np.array([1, 5, 9]))
    assert found.shape == (3, *size)
    assert found.min() >= 0
    assert found.max() == pytest.approx(1)
    assert found.std() > 0.01
    np.testing.assert_array_equal(gradcam.heat(model, photos, np.array([1, 5, 9])), found)


def test_a_frozen_network_that_begins_without_weights_has_a_map(toy_yaml):
    """As one from an ONNX file that normalises by itself."""
    model = classifier(toy_yaml, "test_resnet", [64, 48])
    model.backbones["all"] = nn.Sequential(nn.Hardtanh(), model.backbones["all"])
    model.requires_grad_(False)
    photos = np.random.default_rng(0).integers(0, 256, (2, 64, 48, 3), dtype=np.uint8)
    found = gradcam.heat(model, photos, np.array([1, 5]))
    assert found.max() == pytest.approx(1)
    assert found.std() > 0.01


def test_a_network_without_maps_has_none(toy_yaml):
    model = classifier(toy_yaml, "test_resnet", [32, 24])
    model.backbones["all"] = nn.Sequential(nn.Flatten(), nn.Linear(32 * 24 * 3, 96))
    assert gradcam.heat(model, np.zeros((1, 32, 24, 3), np.uint8), np.array([0])) is None


def test_the_overlay_is_brighter_where_it_is_hot():
    photo, hot = np.full((64, 48, 3), 100, np.uint8), np.zeros((8, 6), np.float32)
    hot[:4] = 1
    found = gradcam.overlay(photo, hot)
    assert found.shape == photo.shape
    assert found[:24].mean() > found[-24:].mean() + 30
