"""Losses: limits, gradients, and agreement with references and plain definitions."""

from __future__ import annotations

import pytest
import torch
from torch import Tensor
from torch.nn import functional

from facemask.settings import recipes
from facemask.training import losses

CLASSES = 6
CLASS_WEIGHTS = torch.tensor([0.5, 1.0, 2.0, 0.25, 3.0, 0.0], dtype=torch.float64)
SOFTMAX = {
    "cross entropy": lambda w=None: losses.CrossEntropy(0.0, w),
    "smoothed": lambda w=None: losses.CrossEntropy(0.2, w),
    "focal 2": lambda w=None: losses.Focal(2.0, w),
    "focal .5": lambda w=None: losses.Focal(0.5, w),
    "soft F1": lambda w=None: losses.SoftF1(1e-7, w),
    "symmetric": lambda w=None: losses.SymmetricCrossEntropy(0.3, 1.0, -4.0, w),
    "blend": lambda w=None: losses.Blend([(0.4, losses.SoftF1(1e-7, w)), (0.6, losses.Focal(2.0, w))]),
}


@pytest.fixture
def logits() -> Tensor:
    return torch.randn(40, CLASSES, generator=torch.Generator().manual_seed(3), dtype=torch.float64) * 2


@pytest.fixture
def labels() -> Tensor:
    return torch.randint(0, CLASSES, (40,), generator=torch.Generator().manual_seed(4))


@pytest.fixture
def soft() -> Tensor:
    draws = torch.randn(40, CLASSES, generator=torch.Generator().manual_seed(5), dtype=torch.float64)
    return functional.softmax(draws * 2, 1)


def hard(labels: Tensor, classes: int = CLASSES) -> Tensor:
    return functional.one_hot(labels, classes).double()


@pytest.fixture(params=SOFTMAX)
def make(request):
    return SOFTMAX[request.param]


# ---------------------------------------------------------------------------------------------- of all of softmax
def test_gradients_are_those_of_the_value(make, logits, soft):
    small = logits[:7].clone().requires_grad_()
    for weights in (None, CLASS_WEIGHTS):
        loss = make(weights)
        assert torch.autograd.gradcheck(lambda x, loss=loss: loss(x, soft[:7]), small)


def test_sure_and_right_is_the_least(make, logits, labels):
    loss, targets = make(), hard(labels)
    if make in (SOFTMAX["smoothed"],):
        best = loss((targets * 0.8 + 0.2 / CLASSES).log(), targets)
    else:
        best = loss(targets * 200, targets)
        assert best.item() == pytest.approx(0, abs=1e-6)
    generator = torch.Generator().manual_seed(0)
    for _ in range(20):
        assert loss(logits + torch.randn(logits.shape, generator=generator), targets) > best + 1e-3


def test_rows_of_zeros_teach_nothing_and_count_in_the_mean(make, logits, labels):
    loss, targets = make(), hard(labels)
    none = targets.clone()
    none[::2] = 0
    wanted = loss(logits[1::2], targets[1::2])
    # F1 is no mean over photos.
    half = 1 if make is SOFTMAX["soft F1"] else 2
    if make is not SOFTMAX["blend"]:
        torch.testing.assert_close(loss(logits, none), wanted / half)
    moved = logits.clone().requires_grad_()
    loss(moved, none).backward()
    assert (moved.grad[::2] == 0).all()
    assert (moved.grad[1::2] != 0).any()


def test_a_batch_without_any_target_costs_nothing(make, logits):
    moved = logits.clone().requires_grad_()
    value = make(CLASS_WEIGHTS)(moved, torch.zeros_like(logits))
    value.backward()
    assert value.item() == 0
    assert (moved.grad == 0).all()


def test_huge_logits_stay_finite_in_single_precision(make):
    logits = torch.tensor([[1e4, -1e4, 0.0], [-1e4, 1e4, 0.0], [0.0, 0.0, 1e4]], requires_grad=True)
    value = make(torch.ones(3))(logits, torch.eye(3)[[0, 0, 2]])
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


def test_equal_class_weights_change_nothing(make, logits, soft):
    torch.testing.assert_close(make(torch.ones(CLASSES).double())(logits, soft), make()(logits, soft))


