"""Paired differences: seeds are within chance, planted differences are found at the stated power."""

from __future__ import annotations

import numpy as np
import pytest

from facemask.comparison import paired, power
from facemask.comparison.paired import Pair
from facemask.scoring import metrics
from facemask.settings import params

CFG = params.Evaluate(bootstrap=300, confidence=0.95, calibration_bins=15)
FINE = CFG.model_copy(update={"bootstrap": 1000})


def answers(rng, base, person, truth, skill):
    """One training's table: what makes a person hard, this training's luck with a person and with a photo."""
    luck = 0.5 * rng.normal(size=base.shape)
    odds = np.exp((base + luck)[person] + rng.normal(size=(len(truth), 18)) + skill * np.eye(18)[truth])
    return odds / odds.sum(1, keepdims=True)


def simulated(seed: int, people: int, gain: float = 0.0, seeds: int = 1) -> list[Pair]:
    """Seven photos a person; the second side knows the truth better by ``gain``."""
    rng = np.random.default_rng([7, seed])
    person = np.repeat(np.arange(people), 7)
    kind = rng.integers(0, 2, people) * 3 + rng.choice(3, people, p=[0.45, 0.45, 0.1])
    truth = np.tile([0, 0, 0, 0, 0, 1, 2], people) * 6 + kind[person]
    base = 0.8 * rng.normal(size=(people, 18))
    first = answers(rng, base, person, truth, 3.0)
    return [Pair(person, truth, first, answers(rng, base, person, truth, 3.0 + gain)) for _ in range(seeds)]


def compared(pairs: list[Pair], people: int, cfg=CFG) -> dict[str, list[paired.Difference]]:
    return paired.differences(pairs, people, cfg, seed=10**6)


@pytest.mark.slow
def test_pairs_that_differ_by_their_seed_are_within_chance():
    """Both verdicts hold together at 95 %, so each of them is right more often than that."""
    found = [compared(simulated(seed, 60), 60, FINE) for seed in range(100)]
    for key in ("macro_f1", "log_loss"):
        assert sum(not one[key][0].beyond_chance for one in found) >= 95, key


@pytest.mark.slow
@pytest.mark.parametrize("people", [22, 120])
def test_the_level_is_the_stated_one(people):
    """Of 400 pairs each score may call a fortieth different; three deviations more would show a wrong interval."""
    found = [compared(simulated(1000 + seed, people), people, FINE) for seed in range(400)]
    for key in ("macro_f1", "accuracy", "log_loss", "age_f1"):
        assert sum(one[key][0].beyond_chance for one in found) <= 400 * 0.05, key
    either = sum(one["macro_f1"][0].beyond_chance or one["log_loss"][0].beyond_chance for one in found)
    assert either <= 400 * 0.083


@pytest.mark.slow
@pytest.mark.parametrize(("key", "gain", "pilot"), [("log_loss", 0.12, 150), ("macro_f1", 0.2, 150)])
def test_a_known_difference_is_found_at_the_stated_power(key, gain, pilot):
    """As many people as a large study says are needed find it in four of five studies."""
    large = compared(simulated(5, 6000, gain), 6000)[key][0]
    error = np.mean([compared(simulated(seed, pilot, gain), pilot)[key][0].error for seed in range(20)])
    people = power.people_needed(large.value, float(error), pilot, level=0.025)
    found = [compared(simulated(2000 + seed, people, gain), people)[key][0] for seed in range(100)]
    assert 0.68 <= np.mean([one.beyond_chance for one in found]) <= 0.92


def test_half_as_many_people_find_it_less_often():
    wanted = power.people_needed(0.02, 0.02, 100)
    assert wanted == pytest.approx(100 * (1.959964 + 0.841621) ** 2, abs=1)
    assert power.people_needed(0.02, 0.02, 100, power=0.5) < wanted < power.people_needed(0.01, 0.02, 100)
    # What seeds spread stays, however many people there are.
    assert power.people_needed(0.02, 0.02, 100, fixed=0.005) > wanted
    assert power.people_needed(0.02, 0.02, 100, fixed=0.02) is None


