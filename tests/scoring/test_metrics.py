"""Scores against scikit-learn, and the rule for classes that do not occur."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn import metrics as reference

from facemask.records import classes
from facemask.scoring import metrics


def table(rng, official, sharpness):
    """Probabilities that lean towards the true class."""
    logits = rng.normal(size=(len(official), classes.COUNT))
    logits[np.arange(len(official)), official] += sharpness
    odds = np.exp(logits)
    return odds / odds.sum(1, keepdims=True)


@pytest.mark.parametrize("seed", range(20))
def test_scores_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    # Few photos: most draws then lack some class on one side or on both.
    official = rng.integers(classes.COUNT, size=rng.integers(5, 80))
    probabilities = table(rng, official, rng.uniform(0, 3))
    found = metrics.score(probabilities, official)
    called = probabilities.argmax(1)
    assert found["macro_f1"] == pytest.approx(reference.f1_score(official, called, average="macro"))
    assert found["accuracy"] == pytest.approx(reference.accuracy_score(official, called))
    for name, true in zip(classes.ATTRIBUTES, classes.decode(official), strict=True):
        guess = classes.marginals(probabilities)[name].argmax(1)
        assert found[f"{name}_f1"] == pytest.approx(reference.f1_score(true, guess, average="macro"))
    loss = reference.log_loss(official, probabilities, labels=range(classes.COUNT))
    assert found["log_loss"] == pytest.approx(loss)
    assert set(found) == {*metrics.KEYS, "log_loss"}


@given(seed=st.integers(0, 9999), rows=st.integers(1, 90), batch=st.integers(1, 40))
def test_neither_order_nor_batches_of_rows_matter(seed, rows, batch):
    rng = np.random.default_rng(seed)
    official = rng.integers(classes.COUNT, size=rows)
    probabilities = table(rng, official, rng.uniform(0, 3))
    whole, mixed = metrics.score(probabilities, official), rng.permutation(rows)
    other = metrics.score(probabilities[mixed], official[mixed])
    assert other.pop("log_loss") == pytest.approx(whole.pop("log_loss"))
    assert other == whole
    parts = [slice(start, start + batch) for start in range(0, rows, batch)]
    counts = [metrics.confusions(probabilities[part], official[part]) for part in parts]
    for name, counted in metrics.confusions(probabilities, official).items():
        np.testing.assert_array_equal(counted, sum(one[name] for one in counts))


@pytest.mark.parametrize("seed", range(5))
def test_confusion_and_f1_a_class_are_those_of_scikit_learn(seed):
    rng = np.random.default_rng(seed)
    true, called = rng.integers(5, size=(2, 40))
    counts = metrics.confusion(true, called, 5)
    np.testing.assert_array_equal(counts, reference.confusion_matrix(true, called, labels=range(5)))
    expected = reference.f1_score(true, called, labels=range(5), average=None, zero_division=np.nan)
    np.testing.assert_allclose(metrics.f1(counts), expected)


def test_a_class_that_occurs_nowhere_is_left_out_and_one_only_predicted_counts_nothing():
    nowhere = metrics.confusion([0, 0, 1], [0, 0, 1], 3)
    assert metrics.macro_f1(nowhere) == 1
    assert np.isnan(metrics.f1(nowhere)[2])
    only_predicted = metrics.confusion([0, 0, 1], [0, 2, 1], 3)
    assert metrics.f1(only_predicted)[2] == 0
    assert metrics.macro_f1(only_predicted) == pytest.approx((2 / 3 + 1 + 0) / 3)
    only_true = metrics.confusion([0, 0, 2], [0, 0, 0], 3)
    assert metrics.f1(only_true)[2] == 0
    assert metrics.macro_f1(only_true) == pytest.approx((4 / 5 + 0) / 2)


def test_an_empty_table_has_no_score():
    empty = np.zeros((classes.COUNT, classes.COUNT))
    assert np.isnan(metrics.macro_f1(empty))
    assert np.isnan(metrics.accuracy(empty))


def test_a_perfect_and_a_constant_predictor():
    official = np.arange(classes.COUNT)
    perfect = metrics.score(np.eye(classes.COUNT), official)
    assert perfect.pop("log_loss") == 0
    assert all(value == 1 for value in perfect.values())
    constant = metrics.score(np.tile(np.eye(classes.COUNT)[0], (classes.COUNT, 1)), official)
    assert constant["accuracy"] == pytest.approx(1 / 18)
    assert constant["macro_f1"] == pytest.approx(2 / 19 / 18)
    assert constant["gender_f1"] == pytest.approx((2 / 3) / 2)
    assert constant["mask_f1"] == pytest.approx((1 / 2) / 3)


def test_stacks_give_what_their_members_give():
    counts = np.random.default_rng(1).integers(0, 3, size=(4, 5, 6, 6))
    for function in (metrics.macro_f1, metrics.accuracy):
        whole = function(counts)
        assert whole.shape == (4, 5)
        assert whole[2, 3] == function(counts[2, 3])
    assert metrics.f1(counts).shape == (4, 5, 6)


def test_a_wrong_answer_without_doubt_costs_what_a_file_can_tell_from_nothing():
    """Files hold six digits, so no photo alone makes the score infinite."""
    sure = np.eye(classes.COUNT)[[0, 1]]
    assert metrics.log_loss(sure, [1, 1]) == pytest.approx(-np.log(1e-6) / 2)


def test_a_uniform_answer_costs_the_logarithm_of_the_number_of_classes():
    uniform = np.full((5, classes.COUNT), 1 / classes.COUNT)
    assert metrics.log_loss(uniform, [0, 3, 3, 9, 17]) == pytest.approx(np.log(classes.COUNT))


def test_rounding_keeps_the_shape_and_makes_nothing_of_what_is_undefined():
    scores = {"a": 0.123456, "b": np.float64("nan"), "c": None, "d": {"e": 2 / 3, "f": np.nan}, "g": 0}
    assert metrics.rounded(scores) == {
        "a": 0.1235,
        "b": None,
        "c": None,
        "d": {"e": 0.6667, "f": None},
        "g": 0,
    }


def test_macro_f1_is_of_the_whole_set_and_no_mean_over_batches():
    halves = [metrics.confusion([0, 0], [0, 0], 2), metrics.confusion([1, 1], [0, 0], 2)]
    whole = metrics.macro_f1(sum(halves))
    assert whole == pytest.approx((2 / 3) / 2)
    assert whole != pytest.approx(np.mean([metrics.macro_f1(half) for half in halves]))


def test_an_attribute_is_called_by_its_marginal_and_not_by_the_best_class():
    # The best class is male, but three female classes together are likelier.
    row = np.zeros(classes.COUNT)
    row[classes.encode(0, 0, 0)] = 0.4
    row[[classes.encode(0, 1, age) for age in range(3)]] = 0.2
    called = metrics.calls(row[None])
    assert called["class"] == [0]
    assert called["gender"] == [1]


def test_one_table_a_person_adds_up_to_the_table_of_all():
    rng = np.random.default_rng(3)
    official, person = rng.integers(classes.COUNT, size=50), rng.integers(7, size=50)
    probabilities = table(rng, official, 1.0)
    each, whole = (
        metrics.confusions(probabilities, official, person),
        metrics.confusions(probabilities, official),
    )
    for name, size in metrics.SIZES.items():
        assert each[name].shape == (person.max() + 1, size, size)
        np.testing.assert_array_equal(each[name].sum(0), whole[name][0])
        np.testing.assert_array_equal(each[name].sum((1, 2)), np.bincount(person))


@pytest.mark.parametrize(
    ("probabilities", "official"),
    [
        (np.zeros((0, 18)), []),
        (np.full((2, 18), 1 / 18), [0]),
        (np.full((1, 17), 1 / 17), [0]),
        (np.full((1, 18), np.nan), [0]),
        (np.full((1, 18), 1 / 18), [18]),
    ],
    ids=["no row", "lengths", "columns", "not finite", "no such class"],
)
def test_what_cannot_be_scored_is_refused(probabilities, official):
    with pytest.raises(ValueError):
        metrics.score(probabilities, official)


def test_a_class_outside_the_table_is_refused():
    with pytest.raises(ValueError):
        metrics.confusion([0, 3], [0, 0], 3)
