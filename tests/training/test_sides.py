"""Which rows a fold trains and validates on, and which unlabelled photos it learns from."""

from __future__ import annotations

import math
from pathlib import Path

import pandas as pd
import pytest

from facemask.network import reader
from facemask.records import bands, tables
from facemask.runtime import launch
from facemask.runtime.errors import UserError
from facemask.settings import loading, recipes
from facemask.training import sides

UDA = {"kind": "uda", "weight": 1.0, "ratio": 1, "temperature": 0.5, "threshold": 0.5}
SELF_TRAINING = {"kind": "self_training", "rounds": 1, "threshold": 0.5, "per_class": None}
STRANGERS = -2


def recipe(toy_yaml: dict, **changes: object) -> recipes.Recipe:
    toy_yaml["train"] |= changes
    return launch.view(loading.parse(toy_yaml, "toy"), recipes.Recipe)


def photos(name: str, *people: tuple[str, str, int]) -> pd.DataFrame:
    """Two photos of each person, split and fold; the second one is not drawn."""
    rows = [
        {"photo": f"{name}/{person}/{kind}.jpg", "set": name, "person": person, "kind": kind}
        | {"age": 20, "class": 0, "target": 0, "split": split, "fold": fold, "repeats": repeats}
        | {"face": "found", "matte": "ok", "status": "ok"}
        | {"cx0": 0.0, "cy0": 0.0, "cx1": 9.0, "cy1": 9.0, "turn": math.nan}
        for person, split, fold in people
        for kind, repeats in (("mask1", 1), ("mask2", 0))
    ]
    return pd.DataFrame(rows, columns=list(tables.MANIFEST.columns))


LABELLED = photos("labelled", ("a", "train", 0), ("b", "train", 1), ("c", "train", 1), ("d", "holdout", -1))
EXTRA = photos(
    "extra",
    *(("more/a", "extra", 0), ("more/b", "extra", 1)),
    *(("more/d", "extra", -1), ("more/e", "extra", STRANGERS)),
)


@pytest.fixture
def manifest(tmp_path: Path) -> Path:
    """Of four labelled people, four extra ones, and two unlabelled photos a set, the second one damaged."""
    for part in (LABELLED, EXTRA):
        tables.write(tmp_path / part["set"].iloc[0] / "manifest.csv", part, tables.MANIFEST)
    for name in ("eval", "unlabelled"):
        part = photos(name, ("x", "", 0)).assign(image_id="x.jpg", status=["ok", "unreadable"])
        schema = tables.UNLABELLED_MANIFEST
        tables.write(tmp_path / name / schema.name, part[list(schema.columns)], schema)
    bands.write(tmp_path / "labelled", bands.Cuts(29, 58))
    return tmp_path


def names(part: pd.DataFrame) -> list[str]:
    return [photo.removesuffix(".jpg") for photo in part["photo"]]


def both(*people: str) -> list[str]:
    return [f"{person}/{kind}" for person in people for kind in ("mask1", "mask2")]


def test_a_fold_trains_on_others_and_strangers_and_never_on_its_own_or_those_held_out(manifest, toy_yaml):
    found = sides.rows(recipe(toy_yaml), 0, manifest)
    assert names(found.train) == [
        *("labelled/b/mask1", "labelled/c/mask1"),
        *("extra/more/b/mask1", "extra/more/e/mask1"),
    ]
    # Each photo validates, however often it is drawn in training.
    assert names(found.val) == both("labelled/a")
    assert names(found.held) == both("labelled/d")
    assert found.cuts == bands.Cuts(29, 58)
    assert len(found.unlabelled) == 0


def test_rows_are_read_from_the_set_that_they_are_of(manifest, toy_yaml):
    found = sides.rows(recipe(toy_yaml, unlabelled=UDA, pool="eval"), 0, manifest)
    assert {row.set for row in reader.rows(found.train)} == {"labelled", "extra"}
    assert {row.set for row in reader.rows(found.val)} == {"labelled"}
    assert {row.set for row in reader.rows(found.unlabelled)} == {"eval"}