def test_equal_sides_do_not_differ():
    (one,) = simulated(0, 12)
    found = compared([Pair(one.person, one.official, one.before, one.before)], 12)
    for key in paired.SCORES:
        (same,) = found[key]
        assert same.value == same.low == same.high == 0
        assert not same.beyond_chance
        assert same.people_needed is None


def test_values_are_the_scores_own_and_sides_change_the_sign():
    (one,) = simulated(1, 12, 0.5)
    there = compared([one], 12)
    back = compared([Pair(one.person, one.official, one.after, one.before)], 12)
    before, after = (metrics.score(table, one.official) for table in (one.before, one.after))
    for key in paired.SCORES:
        (found,), (reverse,) = there[key], back[key]
        assert found.before == pytest.approx(before[key], abs=1e-6)
        assert found.value == pytest.approx(after[key] - before[key], abs=2e-6)
        assert (reverse.low, reverse.high) == pytest.approx((-found.high, -found.low), abs=1e-12)
        assert found.low <= found.value <= found.high


def test_pairing_cancels_what_makes_a_person_hard():
    """Sides that are wrong about the same people differ by little, though each score alone is very uncertain."""
    rng = np.random.default_rng(0)
    person = np.repeat(np.arange(60), 7)
    hard = rng.random(60) < 0.4
    truth = np.full(420, 4)
    before = np.where(hard[person, None], np.eye(18)[5], np.eye(18)[4]) * 0.9 + 0.1 / 18
    after = before.copy()
    after[:14] = after[:14] ** 0.9
    after /= after.sum(1, keepdims=True)
    (found,) = compared([Pair(person, truth, before, after)], 60)["accuracy"]
    assert found.high - found.low < 0.02
    alone = np.sqrt(hard.mean() * (1 - hard.mean()) / 60)
    assert alone > 0.05


def test_few_people_widen_the_interval():
    (few,) = compared(simulated(3, 6), 6)["log_loss"]
    plain = np.array([few.low, few.high])
    assert np.ptp(plain) > 2 * 2.24 * few.error * 1.1
    assert np.isnan(compared(simulated(3, 1), 1)["log_loss"][0].low)
    assert np.isnan(compared(simulated(3, 6), 6, CFG.model_copy(update={"bootstrap": 0}))["log_loss"][0].low)


def test_seeds_are_averaged_and_their_spread_widens_the_interval():
    pairs = simulated(4, 40, 0.3, seeds=4)
    each = np.array([compared([pair], 40)["log_loss"][0].value for pair in pairs])
    (found,) = compared(pairs, 40)["log_loss"]
    assert found.value == pytest.approx(each.mean())
    assert found.spread == pytest.approx(each.std(ddof=1))
    assert found.seeds == 4
    assert found.high - found.low > 2 * 2.24 * found.error
    # Four trainings are luckier together than one alone.
    assert found.error < compared(pairs[:1], 40)["log_loss"][0].error


def test_seeds_may_have_scored_other_people():
    first, second = simulated(4, 40, 0.3, seeds=2)
    half = first.person < 20
    parts = [
        Pair(one.person[rows], one.official[rows], one.before[rows], one.after[rows])
        for one, rows in ((first, half), (second, ~half))
    ]
    (found,) = compared(parts, 40)["log_loss"]
    alone = [
        compared([Pair(p.person % 20, p.official, p.before, p.after)], 20)["log_loss"][0].value for p in parts
    ]
    assert found.value == pytest.approx(np.mean(alone))


def test_classes_of_few_people_are_not_judged_and_the_others_hold_together():
    found = compared(simulated(8, 100), 100)["f1"]
    judged = [one for one in found if one.people >= metrics.FEW]
    assert 0 < len(judged) < 18
    for one in found:
        assert np.isnan(one.low) == (one.people < metrics.FEW)
        assert not (np.isnan(one.low) and one.beyond_chance)
    # One of 18: three standard errors, and not two.
    assert all(one.high - one.low > 2 * 2.9 * one.error for one in judged)


def test_the_same_numbers_again():
    assert str(compared(simulated(9, 30), 30)) == str(compared(simulated(9, 30), 30))
