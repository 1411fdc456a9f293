"""Heads: every one ends in an (N, 18) table, and its targets are the class's own attributes."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
import torch
from pydantic import TypeAdapter

from facemask.network import heads
from facemask.records import classes
from facemask.records.bands import OFFICIAL
from facemask.settings import recipes

EDGES = (20, 25, 30, 40, 50, 60, 70)
AGES = {
    "bands": {"kind": "bands"},
    "bins": {"kind": "bins", "edges": EDGES},
    "corn": {"kind": "corn", "edges": EDGES},
    "distribution": {"kind": "distribution", "ages": (10, 90), "sigma": 2.0},
}
KINDS = {
    "joint": {"kind": "joint"},
    "arcface": {"kind": "arcface", "scale": 30.0, "margin": 0.5},
    "fused": {"kind": "fused"},
    "multilabel": {"kind": "multilabel"},
} | {
    f"{kind} {backbones} {name}": {"kind": kind, "backbones": backbones, "age": age}
    for kind in ("three", "age_by_gender")
    for backbones in ("one", "each")
    for name, age in AGES.items()
}
# Classes with ages of their band, on both sides of every cut.
PEOPLE = [
    (label, age)
    for label in range(classes.COUNT)
    for age in ((18, 24, 29), (30, 45, 59), (60, 61, 85))[label % 3]
]
LABELS, YEARS = torch.tensor(PEOPLE).T
WIDTH = 7


def build(name: str, *, p: float = 0.0, samples: int = 1, width: int = WIDTH) -> heads.Head:
    torch.manual_seed(0)
    dropout = {"dropout": {"p": p, "samples": samples}}
    return heads.build(TypeAdapter(recipes.Head).validate_python(KINDS[name] | dropout), width, OFFICIAL)


def features(head: heads.Head, photos: int = 5, width: int = WIDTH) -> dict[str, torch.Tensor]:
    generator = torch.Generator().manual_seed(1)
    return {branch: torch.randn(photos, width, generator=generator) for branch in head.branches}


def sure(head: heads.Head, targets: heads.Named) -> heads.Named:
    """Logits of a head that has learnt its targets; nonsense where there is nothing to learn."""
    found = {}
    for name, output in head.outputs.items():
        target, width = targets[name], output.width
        match output.kind:
            case "softmax":
                logits = target.clamp_min(1e-20).log()
            case "sigmoid":
                logits = (target - 0.5) * 100
            case "ordinal":
                logits = torch.where(torch.arange(width) < target.argmax(1, keepdim=True), 50.0, -50.0)
        nonsense = torch.randn(len(target), width, generator=torch.Generator().manual_seed(2)) * 20
        found[name] = torch.where(target.sum(1, keepdim=True) > 0, logits, nonsense)
    return found


@pytest.mark.parametrize("name", KINDS)
def test_logits_are_as_many_and_as_wide_as_told(name):
    head = build(name)
    logits, targets = head(features(head)), head.targets(LABELS, YEARS)
    assert list(logits) == list(targets) == list(head.outputs)
    for key, output in head.outputs.items():
        assert logits[key].shape == (5, output.width)
        assert targets[key].shape == (len(PEOPLE), output.classes)
        assert targets[key].dtype == torch.float32


@pytest.mark.parametrize("name", KINDS)
def test_rows_of_the_table_sum_to_one(name):
    head = build(name)
    table = head.log_table(head(features(head))).exp()
    assert table.shape == (5, 18)
    torch.testing.assert_close(table.sum(1), torch.ones(5))


@pytest.mark.parametrize("name", KINDS)
@pytest.mark.parametrize("fill", ["huge", "none", "all"])
def test_the_table_is_finite_for_extreme_logits(name, fill):
    """Also where no label, or every label, is far from possible."""
    head = build(name)
    make = {"huge": torch.randn, "none": lambda *s: -torch.ones(s), "all": torch.ones}[fill]
    logits = {key: make(4, output.width) * 1e4 for key, output in head.outputs.items()}
    table = head.log_table(logits)
    assert table.isfinite().all()
    torch.testing.assert_close(table.exp().sum(1), torch.ones(4))


@pytest.mark.parametrize("name", KINDS)
def test_logits_that_agree_with_the_targets_give_the_class(name):
    """Targets and table are inverse: a head that learns its targets predicts the right class, at every cut."""
    head = build(name)
    table = head.log_table(sure(head, head.targets(LABELS, YEARS)))
    assert table.argmax(1).tolist() == LABELS.tolist()


@pytest.mark.parametrize("name", KINDS)
def test_every_weight_learns(name):
    """From the logits and from the table alike: a branch that is computed and then not used would show."""
    head = build(name, p=0.2, samples=2)
    given = features(head, len(PEOPLE))
    targets = head.targets(LABELS, YEARS)
    made = [
        lambda logits: sum(part.square().sum() for part in head.margin(logits, targets).values()),
        lambda logits: -head.log_table(logits).gather(1, LABELS.repeat(2)[:, None]).sum(),
    ]
    for loss in made:
        head.zero_grad()
        loss(head(given)).backward()
        for key, weight in head.named_parameters():
            assert weight.grad is not None and weight.grad.abs().sum() > 0, key


@pytest.mark.parametrize("name", KINDS)
def test_every_branch_matters_to_the_table(name):
    head = build(name)
    given = features(head)
    plain = head.log_table(head(given))
    for branch in head.branches:
        assert not torch.allclose(head.log_table(head(given | {branch: -given[branch]})), plain)


@pytest.mark.parametrize("name", KINDS)
def test_backbones_are_one_or_one_each(name):
    head = build(name)
    expected = {"fused": tuple(classes.ATTRIBUTES)}.get(name, ("all",))
    assert head.branches == (tuple(head.outputs) if " each " in name else expected)


def test_three_heads_are_asked_for_the_attributes_of_the_class():
    targets = build("three one bands").targets(torch.arange(18), torch.full((18,), 40))
    for name, expected in zip(("mask", "gender", "age"), classes.decode(np.arange(18)), strict=True):
        assert targets[name].argmax(1).tolist() == expected.tolist()
        assert targets[name].sum(1).tolist() == [1.0] * 18


@pytest.mark.parametrize("age", AGES)
def test_the_table_of_three_is_the_product_of_its_attributes(age):
    head = build(f"three one {age}")
    logits = head(features(head))
    marginals = classes.marginals(head.log_table(logits).exp().detach().numpy())
    expected = {name: torch.softmax(logits[name], 1) for name in ("mask", "gender")}
    expected["age"] = head.age.log_bands(logits["age"]).exp()
    for name, table in marginals.items():
        np.testing.assert_allclose(table, expected[name].detach().numpy(), rtol=1e-5)


@pytest.mark.parametrize("age", AGES)
def test_ages_of_the_other_gender_teach_nothing(age):
    head = build(f"age_by_gender one {age}")
    targets = head.targets(LABELS, YEARS)
    same = build(f"three one {age}").targets(LABELS, YEARS)["age"]
    male = torch.from_numpy(classes.decode(LABELS.numpy())[1] == 0)
    for name, mine in (("age_male", male), ("age_female", ~male)):
        assert torch.equal(targets[name][mine], same[mine])
        assert not targets[name][~mine].any()


def test_age_by_gender_mixes_its_ages_by_the_gender():
    head = build("age_by_gender one bands")
    logits = head(features(head))
    p = {name: torch.softmax(part, 1).detach().numpy() for name, part in logits.items()}
    table = head.log_table(logits).exp().detach().numpy()
    for mask, gender, age in itertools.product(range(3), range(2), range(3)):
        ages = p[f"age_{classes.GENDERS[gender]}"]
        expected = p["mask"][:, mask] * p["gender"][:, gender] * ages[:, age]
        np.testing.assert_allclose(table[:, classes.encode(mask, gender, age)], expected, rtol=1e-5)


def test_multilabel_is_the_product_of_its_labels_normalised():
    head = build("multilabel")
    logits = head(features(head))["labels"]
    p = torch.sigmoid(logits).detach().double().numpy()
    cube = np.einsum("nm,ng,na->nmga", p[:, :3], np.stack([1 - p[:, 3], p[:, 3]], 1), p[:, 4:])
    expected = cube.reshape(-1, 18) / cube.sum((1, 2, 3))[:, None]
    table = head.log_table({"labels": logits}).exp().detach().numpy()
    np.testing.assert_allclose(table, expected, rtol=1e-5)


@pytest.mark.parametrize("name", ["joint", "arcface", "fused", "multilabel", "three one bands"])
def test_dropout_acts_in_training_and_not_in_evaluation(name):
    head = build(name, p=0.5, width=64)
    given = features(head, 1, 64)

    def differs() -> bool:
        first, second = head(given), head(given)
        return any(not torch.equal(first[key], second[key]) for key in first)

    assert differs()
    head.eval()
    assert not differs()


@pytest.mark.parametrize("name", KINDS)
def test_every_head_draws_its_dropout_as_often_as_told(name):
    head = build(name, p=0.5, samples=3, width=64)
    given = features(head, 2, 64)
    for logits in head(given).values():
        first, second, third = logits.chunk(3)
        assert len(first) == 2
        assert not torch.equal(first, second) and not torch.equal(second, third)
    assert {len(logits) for logits in head.eval()(given).values()} == {2}


@pytest.mark.parametrize(
    "name", ["joint", "fused", "multilabel", "three each corn", "age_by_gender one bins"]
)
def test_rows_of_the_draws_are_the_batch_repeated_whole(name):
    """Without dropout every draw is the batch itself, in its order."""
    head = build(name, p=0.0, samples=3)
    given = features(head)
    drawn, plain = head(given), head.eval()(given)
    for key, logits in drawn.items():
        torch.testing.assert_close(logits, plain[key].repeat(3, 1))


def test_only_arcface_has_a_margin_and_only_in_training():
    targets = {"class": torch.eye(18)[torch.tensor([3, 4])]}
    head = build("arcface", samples=2)
    logits = head(features(head, 2))
    harder = head.margin(logits, targets)["class"]
    true = targets["class"].bool().repeat(2, 1)
    assert (harder[true] < logits["class"][true] - 1).all()
    torch.testing.assert_close(harder[~true], logits["class"][~true])
    # Targets that were repeated for the draws already mean the same.
    twice = {"class": targets["class"].repeat(2, 1)}
    assert torch.equal(head.margin(logits, twice)["class"], harder)
    head.eval()
    assert head.margin(logits, targets) is logits
    joint = build("joint")
    assert joint.margin(logits, targets) is logits


def test_joint_reads_all_its_branches_side_by_side():
    head = heads.Joint(2, None, ("left", "right"))
    left, right = torch.randn(3, 2), torch.randn(3, 2)
    expected = head.linear(torch.cat([left, right], 1))
    torch.testing.assert_close(head({"right": right, "left": left})["class"], expected)