@pytest.mark.parametrize("unlabelled", [UDA, SELF_TRAINING], ids=lambda chosen: chosen["kind"])
@pytest.mark.parametrize("pool", ["eval", "unlabelled"])
def test_the_pool_decides_which_unlabelled_photos_are_learnt_from(manifest, toy_yaml, unlabelled, pool):
    (other,) = {"eval", "unlabelled"} - {pool}
    (manifest / other / tables.UNLABELLED_MANIFEST.name).unlink()
    found = sides.rows(recipe(toy_yaml, unlabelled=unlabelled, pool=pool), 0, manifest)
    assert names(found.unlabelled) == [f"{pool}/x/mask1"]


def test_without_unlabelled_learning_no_pool_is_read(manifest, toy_yaml):
    for name in ("eval", "unlabelled"):
        (manifest / name / tables.UNLABELLED_MANIFEST.name).unlink()
    for pool in ("eval", "unlabelled"):
        assert len(sides.rows(recipe(toy_yaml, pool=pool), 0, manifest).unlabelled) == 0


def test_an_unreadable_photo_is_on_no_side(manifest, toy_yaml):
    for part in (LABELLED, EXTRA):
        damaged = part.assign(status=part["status"].mask(part["kind"] == "mask1", "unreadable"))
        tables.write(manifest / part["set"].iloc[0] / "manifest.csv", damaged, tables.MANIFEST)
    found = sides.rows(recipe(toy_yaml), 0, manifest)
    assert names(found.train) == []
    assert names(found.val) == ["labelled/a/mask2"]
    assert names(found.held) == ["labelled/d/mask2"]


@pytest.mark.parametrize(
    ("person", "fold", "told"),
    [
        ("a", 1, "'a' in fold 0 and in fold 1"),
        ("a", STRANGERS, "'a' in fold 0 and in fold -2"),
        ("d", 0, "'d' in the hold-out and in fold 0"),
        ("d", STRANGERS, "'d' in the hold-out and in fold -2"),
        ("a", -1, "'a' in fold 0 and in the hold-out"),
        ("more/e", 0, "'more/e' in fold -2 and in fold 0"),
    ],
)
def test_a_person_on_both_sides_through_an_extra_data_set_is_refused(manifest, toy_yaml, person, fold, told):
    again = photos("extra", (person, "extra", fold)).assign(photo=lambda rows: "again/" + rows["photo"])
    tables.write(manifest / "extra" / "manifest.csv", pd.concat([EXTRA, again]), tables.MANIFEST)
    for number in (0, 1):
        with pytest.raises(UserError, match=rf"the manifest has person {told}: .*dvc repro build_manifest"):
            sides.rows(recipe(toy_yaml), number, manifest)


@pytest.mark.parametrize(("person", "fold"), [("a", 0), ("d", -1), ("new", STRANGERS)])
def test_a_person_s_extra_photos_on_their_own_side_are_welcome(manifest, toy_yaml, person, fold):
    again = photos("extra", (person, "extra", fold)).assign(photo=lambda rows: "again/" + rows["photo"])
    tables.write(manifest / "extra" / "manifest.csv", pd.concat([EXTRA, again]), tables.MANIFEST)
    seen = {number: names(sides.rows(recipe(toy_yaml), number, manifest).train) for number in (0, 1)}
    trained = [number for number, found in seen.items() if f"again/extra/{person}/mask1" in found]
    assert trained == {"a": [1], "d": [], "new": [0, 1]}[person]


def test_a_fold_that_does_not_exist_is_told(manifest, toy_yaml):
    with pytest.raises(UserError, match=r"fold 2 has no photos in .*; set build_manifest\.folds above 2"):
        sides.rows(recipe(toy_yaml), 2, manifest)
