"""The benchmark of the audit plants what it says, and nothing else."""

from __future__ import annotations

import random
from pathlib import Path

import pandas as pd
import pytest

from benchmarks import planted
from facemask.records import classes

KINDS = ("mask1", "incorrect_mask", "normal")


@pytest.fixture
def train(tmp_path: Path) -> Path:
    """Forty people, of whom the sample's own list of fixes knows the third, with three photos each."""
    rows = []
    for number in range(1, 41):
        gender, age = classes.GENDERS[number % 2], 18 + number
        name = f"{number:06d}_{gender}_Asian_{age}"
        folder = tmp_path / "train" / "images" / name
        folder.mkdir(parents=True)
        for kind in KINDS:
            suffix = "png" if number % 7 == 0 and kind == "normal" else "jpg"
            (folder / f"{kind}.{suffix}").write_bytes(f"{number} {kind}".encode())
        rows.append((f"{number:06d}", gender, "Asian", age, name))
    table = pd.DataFrame(rows, columns=["id", "gender", "race", "age", "path"])
    table.to_csv(tmp_path / "train" / "train.csv", index=False)
    return tmp_path / "train"


def test_ten_people_get_one_error_each(train: Path) -> None:
    before = pd.read_csv(train / "train.csv", dtype=str).set_index("id")
    errors = planted.plant(train, random.Random(1))
    after = pd.read_csv(train / "train.csv", dtype=str).set_index("id")
    assert len({error.person for error in errors}) == 10
    assert "000003" not in {error.person for error in errors}
    kinds = dict(errors)
    for who, row in after.iterrows():
        old, kind = before.loc[who], kinds.get(who)
        assert (row["gender"] != old["gender"]) == (kind == "gender")
        assert (row["age"] != old["age"]) == (kind == "age")
        if kind == "age":
            assert classes.band(int(row["age"])) != classes.band(int(old["age"]))
        shown = {
            path.stem: path.read_text().split()[1] for path in (train / "images" / row["path"]).iterdir()
        }
        wrong = {"normal": "incorrect_mask", "incorrect_mask": "normal"} if kind == "mask" else {}
        assert shown == {name: wrong.get(name, name) for name in KINDS}
        assert row["path"] == f"{who}_{row['gender']}_Asian_{row['age']}"


def test_ranks_are_those_of_the_attribute_that_is_wrong() -> None:
    found = pd.DataFrame(
        [("1", "a", "mask"), ("2", "a", "gender"), ("3", "a", "gender"), ("4", "b", "age")],
        columns=["rank", "id", "attribute"],
    )
    errors = [planted.Error("a", "gender"), planted.Error("b", "mask")]
    assert list(planted.ranks(found, errors).values()) == [2, None]