@pytest.mark.parametrize("name", ["cross entropy", "focal 2", "focal .5", "symmetric"])
def test_a_class_of_weight_zero_teaches_nothing(name, logits, labels):
    """Not so with F1, which counts its photos as errors of other classes, nor with smoothing, which aims at them."""
    moved = logits.clone().requires_grad_()
    SOFTMAX[name](CLASS_WEIGHTS)(moved, hard(labels)).backward()
    idle = labels == 5
    assert (moved.grad[idle] == 0).all()
    assert (moved.grad[~idle] != 0).any(1).all()


# ------------------------------------------------------------------------------------------------- cross-entropy
def test_cross_entropy_of_whole_labels_is_torchs(logits, labels):
    for smoothing in (0.0, 0.2):
        ours = losses.CrossEntropy(smoothing)(logits, hard(labels))
        torch.testing.assert_close(ours, functional.cross_entropy(logits, labels, label_smoothing=smoothing))


def test_cross_entropy_of_soft_targets_is_torchs(logits, soft):
    for smoothing, weights in ((0.0, None), (0.2, None), (0.3, CLASS_WEIGHTS)):
        ours = losses.CrossEntropy(smoothing, weights)(logits, soft)
        torch.testing.assert_close(
            ours, functional.cross_entropy(logits, soft, weight=weights, label_smoothing=smoothing)
        )


def test_weighted_cross_entropy_is_torchs_but_for_the_divisor(logits, labels):
    """torch divides by the photos' weights, this one by their number."""
    ours = losses.CrossEntropy(0.0, CLASS_WEIGHTS)(logits, hard(labels))
    theirs = functional.cross_entropy(logits, labels, weight=CLASS_WEIGHTS)
    torch.testing.assert_close(ours, theirs * CLASS_WEIGHTS[labels].sum() / len(labels))


# --------------------------------------------------------------------------------------------------------- focal
def test_focal_without_gamma_is_cross_entropy(logits, soft):
    for weights in (None, CLASS_WEIGHTS):
        ours = losses.Focal(0, weights)(logits, soft)
        torch.testing.assert_close(ours, losses.CrossEntropy(0.0, weights)(logits, soft))


def test_focal_weighs_each_photo_by_its_error_to_the_power_gamma(logits, labels):
    p = functional.softmax(logits, 1)[torch.arange(40), labels]
    torch.testing.assert_close(losses.Focal(2)(logits, hard(labels)), -((1 - p) ** 2 * p.log()).mean())


def test_focal_of_a_mixed_photo_is_the_mix_of_its_parts(logits, labels):
    other = labels.roll(1)
    both = losses.Focal(2)(logits, 0.3 * hard(labels) + 0.7 * hard(other))
    parts = 0.3 * losses.Focal(2)(logits, hard(labels)) + 0.7 * losses.Focal(2)(logits, hard(other))
    torch.testing.assert_close(both, parts)


def test_focal_has_a_gradient_when_a_photo_is_certain():
    logits = torch.tensor([[60.0, 0.0]], requires_grad=True)
    losses.Focal(0.5)(logits, torch.tensor([[1.0, 0.0]])).backward()
    assert torch.isfinite(logits.grad).all()


# ------------------------------------------------------------------------------------------------------- soft F1
def test_soft_f1_is_zero_when_all_are_right_and_one_when_all_are_wrong():
    targets = hard(torch.arange(CLASSES).repeat(3))
    loss = losses.SoftF1(1e-7)
    assert loss(targets * 80, targets) == pytest.approx(0, abs=1e-6)
    assert loss(targets.roll(1, 1) * 80, targets) == pytest.approx(1, abs=1e-6)


def test_soft_f1_of_certain_predictions_is_hard_f1(logits, labels):
    from sklearn.metrics import f1_score

    sure = hard(logits.argmax(1)) * 200
    present = sorted(set(labels.tolist()))
    each = f1_score(labels, logits.argmax(1), labels=present, average=None, zero_division=0)
    assert 1 - losses.SoftF1(1e-9)(sure, hard(labels)).item() == pytest.approx(each.mean(), abs=1e-6)
    share = CLASS_WEIGHTS[present].numpy()
    weighted = losses.SoftF1(1e-9, CLASS_WEIGHTS)(sure, hard(labels)).item()
    assert 1 - weighted == pytest.approx((each * share).sum() / share.sum(), abs=1e-6)


