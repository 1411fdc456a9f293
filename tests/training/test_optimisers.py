"""Optimisers: whose weights get which rate and decay, and which of timm's are served."""

from __future__ import annotations

import io

import pytest
import timm
import torch
from timm.optim import list_optimizers, param_groups_layer_decay, param_groups_weight_decay
from torch import nn

from facemask.network.facenet import FaceNet
from facemask.runtime.errors import UserError
from facemask.settings import recipes
from facemask.training import optimisers

ADAMW = recipes.AdamW(kind="adamw", weight_decay=0.5, betas=(0.8, 0.99))
SGD = recipes.Sgd(kind="sgd", weight_decay=0.5, momentum=0.9, nesterov=True)
PACKAGES = ("bnb", "fused")


class Toy(nn.Module):
    """A classifier of two branches without the rest."""

    def __init__(self, *branches: nn.Module) -> None:
        super().__init__()
        self.backbones = nn.ModuleDict({str(k): branch for k, branch in enumerate(branches)})
        self.head = nn.Linear(4, 3)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return self.head(sum(branch(x) for branch in self.backbones.values()))


def small() -> nn.Sequential:
    return nn.Sequential(
        nn.Conv2d(3, 4, 3), nn.BatchNorm2d(4), nn.Conv2d(4, 4, 1), nn.AdaptiveAvgPool2d(1), nn.Flatten()
    )


def named(name: str, **options: object) -> recipes.TimmOptimiser:
    return recipes.TimmOptimiser(kind="timm", name=name, weight_decay=0.1, options=options)


def by_weight(optimiser: torch.optim.Optimizer, key: str) -> dict[int, float]:
    return {id(w): group[key] for group in optimiser.param_groups for w in group["params"]}


# -------------------------------------------------------------------------------------------- groups of weights
def test_without_layer_decay_groups_are_timms():
    model = Toy(small(), small())
    found = optimisers.build(ADAMW, model, 0.1, 1.0).param_groups
    wanted = param_groups_weight_decay(model, weight_decay=0.5)
    assert [list(map(id, g["params"])) for g in found] == [list(map(id, g["params"])) for g in wanted]
    assert [g["weight_decay"] for g in found] == [g["weight_decay"] for g in wanted]
    assert {g["lr"] for g in found} == {0.1}


@pytest.mark.parametrize("layer_decay", [1.0, 0.5])
def test_biases_and_norms_are_not_decayed(layer_decay):
    model = Toy(small())
    decay = by_weight(optimisers.build(ADAMW, model, 0.1, layer_decay), "weight_decay")
    for weight in model.parameters():
        assert decay[id(weight)] == (0.5 if weight.ndim > 1 else 0)


@pytest.mark.parametrize(
    "name", ["test_vit", "test_resnet", "test_efficientnet", "test_convnext", "mobilenetv3_small_050"]
)
def test_layer_decay_is_timms_with_the_head_for_its_classifier(name):
    whole, branch = timm.create_model(name), timm.create_model(name, num_classes=0)
    names = {id(w): key for key, w in whole.named_parameters()}
    wanted = {
        names[id(w)]: group["lr_scale"]
        for group in param_groups_layer_decay(whole, weight_decay=0.5, layer_decay=0.6)
        for w in group["params"]
    }
    model = Toy(branch)
    rate = by_weight(optimisers.build(ADAMW, model, 0.1, 0.6), "lr")
    for key, weight in branch.named_parameters():
        assert rate[id(weight)] == pytest.approx(0.1 * wanted[key]), key
    assert {rate[id(weight)] for weight in model.head.parameters()} == {0.1}
    assert min(rate.values()) < 0.03


def test_every_branch_has_its_layers_and_the_head_is_there_once():
    model = Toy(small(), small())
    optimiser = optimisers.build(SGD, model, 0.8, 0.5)
    weights = [id(w) for group in optimiser.param_groups for w in group["params"]]
    assert sorted(weights) == sorted(map(id, model.parameters()))
    rate = by_weight(optimiser, "lr")
    for branch in model.backbones.values():
        # The norm goes with the convolution below it.
        assert [rate[id(w)] for w in branch[0].parameters()] == [0.2, 0.2]
        assert [rate[id(w)] for w in branch[1].parameters()] == [0.2, 0.2]
        assert [rate[id(w)] for w in branch[2].parameters()] == [0.4, 0.4]
    assert {rate[id(w)] for w in model.head.parameters()} == {0.8}


def test_facenet_has_layer_decay():
    branch = FaceNet()
    rate = by_weight(optimisers.build(ADAMW, Toy(branch), 0.1, 0.5), "lr")
    assert rate[id(branch.last_linear.weight)] == pytest.approx(0.05)
    assert rate[id(branch.conv2d_1a.conv.weight)] == min(rate.values()) < 1e-4


