"""Slices: their numbers are those that scikit-learn finds for the same photos, and all photos are in one of them."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import accuracy_score, f1_score, log_loss

from facemask.records import classes
from facemask.report import facts, slices
from facemask.scoring.predictions import Predictions
from facemask.settings import params

CFG = params.Evaluate(bootstrap=50, confidence=0.9, calibration_bins=10)


@pytest.fixture
def scored():
    """Forty people of seven photos: predictions, their rows, what was measured, and two further columns."""
    rng = np.random.default_rng(4)
    person = np.repeat(np.arange(40), 7)
    ages, gender = rng.integers(15, 70, 40)[person], rng.integers(0, 2, 40)[person]
    kinds = np.tile(["mask1", "mask2", "mask3", "mask4", "mask5", "incorrect_mask", "normal"], 40)
    mask = np.select([kinds == "normal", kinds == "incorrect_mask"], [2, 1], 0)
    official = classes.encode(mask, gender, classes.band(ages))
    table = rng.dirichlet(np.full(18, 0.3), len(person)) + 0.6 * np.eye(18)[official]
    table /= table.sum(1, keepdims=True)
    photos = [f"{k:04d}" for k in range(len(person))]
    index = pd.Index(photos, name="photo")
    face = np.where(rng.random(len(person)) < 0.1, "person", "found")
    rows = pd.DataFrame(
        {"class": official, "age": ages, "kind": kinds, "face": face, "fold": person % 3}, index
    )
    measured = pd.DataFrame(rng.random((len(person), len(facts.QUANTITIES))), index, list(facts.QUANTITIES))
    measured.loc[photos[:9], "face"] = np.nan
    extras = pd.DataFrame({"race": np.where(person % 4 == 0, "", np.where(person % 2, "가", "나"))}, index)
    extras["height"] = [f"{150 + p}" for p in person]
    return Predictions(photos, person, official, table), rows, measured, extras


@pytest.mark.slow
def test_the_numbers_are_those_of_an_independent_computation(scored):
    split, rows, measured, extras = scored
    grouped = slices.groups(rows, measured, extras)
    assert {
        "age",
        "gender",
        "mask",
        "kind of photo",
        "race",
        "height",
        "face box",
        "brightness",
        "sharpness",
        "fold",
    } <= set(grouped)
    called = split.probabilities.argmax(1)
    for labels in grouped.values():
        found = slices.score(split, labels, CFG, seed=1)
        assert sum(one.photos for one in found) == labels.notna().sum()
        for one in found:
            chosen = (labels == one.name).to_numpy()
            true, answer = split.official[chosen], called[chosen]
            assert one.people == len(set(split.person[chosen]))
            assert one.few == (one.people < 10)
            assert one.scores["accuracy"].value == pytest.approx(accuracy_score(true, answer))
            assert one.scores["macro_f1"].value == pytest.approx(f1_score(true, answer, average="macro"))
            expected = log_loss(true, split.probabilities[chosen], labels=range(18))
            assert one.log_loss == pytest.approx(expected)
            ages = classes.marginals(split.probabilities[chosen])["age"].argmax(1)
            assert one.scores["age"].value == pytest.approx(accuracy_score(classes.decode(true)[2], ages))
            if one.people > 1:
                assert (
                    one.scores["accuracy"].low <= one.scores["accuracy"].value <= one.scores["accuracy"].high
                )


def test_ages_are_in_their_decade(scored):
    _, rows, measured, extras = scored
    labels = slices.groups(rows, measured, extras)["age"]
    assert all(int(name[:2]) <= age <= int(name[3:]) for name, age in zip(labels, rows["age"], strict=True))
    assert list(labels.cat.categories) == sorted(labels.cat.categories)


def test_a_column_of_the_user_with_numbers_is_cut_into_quarters_and_blanks_are_left_out(scored):
    _, rows, measured, extras = scored
    grouped = slices.groups(rows, measured, extras)
    assert len(grouped["height"].cat.categories) == 4
    assert grouped["height"].value_counts().between(60, 80).all()
    assert set(grouped["race"].cat.categories) == {"가", "나"}
    assert grouped["race"].isna().sum() == (extras["race"] == "").sum()


def test_a_column_with_many_words_keeps_the_common_ones(scored):
    _, rows, measured, extras = scored
    extras["town"] = [f"town {k % 30 if k % 2 else 0}" for k in range(len(rows))]
    labels = slices.groups(rows, measured, extras)["town"]
    assert len(labels.cat.categories) == slices.MOST
    assert labels.cat.categories[-1] == slices.OTHER


def test_what_is_the_same_for_all_is_no_slice(scored):
    _, rows, measured, extras = scored
    assert "race" not in slices.groups(rows, measured, extras.assign(race="one"))


def test_columns_of_train_csv_come_by_photo(tmp_path):
    path = tmp_path / "train.csv"
    path.write_text("id,gender,race,age,path,glasses\n1,male,가,20,a,yes\n2,male,나,21,b,no\n")
    photos = pd.DataFrame(
        {"photo": ["p", "q", "r"], "set": ["labelled", "labelled", "eval"], "folder": ["b", "a", ""]}
    )
    found = slices.columns(path, photos)
    assert found.to_dict("index") == {
        "p": {"race": "나", "glasses": "no"},
        "q": {"race": "가", "glasses": "yes"},
    }
