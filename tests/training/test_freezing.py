"""Freezing: which weights move in which epoch, and that frozen statistics stay."""

from __future__ import annotations

import copy
import warnings

import lightning as L
import pytest
import timm
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader

from facemask.network import layers
from facemask.network.facenet import FaceNet
from facemask.settings import recipes
from facemask.training import freezing, optimisers

ADAMW = recipes.AdamW(kind="adamw", weight_decay=0.5, betas=(0.9, 0.999))
Freeze = recipes.Nothing | recipes.HeadOnly | recipes.Gradual


class Network(nn.Module):
    """Two branches, of timm's form and of plain children."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(2)
        plain = nn.Sequential(
            nn.Conv2d(3, 4, 3),
            nn.BatchNorm2d(4),
            nn.ReLU(),
            nn.Conv2d(4, 5, 3),
            nn.BatchNorm2d(5, affine=False),
            nn.AdaptiveAvgPool2d(1),
            nn.Flatten(),
        )
        resnet = timm.create_model("test_resnet", num_classes=0)
        self.backbones = nn.ModuleDict({"resnet": resnet, "plain": plain})
        self.head = nn.Linear(5 + resnet.num_features, 3)
        # What the network itself keeps fixed is not thawed.
        resnet.layer4[0].bn1.bias.requires_grad_(False)

    def forward(self, photos: Tensor) -> Tensor:
        return self.head(torch.cat([branch(photos) for branch in self.backbones.values()], 1))


class Toy(L.LightningModule):
    def __init__(self, cfg: Freeze) -> None:
        super().__init__()
        self.model = Network()
        self.freezing = freezing.build(cfg, self.model.backbones)
        self.states: list[dict[str, Tensor]] = [self.state()]
        self.gradients: list[set[str]] = []

    def state(self) -> dict[str, Tensor]:
        return copy.deepcopy(self.model.state_dict())

    def on_train_epoch_start(self) -> None:
        self.freezing.start_epoch(self.current_epoch)

    def on_train_batch_start(self, batch: Tensor, index: int) -> None:
        self.freezing.start_batch()

    def training_step(self, batch: Tensor, index: int) -> Tensor:
        return self.model(batch).square().mean()

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        self.gradients.append({name for name, w in self.model.named_parameters() if w.grad is not None})

    def on_validation_epoch_start(self) -> None:
        # Whatever others do to the modes.
        self.model.train()

    def validation_step(self, batch: Tensor, index: int) -> None:
        self.model.eval()

    def on_validation_epoch_end(self) -> None:
        self.model.train()
        self.states.append(self.state())

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return optimisers.build(ADAMW, self.model, 0.01, 1.0)


def run(cfg: Freeze, epochs: int) -> Toy:
    task = Toy(cfg)
    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        logger=False,
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
        enable_checkpointing=False,
    )
    photos = torch.randn(8, 3, 32, 32, generator=torch.Generator().manual_seed(0)) + 0.5
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        trainer.fit(task, DataLoader(photos, 4), DataLoader(photos[:4], 4))
    return task


def moved(task: Toy, epoch: int) -> set[str]:
    """Top-level parts of whose weights or statistics anything changed in ``epoch``."""
    before, after = task.states[epoch], task.states[epoch + 1]
    changed = [name for name in before if not torch.equal(before[name], after[name])]
    return {".".join(name.split(".")[: 3 if name.startswith("backbones") else 1]) for name in changed}


def resnet(*parts: str) -> set[str]:
    return {f"backbones.resnet.{part}" for part in parts}


def plain(*parts: int) -> set[str]:
    return {f"backbones.plain.{part}" for part in parts}


STEM = ("conv1.0", "bn1")


def test_head_only_moves_the_head_only():
    task = run(recipes.HeadOnly(kind="head_only"), 2)
    assert moved(task, 0) == moved(task, 1) == {"head"}
    assert task.gradients[-1] == {"head.weight", "head.bias"}


@pytest.mark.slow
@pytest.mark.parametrize("every", [1, 2])
def test_gradual_opens_groups_from_the_top_down(every):
    """And batch statistics with their group; decay moves nothing that is frozen."""
    task = run(recipes.Gradual(kind="gradual", every=every), 5 * every + 1)
    top = resnet("layer4") | plain(3, 4)
    second = top | resnet("layer3") | plain(0, 1)
    third = second | resnet("layer2")
    fourth = third | resnet("layer1")
    whole = fourth | resnet("conv1", "bn1")
    for epoch in range(5 * every + 1):
        expected = (set(), top, second, third, fourth, whole)[epoch // every]
        assert moved(task, epoch) == {"head"} | expected, epoch


def test_what_the_network_keeps_fixed_is_not_thawed():
    task = run(recipes.Gradual(kind="gradual", every=1), 3)
    name = "backbones.resnet.layer4.0.bn1.bias"
    assert torch.equal(task.states[0][name], task.states[-1][name])
    assert name not in task.gradients[-1]
    assert name.replace("bias", "weight") in task.gradients[-1]


def test_frozen_weights_stay_in_the_optimiser_without_gradient():
    task = run(recipes.Gradual(kind="gradual", every=1), 2)
    assert task.gradients[0] == {"head.weight", "head.bias"}
    held = {id(w) for group in task.optimizers().param_groups for w in group["params"]}
    everything = {id(w) for name, w in task.model.named_parameters() if "layer4.0.bn1.bias" not in name}
    assert held == everything


def test_none_freezes_nothing():
    task = run(recipes.Nothing(kind="none"), 1)
    layers_of_both = resnet("layer4", "layer3", "layer2", "layer1", "conv1", "bn1") | plain(0, 1, 3, 4)
    assert moved(task, 0) == layers_of_both | {"head"}


@pytest.mark.parametrize(
    ("name", "bottom", "top"),
    [
        ("test_resnet", "conv1.0.weight", "layer4.0.conv1.weight"),
        ("test_efficientnet", "conv_stem.weight", "conv_head.weight"),
        ("test_vit", "patch_embed.proj.weight", "norm.weight"),
        ("test_convnext", "stem.0.weight", "head.norm.weight"),
        ("caformer_s18", "stem.conv.weight", "head.norm.weight"),
        ("rdnet_tiny", "stem.0.weight", "head.norm.weight"),
    ],
)
def test_groups_hold_every_weight_once_from_the_photo_upwards(name, bottom, top):
    with torch.device("meta"):
        network = timm.create_model(name, num_classes=0)
    check(network, bottom, top)


def test_groups_of_facenet():
    network = FaceNet()
    check(network, "conv2d_1a.conv.weight", "last_linear.weight")
    assert len(layers.groups(network)) == 8


def check(network: nn.Module, bottom: str, top: str) -> None:
    groups = [{id(value) for value in group} for group in layers.groups(network)]
    values = [*network.parameters(), *network.buffers()]
    assert sorted(value for group in groups for value in group) == sorted(map(id, values))
    assert all(any(id(weight) in group for weight in network.parameters()) for group in groups)
    assert len(groups) > 2
    weights = dict(network.named_parameters())
    assert id(weights[bottom]) in groups[0]
    assert id(weights[top]) in groups[-1]