def test_a_backbone_of_one_layer_has_no_layer_decay():
    class One(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weight = nn.Parameter(torch.ones(2, 2))

    with pytest.raises(UserError, match=r"train\.layer_decay.*set it to 1"):
        optimisers.build(ADAMW, Toy(One()), 0.1, 0.5)


# ----------------------------------------------------------------------------------------------------- torch's two
def test_knobs_reach_adamw_and_sgd():
    model = Toy(small())
    adamw = optimisers.build(ADAMW, model, 0.1, 1.0)
    assert isinstance(adamw, torch.optim.AdamW)
    assert (adamw.defaults["betas"], adamw.defaults["fused"]) == ((0.8, 0.99), True)
    sgd = optimisers.build(SGD, model, 0.1, 1.0)
    assert isinstance(sgd, torch.optim.SGD)
    assert (sgd.defaults["momentum"], sgd.defaults["nesterov"], sgd.defaults["lr"]) == (0.9, True, 0.1)
    assert optimisers.build(ADAMW, model, 0.1, 1.0, fused=False).defaults["fused"] is None


# ---------------------------------------------------------------------------------------------------- timm's by name
SERVED = [
    *(
        name
        for name in list_optimizers()
        if not name.startswith((*PACKAGES, "kron")) and name != "adahessian"
    ),
    # It starts torch's compiler, which takes longer than all others together.
    *(pytest.param(name, marks=pytest.mark.slow) for name in list_optimizers("kron*")),
    "lookahead_adamw",
]


@pytest.mark.slow
@pytest.mark.parametrize("name", SERVED)
def test_every_optimiser_serves_the_trainers_step(name):
    """As Lightning steps: by a closure, called once; what has no gradient stays, weight decay or not."""
    torch.manual_seed(0)
    model = Toy(small())
    frozen = [w.requires_grad_(False) for w in model.backbones["0"][2].parameters()]
    before = [w.clone() for w in frozen]
    for weight in frozen:
        weight.requires_grad_(True)
    optimiser = optimisers.build(named(name), model, 0.02, 1.0)
    assert len(by_weight(optimiser, "lr")) == len(list(model.parameters()))
    for weight in frozen:
        weight.requires_grad_(False)
    torch.optim.lr_scheduler.LambdaLR(optimiser, lambda step: 1.0)
    labels = torch.arange(12) % 3
    photos = torch.randn(12, 3, 6, 6) + colours(labels)
    seen: list[float] = []

    def closure() -> torch.Tensor:
        optimiser.zero_grad()
        loss = nn.functional.cross_entropy(model(photos), labels)
        loss.backward()
        seen.append(loss.item())
        return loss

    for _ in range(12):
        assert optimiser.step(closure=closure) is not None
    assert len(seen) == 12
    assert seen[-1] < seen[0]
    assert all(torch.equal(w, b) for w, b in zip(frozen, before, strict=True))
    content = io.BytesIO()
    torch.save(optimiser.state_dict(), content)
    content.seek(0)
    torch.load(content, weights_only=True)


def colours(labels: torch.Tensor) -> torch.Tensor:
    """A brighter channel for each of three classes."""
    return 2 * nn.functional.one_hot(labels, 3).float()[:, :, None, None]


def test_options_lists_and_layer_decay_reach_timms():
    model = Toy(small())
    optimiser = optimisers.build(named("lamb", betas=[0.7, 0.9], trust_clip=True), model, 0.8, 0.5)
    assert type(optimiser).__name__ == "Lamb"
    group = optimiser.param_groups[0]
    assert (tuple(group["betas"]), group["trust_clip"]) == ((0.7, 0.9), True)
    assert set(by_weight(optimiser, "lr").values()) == {0.2, 0.4, 0.8}
    assert set(by_weight(optimiser, "weight_decay").values()) == {0.0, 0.1}
    wrapped = optimisers.build(named("lookahead_lion"), model, 0.1, 1.0)
    assert type(wrapped).__name__ == "Lookahead"


def test_corrected_decay_compares_each_group_with_its_own_rate():
    optimiser = optimisers.build(named("adamc"), Toy(small()), 0.8, 0.5)
    assert [g["max_lr_snapshot"] for g in optimiser.param_groups] == [g["lr"] for g in optimiser.param_groups]


@pytest.mark.parametrize(
    ("cfg", "message"),
    [
        (named("adamx"), r"train\.optimiser\.name: timm has no optimiser 'adamx'; did you mean .*adam"),
        (named("sam"), "no optimiser 'sam'"),
        (named("anything_adamw"), "no optimiser 'anything_adamw'"),
        (named("adahessian"), "second derivatives"),
        (named("lookahead_adahessian"), "second derivatives"),
        (named("lion", eps=1e-3), r"train\.optimiser\.options: lion has no 'eps'; it takes betas"),
        (named("adamw", layer_decay=0.5), "has no 'layer_decay'"),
        (named("adamw", lr=0.5), "has no 'lr'"),
        (named("adamw", betas=[2.0, 0.9]), r"train\.optimiser: timm cannot make adamw with .*2\.0"),
        (named("adamw", betas="high"), r"train\.optimiser: timm cannot make adamw"),
        (named("fusedadam"), r"train\.optimiser: timm cannot make fusedadam"),
    ],
    ids=lambda value: value.name if isinstance(value, recipes.TimmOptimiser) else "",
)
def test_what_cannot_be_served_is_told(cfg, message):
    with pytest.raises(UserError, match=message):
        optimisers.build(cfg, Toy(small()), 0.1, 1.0)
