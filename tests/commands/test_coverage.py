"""Which rows and columns of its input a network never looks at."""

from __future__ import annotations

import pytest
import timm
import torch
from torch import nn

from facemask.commands import coverage
from facemask.network import backbones
from facemask.settings import recipes


def config(name: str) -> recipes.Timm:
    scratch, native = recipes.Scratch(kind="scratch"), recipes.NativePool(kind="native")
    return recipes.Timm(kind="timm", name=name, weights=scratch, options={}, pool=native)


class Pooled(nn.Sequential):
    """Layers, then the mean over the map."""

    def forward(self, photos):
        return super().forward(photos).mean((2, 3))


def strided() -> nn.Module:
    """Its branch of zeros sees all of the input, its shortcut every second row and column."""

    class Residual(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.branch, self.shortcut = nn.Conv2d(16, 16, 3, 2, 1), nn.Conv2d(16, 16, 1, 2)
            nn.init.zeros_(self.branch.weight)

        def forward(self, photos):
            return self.branch(photos) + self.shortcut(photos)

    return Pooled(nn.Conv2d(3, 16, 1), Residual(), nn.MaxPool2d(3, 2))


PATCHES = lambda: Pooled(nn.Conv2d(3, 4, 16, 16))  # noqa: E731
LAYERS = {
    "patches that do not divide": (PATCHES, (96, 72), (0, 8), (96, 80)),
    "patches that divide": (PATCHES, (96, 80), (0, 0), (96, 80)),
    "rows, and the smaller size is nearer": (PATCHES, (97, 80), (1, 0), (96, 80)),
    "padding": (lambda: Pooled(nn.Conv2d(3, 4, 3, 2, 1)), (96, 73), (0, 0), (96, 73)),
    "gaps at every size": (lambda: Pooled(nn.Conv2d(3, 4, 1, 2)), (40, 40), (20, 20), (40, 40)),
    "dilation": (lambda: Pooled(nn.Conv2d(3, 4, 2, 4, dilation=2)), (47, 43), (23, 21), (47, 43)),
    "a pool that rounds up": (lambda: Pooled(nn.MaxPool2d(2, ceil_mode=True)), (5, 5), (0, 0), (5, 5)),
    "a pool that rounds down": (lambda: Pooled(nn.AvgPool2d(2)), (5, 6), (1, 0), (6, 6)),
    "a later layer": (lambda: Pooled(nn.Conv2d(3, 4, 1), nn.ReLU(True), nn.MaxPool2d(3, 2)), (8, 9), (1, 0), (9, 9)),
    "a later layer behind one that mixes": (
        lambda: Pooled(nn.Conv2d(3, 4, 3, padding=1), nn.MaxPool2d(2)), (5, 5), (0, 0), (5, 5),
    ),
    "a branch that begins as zeros": (strided, (24, 24), (2, 2), (25, 25)),
}  # fmt: skip


@pytest.mark.parametrize("case", LAYERS)
def test_what_no_feature_depends_on_is_counted(case, monkeypatch):
    make, size, lost, near = LAYERS[case]
    torch.manual_seed(1)
    network = make().eval()
    monkeypatch.setattr(backbones, "build", lambda *_, **__: network)
    before = torch.random.get_rng_state()
    found = coverage.unseen(network, config("test_vit"), size)
    assert found[0] == lost
    assert found[1] == near
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.parametrize("size", [(64, 64), (70, 75)])
@pytest.mark.parametrize("name", ["test_vit", "test_resnet", "test_efficientnet"])
def test_networks_of_timm_without_numbers_see_what_gradients_say(name, size):
    if name == "test_vit":
        make = lambda: timm.create_model(name, num_classes=0, img_size=size, dynamic_img_size=False)  # noqa: E731
    else:
        make = lambda: timm.create_model(name, num_classes=0)  # noqa: E731
    with torch.device("meta"):
        shapes = make().eval()
    found, _ = coverage.unseen(shapes, config(name), size)
    torch.manual_seed(0)
    network, photo = make().eval(), torch.rand(1, 3, *size, requires_grad=True)
    for weight in network.parameters():
        if not weight.any():
            nn.init.uniform_(weight)
    features = network(photo)
    (features * torch.rand_like(features)).sum().backward()
    dead = photo.grad[0].abs().amax(0) == 0
    assert found == (dead.all(1).sum(), dead.all(0).sum())