def test_soft_f1_ignores_classes_that_the_batch_does_not_hold(logits, labels):
    wider = torch.cat([logits, torch.full((40, 3), -80.0, dtype=torch.float64)], 1)
    loss = losses.SoftF1(1e-7)
    torch.testing.assert_close(loss(wider, hard(labels, 9)), loss(logits, hard(labels)))


# ----------------------------------------------------------------------------------------- symmetric cross-entropy
def test_symmetric_without_its_reverse_is_cross_entropy(logits, soft):
    ours = losses.SymmetricCrossEntropy(0.7, 0.0, -4.0, CLASS_WEIGHTS)(logits, soft)
    torch.testing.assert_close(ours, 0.7 * losses.CrossEntropy(0.0, CLASS_WEIGHTS)(logits, soft))


def test_the_reverse_is_the_mean_absolute_error_of_whole_labels(logits, labels):
    """-A (1 - p_y), as the paper derives."""
    p = functional.softmax(logits, 1)[torch.arange(40), labels]
    ours = losses.SymmetricCrossEntropy(0.0, 2.0, -4.0)(logits, hard(labels))
    torch.testing.assert_close(ours, 2 * 4 * (1 - p).mean())
    weighted = losses.SymmetricCrossEntropy(0.0, 2.0, -4.0, CLASS_WEIGHTS)(logits, hard(labels))
    torch.testing.assert_close(weighted, 2 * 4 * ((1 - p) * CLASS_WEIGHTS[labels]).mean())


def test_the_reverse_of_soft_targets_is_cross_entropy_with_sides_changed(logits, soft):
    p = functional.softmax(logits, 1)
    ours = losses.SymmetricCrossEntropy(0.0, 1.0, -4.0)(logits, soft)
    torch.testing.assert_close(ours, -(p * soft.log().clamp(min=-4)).sum(1).mean())


# -------------------------------------------------------------------------------------------------- multilabel
def test_multilabel_is_torchs(logits, soft):
    ours = losses.MultilabelSoftMargin()(logits, soft)
    torch.testing.assert_close(ours, torch.nn.MultiLabelSoftMarginLoss()(logits, soft))
    assert losses.MultilabelSoftMargin()(torch.tensor([[300.0, -300.0]]), torch.tensor([[1.0, 0.0]])) == 0


def test_multilabel_weights_favour_the_label_and_not_its_absence(logits, labels):
    """A weight on both would leave a rare label as rare as it was."""
    for k, weight in enumerate(CLASS_WEIGHTS):
        plain, weighted = (
            losses.MultilabelSoftMargin(weights)(logits, hard(labels)) for weights in (None, one(k, weight))
        )
        has = (labels == k).double()
        more = (has * -functional.logsigmoid(logits[:, k])).sum() * (weight - 1) / logits.numel()
        torch.testing.assert_close(weighted - plain, more)


def one(k: int, weight: Tensor) -> Tensor:
    weights = torch.ones(CLASSES).double()
    weights[k] = weight
    return weights


# ---------------------------------------------------------------------------------------------------------- CORN
def papers_corn(logits: Tensor, labels: Tensor) -> Tensor:
    """Equation of the paper, subset by subset."""
    total, seen = torch.zeros((), dtype=logits.dtype), 0
    for task in range(logits.shape[1]):
        inside = labels >= task
        p = torch.sigmoid(logits[inside, task])
        above = (labels[inside] > task).to(p.dtype)
        total = total - (above * p.log() + (1 - above) * (1 - p).log()).sum()
        seen += int(inside.sum())
    return total / seen


def test_corn_of_whole_labels_is_the_papers(logits, labels):
    ours = losses.Corn()(logits[:, :-1], hard(labels))
    torch.testing.assert_close(ours, papers_corn(logits[:, :-1], labels))


def test_corn_is_least_where_conditional_probabilities_are_those_of_the_target(soft):
    above = soft.flip(1).cumsum(1).flip(1)
    best = torch.logit(above[:, 1:] / above[:, :-1]).requires_grad_()
    value = losses.Corn()(best, soft)
    value.backward()
    assert best.grad.abs().max() < 1e-12
    assert losses.Corn()(best + 0.1, soft) > value


