"""Suspect labels: found per attribute, voted by folder, told as data/label_fixes.csv takes them."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from facemask.audit import labels, noise, suspects, swaps
from facemask.labels import fixes
from facemask.records import classes, raw


def people(count: int) -> pd.DataFrame:
    """Photos of people with seven photos each, whose labels are right; every gender and band occurs."""
    rows = []
    for number in range(count):
        gender, age = number % 2, (25, 45, 60)[number // 2 % 3]
        person = f"{number:06d}"
        folder = f"{person}_{classes.GENDERS[gender]}_Asian_{age}"
        rows += [
            (f"train/images/{folder}/{kind}.jpg", person, folder, kind, mask, gender, age)
            for kind, mask in raw.MASK_OF.items()
        ]
    return pd.DataFrame(rows, columns=["photo", "person", "folder", "kind", "mask", "gender", "age"])


def answers(rows: pd.DataFrame, seed: int = 0) -> np.ndarray:
    """Probabilities of a good network for the true labels of ``rows``: mostly right, never sure."""
    rng = np.random.default_rng(seed)
    truth = classes.encode(rows["mask"], rows["gender"], classes.band(rows["age"]))
    logits = rng.normal(0, 0.7, (len(rows), classes.COUNT))
    logits[np.arange(len(rows)), truth] += 4
    table = np.exp(logits)
    return table / table.sum(1, keepdims=True)


def rename(rows: pd.DataFrame, person: str, **changes: object) -> pd.DataFrame:
    """Give a person another label, in the folder's name too, as a wrong data set has it."""
    chosen = rows["person"] == person
    rows = rows.copy()
    for name, value in changes.items():
        rows.loc[chosen, name] = value
    head = rows[chosen].iloc[0]
    folder = f"{person}_{classes.GENDERS[head['gender']]}_Asian_{head['age']}"
    rows.loc[chosen, "photo"] = [f"train/images/{folder}/{kind}.jpg" for kind in rows.loc[chosen, "kind"]]
    rows.loc[chosen, "folder"] = folder
    return rows


def exchange(
    table: np.ndarray, shown: np.ndarray, rows: pd.DataFrame, person: str, first: str, second: str
) -> None:
    """Let two files of a person show each other's content."""
    at = [rows.index[(rows["person"] == person) & (rows["kind"] == kind)][0] for kind in (first, second)]
    table[at], shown[at] = table[at[::-1]], shown[at[::-1]]


def test_ten_planted_errors_come_first_and_are_corrected_by_their_own_rows(tmp_path: Path) -> None:
    truth = people(60)
    table = answers(truth)
    given, shown = truth, truth["mask"].to_numpy().copy()
    genders = ("000004", "000011", "000022", "000039", "000050")
    for person in genders:
        wrong = 1 - int(truth.loc[truth["person"] == person, "gender"].iloc[0])
        given = rename(given, person, gender=wrong)
    exchanged = {
        "000001": ("incorrect_mask", "normal"),
        "000008": ("incorrect_mask", "normal"),
        "000017": ("mask3", "normal"),
        "000033": ("incorrect_mask", "mask2"),
    }
    for person, pair in exchanged.items():
        exchange(table, shown, truth, person, *pair)
    # A file that shows something else altogether: a mask instead of the bare face.
    bare = truth.index[(truth["person"] == "000045") & (truth["kind"] == "normal")][0]
    table[bare] = table[truth.index[(truth["person"] == "000045") & (truth["kind"] == "mask1")][0]]
    shown[bare] = 0

    found = suspects.ranked(labels.find(labels.collect(given, table), 0.6), "mine")
    ten = found.head(10)
    assert set(ten["id"]) == {*genders, *exchanged, "000045"}
    assert (found["score"].diff().dropna() <= 0).all()

    # Each suggestion is a row that the list of fixes takes, and that brings the truth back.
    listed = ten[["dataset", "id", "field", "old", "new"]].assign(status="confirmed", source="test", note="")
    listed.to_csv(tmp_path / "fixes.csv", index=False)
    fixed = fixes.apply(given, fixes.load(tmp_path / "fixes.csv"))
    assert (fixed["gender"] == truth["gender"]).all()
    assert (fixed["mask"] == shown).all()


def test_a_wrong_age_is_a_suspect_that_only_a_person_can_correct() -> None:
    truth = people(30)
    given = rename(truth, "000006", age=60)
    found = suspects.ranked(labels.find(labels.collect(given, answers(truth)), 0.6), "mine")
    assert found.loc[0, ["id", "attribute", "field", "old", "new", "seen"]].tolist() == [
        "000006", "age", "age", "60", "", "<30",
    ]  # fmt: skip


