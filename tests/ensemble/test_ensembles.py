"""Combination of tables: votes and weights are what they claim, and nothing is scored on what it was fitted on."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from facemask.ensemble import adjustment, combiner, ensembles
from facemask.ensemble.temperature import PerTask, Single
from facemask.runtime import files
from facemask.runtime.errors import UserError
from facemask.scoring import metrics
from facemask.settings import params, recipes

SOFT = params.SoftVote(kind="soft")
HARD = params.HardVote(kind="hard")
WEIGHTED = params.WeightedVote(kind="weighted")
PER_TASK = params.PerTaskVote(kind="per_task")
STACKING = params.Stacking(kind="stacking", c=1.0)
NONE = recipes.Nothing(kind="none")
TUNED = params.AdjustTuned(kind="tuned", taus=(0.0, 0.5, 1.0, 1.5))
# So close that moving a few labels moves the best one.
FINE = params.AdjustTuned(kind="tuned", taus=tuple(np.linspace(-1, 2, 31).round(3).tolist()))
PRIOR = np.full(18, 1 / 18)
SKEWED = np.linspace(1, 4, 18) / np.linspace(1, 4, 18).sum()
MEMBER = combiner.Member("past", "0" * 40)


def config(how, adjust=NONE) -> params.Combine:
    return params.Combine(members=(), how=how, adjust=adjust, calibrate=NONE)


def table(truth: np.ndarray, skill: float, seed: int) -> np.ndarray:
    """Probabilities that know the truth the better, the larger ``skill``; 0 knows nothing."""
    odds = np.exp(np.random.default_rng(seed).normal(size=(len(truth), 18)) + skill * np.eye(18)[truth])
    return odds / odds.sum(1, keepdims=True)


class People:
    """40 people of 9 photos each, four folds, and the answers of two members."""

    def __init__(self, *, folds=4, skills=(1.0, 3.0)):
        self.person = np.repeat(np.arange(40), 9)
        self.fold = self.person % folds
        self.truth = np.random.default_rng(5).integers(0, 18, len(self.person))
        self.tables = np.stack([table(self.truth, skill, seed) for seed, skill in enumerate(skills)])

    def fit(self, cfg, prior=PRIOR):
        return ensembles.fit(cfg, self.tables, self.truth, self.fold, self.person, prior)

    def crossed(self, cfg, prior=PRIOR):
        return ensembles.cross_fitted(cfg, self.tables, self.truth, self.fold, self.person, prior)


@pytest.fixture
def people() -> People:
    return People()


def every_way(adjust=TUNED):
    return list(itertools.product((SOFT, HARD, WEIGHTED, PER_TASK, STACKING), (NONE, adjust)))


def knowing(truth: np.ndarray, name: str, seed: int) -> np.ndarray:
    """Probabilities that know one attribute of the truth well and nothing else."""
    own = metrics.truths(np.arange(18))[name]
    odds = np.exp(np.random.default_rng(seed).normal(size=(len(truth), 18)) * 0.3)
    odds *= np.exp(4.0 * (own[None] == metrics.truths(truth)[name][:, None]))
    return odds / odds.sum(1, keepdims=True)


def test_each_task_is_taken_from_the_member_that_knows_it(people):
    people.tables = np.stack(
        [knowing(people.truth, name, k) for k, name in enumerate(("mask", "gender", "age"))]
    )
    rule = people.fit(config(PER_TASK)).rule
    for k, weights in enumerate((rule.mask, rule.gender, rule.age)):
        assert np.argmax(weights) == k and weights[k] > 0.9
        assert sum(weights) == pytest.approx(1)
    whole = metrics.score(people.crossed(config(PER_TASK)), people.truth)["accuracy"]
    assert whole > 0.8
    assert whole > metrics.score(people.crossed(config(WEIGHTED)), people.truth)["accuracy"] + 0.2


def test_one_member_alone_stays_as_it_is_per_task(people):
    """What joins the attributes of its table is kept too."""
    people.tables = people.tables[1:]
    np.testing.assert_allclose(people.crossed(config(PER_TASK)), people.tables[0], atol=1e-5)


def test_shares_are_told_by_task(people):
    fitted = people.fit(config(PER_TASK))
    shares = combiner.Combiner((MEMBER,), fitted, False).shares()
    assert [set(one) for one in shares] == [{"mask", "gender", "age"}] * 2
    for name in ("mask", "gender", "age"):
        assert sum(one[name] for one in shares) == pytest.approx(1)


def test_soft_is_the_mean(people):
    np.testing.assert_allclose(people.crossed(config(SOFT)), people.tables.mean(0), atol=1e-12)


def test_hard_follows_the_majority_even_against_the_mean():
    sure = np.eye(18)[[4]] * 0.99 + 0.01 / 18
    mild = np.eye(18)[[7]] * 0.1 + 0.9 / 18
    votes = np.stack([sure, mild, mild])
    assert votes.mean(0).argmax() == 4
    assert combiner.Votes(3)(votes).argmax() == 7


@pytest.mark.parametrize("count", [2, 3, 8])
def test_no_vote_is_outweighed_and_ties_go_to_the_larger_mean(count):
    rng = np.random.default_rng(count)
    tables = rng.dirichlet(np.full(18, 0.1), (count, 500))
    answers = combiner.Votes(count)(tables).argmax(1)
    counts = np.eye(18)[tables.argmax(2)].sum(0)
    won = counts[np.arange(500), answers]
    assert (won == counts.max(1)).all()
    means = np.where(counts == counts.max(1, keepdims=True), tables.mean(0), 0)
    assert (answers == means.argmax(1)).all()


def test_weights_favour_the_better_member(people):
    rule = people.fit(config(WEIGHTED)).rule
    worse, better = rule.weights
    assert better > 0.7 > 0.3 > worse >= 0
    assert worse + better == pytest.approx(1, abs=1e-8)


def test_weights_are_the_best_on_the_simplex(people):
    rule = people.fit(config(WEIGHTED)).rule
    right = people.tables[:, np.arange(len(people.truth)), people.truth]

    def loss(weight):
        return -np.log(np.array([1 - weight, weight]) @ right).mean()

    best = min(np.linspace(0, 1, 2001), key=loss)
    assert rule.weights[1] == pytest.approx(best, abs=2e-3)


def test_a_single_member_has_all_the_weight(people):
    people.tables = people.tables[:1]
    rule = people.fit(config(WEIGHTED)).rule
    assert rule.weights == (1.0,)


def test_stacking_finds_the_perfect_member_though_its_answers_are_renamed(people):
    """A member that always answers the next class: useless to a mean, perfect to a stacker."""
    people.tables[1] = table((people.truth + 1) % 18, 9.0, 3)
    found = people.crossed(config(STACKING)).argmax(1)
    assert (found == people.truth).mean() > 0.97
    assert (people.crossed(config(SOFT)).argmax(1) == people.truth).mean() < 0.2


def test_a_class_that_the_stacker_never_saw_keeps_the_members_mean(people):
    seen = ~np.isin(people.truth, [3, 11])
    rule = ensembles.fit(
        config(STACKING),
        people.tables[:, seen],
        people.truth[seen],
        people.fold[seen],
        people.person[seen],
        PRIOR,
    ).rule
    found = rule(people.tables)
    np.testing.assert_allclose(found[:, [3, 11]], people.tables.mean(0)[:, [3, 11]], atol=1e-9)
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-12)


def test_stacking_with_two_classes_is_a_logistic_regression(people):
    people.truth = people.truth % 2 * 5
    people.tables = np.stack([table(people.truth, 4.0, 0), table(people.truth, 0.0, 1)])
    rule = people.fit(config(STACKING)).rule
    assert rule.known == (0, 5)
    assert (rule(people.tables).argmax(1) == people.truth).mean() > 0.95


def test_a_stacker_is_the_regression_that_was_fitted(people):
    rule = people.fit(config(STACKING)).rule
    logs = np.concatenate(list(np.log(people.tables)), axis=1)
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STACKING.c, max_iter=5000))
    expected = model.fit(logs, people.truth).predict_proba(logs)
    np.testing.assert_allclose(rule(people.tables), expected, atol=1e-6)


def test_one_class_cannot_be_stacked(people):
    people.truth = np.zeros_like(people.truth)
    with pytest.raises(UserError, match="stacking needs.*two classes"):
        people.fit(config(STACKING))


@pytest.mark.parametrize(("how", "adjust"), every_way())
def test_rows_are_distributions(people, how, adjust):
    found = people.crossed(config(how, adjust))
    assert found.shape == (360, 18)
    assert (found >= 0).all()
    np.testing.assert_allclose(found.sum(1), 1, atol=1e-9)


@pytest.mark.slow
@pytest.mark.parametrize(("how", "adjust"), every_way(FINE))
@pytest.mark.parametrize("folds", [4, 2, 1])
def test_no_combined_row_depends_on_the_labels_of_its_fold(how, adjust, folds):
    people = People(folds=folds, skills=(2.5, 3.0))
    before = people.crossed(config(how, adjust), SKEWED)
    # With one fold, the groups are people's; no person's row may depend on that person's labels.
    ours = people.fold == 1 if folds > 1 else people.person == 7
    people.truth[ours] = 17 - people.truth[ours]
    after = people.crossed(config(how, adjust), SKEWED)
    assert np.array_equal(before[ours], after[ours])
    if how in (WEIGHTED, STACKING) or (how, adjust, folds) == (SOFT, FINE, 4):
        assert not np.array_equal(before[~ours], after[~ours])


def test_a_stacker_learns_nothing_from_noise_when_scored_honestly():
    people = People(skills=(0.0, 0.0))
    rule = people.fit(config(STACKING)).rule
    flattered = metrics.score(rule(people.tables), people.truth)["accuracy"]
    honest = metrics.score(people.crossed(config(STACKING)), people.truth)["accuracy"]
    assert flattered > 0.3
    assert honest < 0.12


def test_tau_is_tuned_on_rows_that_the_stacker_was_not_fitted_on():
    people = People(skills=(1.0, 1.0))
    fitted = people.fit(config(STACKING, FINE), SKEWED)
    rule, tau = fitted.rule, fitted.tau
    honest, flattered = people.crossed(config(STACKING)), rule(people.tables)
    found = [adjustment.best_tau(rows, people.truth, SKEWED, FINE.taus) for rows in (honest, flattered)]
    assert tau == found[0] != found[1]


def test_one_person_is_too_few_to_fit(people):
    people.person[:] = people.fold[:] = 0
    with pytest.raises(UserError, match="one person alone"):
        people.crossed(config(WEIGHTED))


def test_tuned_tau_raises_the_recall_of_rare_classes():
    """Networks that learnt from many photos of one class and few of another lean to the first."""
    rng = np.random.default_rng(0)
    prior = np.array([0.9, 0.1] + [0.0] * 16)
    people = People()
    people.truth = (rng.random(360) < prior[1]).astype(np.int64)
    odds = np.full((360, 18), 1e-9)
    odds[:, :2] = prior[:2] * np.exp(0.9 * rng.normal(size=(360, 2)) + 1.5 * np.eye(2)[people.truth])
    people.tables = (odds / odds.sum(1, keepdims=True))[None]
    plain, tuned = people.crossed(config(SOFT)), people.crossed(config(SOFT, TUNED), prior)
    rare = people.truth == 1
    assert people.fit(config(SOFT, TUNED), prior).tau > 0
    assert (tuned[rare].argmax(1) == 1).mean() > (plain[rare].argmax(1) == 1).mean() + 0.2
    score = [metrics.score(found, people.truth)["macro_f1"] for found in (plain, tuned)]
    assert score[1] > score[0] + 0.03


def test_fixed_tau_is_applied_as_given(people):
    fixed = params.AdjustFixed(kind="fixed", tau=0.7)
    expected = people.tables.mean(0) / SKEWED**0.7
    expected /= expected.sum(1, keepdims=True)
    np.testing.assert_allclose(people.crossed(config(SOFT, fixed), SKEWED), expected, atol=1e-12)
    assert people.fit(config(SOFT, fixed), SKEWED).tau == 0.7


@pytest.mark.slow
@pytest.mark.parametrize("how", [SOFT, HARD, WEIGHTED, STACKING])
@pytest.mark.parametrize("calibration", [None, Single(0.5), PerTask(0.5, 2.0, 1.0)])
def test_a_combiner_survives_its_file(people, how, calibration, tmp_path):
    rule = people.fit(config(how)).rule
    fitted = combiner.Fitted(rule, 0.5, tuple(PRIOR.tolist()), calibration)
    before = combiner.Combiner((MEMBER,), fitted, True)
    files.write_json(tmp_path / "combiner.json", before.to_json())
    after = combiner.read(tmp_path / "combiner.json")
    assert after == before
    assert np.array_equal(after.apply(people.tables), before.apply(people.tables))


def test_fitting_twice_gives_the_same_numbers(people):
    for how in (WEIGHTED, STACKING):
        assert people.fit(config(how)) == people.fit(config(how))


def test_a_combiner_wants_a_table_a_member(people):
    whole = combiner.Combiner(
        (MEMBER,), combiner.Fitted(combiner.Mean((0.5, 0.5)), 0.0, tuple(PRIOR.tolist()), None), False
    )
    whole.apply(people.tables)
    with pytest.raises(ValueError, match="tables for 1 members"):
        whole.apply(people.tables[:1])


def test_no_photos_are_combined_to_none():
    for rule in (combiner.Mean((1.0,)), combiner.Votes(1)):
        whole = combiner.Combiner((), combiner.Fitted(rule, 1.0, tuple(PRIOR.tolist()), Single(0.5)), False)
        assert whole.apply(np.zeros((1, 0, 18))).shape == (0, 18)


@pytest.mark.parametrize("content", [b'{"members": []}', b"", b'{"members": ["\xff"]}', b"\xff\xfe{\x00"])
def test_a_damaged_combiner_is_told(tmp_path, content):
    (tmp_path / "combiner.json").write_bytes(content)
    with pytest.raises(UserError, match=r"combiner\.json: not a combiner.*dvc repro combine"):
        combiner.read(tmp_path / "combiner.json")