def test_corn_shares_a_mixed_photo_out(logits, labels):
    other = labels.roll(1)
    pair = torch.cat([logits, logits])[:, :-1]
    whole = losses.Corn()(pair, torch.cat([hard(labels), hard(other)]))
    torch.testing.assert_close(losses.Corn()(logits[:, :-1], 0.5 * hard(labels) + 0.5 * hard(other)), whole)


def test_corn_rows_of_zeros_teach_nothing_and_count_in_the_mean(logits, labels):
    targets = hard(labels)
    targets[::2] = 0
    moved = logits[:, :-1].clone().requires_grad_()
    value = losses.Corn()(moved, targets)
    value.backward()
    torch.testing.assert_close(value, papers_corn(logits[1::2, :-1], labels[1::2]) / 2)
    assert (moved.grad[::2] == 0).all()
    assert losses.Corn()(moved, torch.zeros_like(targets)) == 0


def test_corn_weighs_photos_by_their_class(logits, labels):
    ours = losses.Corn(CLASS_WEIGHTS)(logits[:, :-1], hard(labels))
    seen = (labels[:, None] >= torch.arange(CLASSES - 1)).sum()
    one_by_one = [
        papers_corn(logits[[k], :-1], labels[[k]])
        * (labels[k] >= torch.arange(CLASSES - 1)).sum()
        * CLASS_WEIGHTS[labels[k]]
        for k in range(40)
    ]
    torch.testing.assert_close(ours, torch.stack(one_by_one).sum() / seen)


def test_corn_has_true_gradients_and_stays_finite(logits, soft):
    small = logits[:7, :-1].clone().requires_grad_()
    assert torch.autograd.gradcheck(lambda x: losses.Corn(CLASS_WEIGHTS)(x, soft[:7]), small)
    assert torch.isfinite(losses.Corn()(torch.tensor([[1e5, -1e5]]), torch.tensor([[1.0, 0.0, 0.0]])))


# --------------------------------------------------------------------------------------------------------- build
def test_build_passes_the_knobs_on(logits, soft):
    cross = recipes.CrossEntropy(kind="cross_entropy", smoothing=0.2)
    focal = recipes.Focal(kind="focal", gamma=3.0)
    f1 = recipes.SoftF1(kind="soft_f1", eps=1e-3)
    symmetric = recipes.SymmetricCrossEntropy(
        kind="symmetric_cross_entropy", alpha=0.2, beta=0.5, log_zero=-6.0
    )
    blend = recipes.Blend(
        kind="blend", parts=(recipes.Part(weight=0.4, loss=f1), recipes.Part(weight=1.5, loss=focal))
    )
    w = CLASS_WEIGHTS
    expected = {
        cross: losses.CrossEntropy(0.2, w),
        focal: losses.Focal(3.0, w),
        f1: losses.SoftF1(1e-3, w),
        symmetric: losses.SymmetricCrossEntropy(0.2, 0.5, -6.0, w),
    }
    for cfg, loss in expected.items():
        torch.testing.assert_close(losses.build(cfg, "softmax", w)(logits, soft), loss(logits, soft))
    mixed = 0.4 * losses.SoftF1(1e-3, w)(logits, soft) + 1.5 * losses.Focal(3.0, w)(logits, soft)
    torch.testing.assert_close(losses.build(blend, "softmax", w)(logits, soft), mixed)
    margin = recipes.MultilabelSoftMargin(kind="multilabel_soft_margin")
    torch.testing.assert_close(
        losses.build(margin, "sigmoid", w)(logits, soft), losses.MultilabelSoftMargin(w)(logits, soft)
    )
    for cfg in (cross, blend):
        ordinal = losses.build(cfg, "ordinal", w)(logits[:, :-1], soft)
        torch.testing.assert_close(ordinal, losses.Corn(w)(logits[:, :-1], soft))


def test_class_weights_follow_the_loss_to_its_device_and_stay_out_of_checkpoints():
    loss = losses.Focal(2.0, torch.ones(3))
    assert loss.to("meta").weights.device.type == "meta"
    assert not loss.state_dict()