def test_what_was_corrected_before_gets_no_second_row() -> None:
    truth = people(12)
    given = truth.copy()
    # As fix_labels leaves them: the table is corrected, folder and file names still say what they said.
    given.loc[given["person"] == "000002", "gender"] = 1
    at = given.index[given["person"] == "000005"]
    given.loc[at, "kind"] = given.loc[at, "kind"].replace({"normal": "mask1", "mask1": "normal"})
    given["mask"] = given["kind"].map(raw.MASK_OF)
    found = suspects.ranked(labels.find(labels.collect(given, answers(truth)), 0.6), "mine")
    assert sorted(found["person"].str[:6]) == ["000002", "000005"]
    assert (found[["field", "old", "new"]] == "").all(axis=None)


def test_one_id_with_two_folders_is_named_by_folder() -> None:
    truth = people(12)
    truth.loc[truth["person"] == "000003", "person"] = "000001"
    table = answers(truth)
    wrong = truth["folder"].str.startswith("000003")
    truth.loc[wrong, "gender"] = 0
    truth.loc[wrong, "folder"] = truth.loc[wrong, "folder"].str.replace("female", "male")
    (found,) = labels.find(labels.collect(truth, table), 0.6)
    assert found.id == found.person
    assert found.person.startswith("000003_male")


def test_votes_of_a_folder_outweigh_one_photo() -> None:
    rows = people(12)
    table = answers(rows)
    table[0] = np.roll(table[0], 3)  # one photo that looks like the other gender
    assert labels.find(labels.collect(rows, table), 0.6) == []


@pytest.mark.parametrize("moved", [(5, 6), (0, 6), (2, 5)])
def test_an_exchange_is_found_and_equal_kinds_stay(moved: tuple[int, int]) -> None:
    given = np.array([0, 0, 0, 0, 0, 1, 2])
    shown = given.copy()
    shown[list(moved)] = shown[list(moved[::-1])]
    logs = np.log(np.full((7, 3), 0.1) + 0.7 * np.eye(3)[shown])
    (found,) = swaps.find(logs, given)
    assert {found.first, found.second} == set(moved)
    assert found.score == pytest.approx(0.8 / 0.9)
    assert swaps.find(np.log(np.full((7, 3), 0.1) + 0.7 * np.eye(3)[given]), given) == []


def test_a_second_photo_of_one_kind_is_no_exchange() -> None:
    given = np.array([0, 0, 0, 0, 0, 1, 2])
    logs = np.log(np.full((7, 3), 0.1) + 0.7 * np.eye(3)[[0, 0, 0, 0, 0, 1, 0]])
    logs[1] = np.log([0.5, 0.1, 0.4])
    assert swaps.find(logs, given) == []


def test_a_cycle_of_three_is_no_exchange() -> None:
    given = np.array([0, 1, 2])
    logs = np.log(np.full((3, 3), 0.1) + 0.7 * np.eye(3)[[1, 2, 0]])
    assert swaps.find(logs, given) == []


def test_label_noise_is_estimated_and_bounds_the_score() -> None:
    truth = people(200)
    table = answers(truth)
    flipped = [f"{number:06d}" for number in range(0, 200, 10)]
    given = truth
    for person in flipped:
        given = rename(given, person, gender=1)
    told = noise.summary(labels.collect(given, table))
    assert told["gender"]["labels"] == 200
    # Confident learning counts those of which it is sure: too few rather than too many.
    assert 10 <= told["gender"]["expected"] <= 22
    assert told["gender"]["noise"] == pytest.approx(told["gender"]["expected"] / 200, abs=0.003)
    assert told["gender"]["best_accuracy"] == pytest.approx(1 - told["gender"]["noise"])
    assert told["mask"]["noise"] == pytest.approx(0, abs=0.005)
    assert told["classes"]["best_macro_f1"] < told["gender"]["best_macro_f1"] + 1e-9
    right = [1 - told[name]["noise"] for name in ("mask", "gender", "age")]
    assert told["classes"]["best_accuracy"] == pytest.approx(np.prod(right), abs=1e-3)
    assert noise.summary(labels.collect(truth, table))["gender"]["expected"] <= 1


def test_labels_of_one_kind_have_no_estimate() -> None:
    rows = people(12)
    rows["gender"] = 0
    told = noise.summary(labels.collect(rows, answers(rows)))
    assert told["gender"] is None
    assert told["classes"] is None
    assert told["mask"] is not None
