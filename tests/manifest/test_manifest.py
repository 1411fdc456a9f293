"""The rows that trainer and predictor read."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facemask.manifest import manifest
from facemask.records import classes, raw
from facemask.runtime.errors import UserError
from facemask.settings import params

OFFICIAL = params.Bands(young_cut=30, age_cut=60)
NONE = {"kind": "none"}
BALANCES = [NONE, {"kind": "oversample", "ratio": 1.0, "cap": 5}, {"kind": "undersample", "keep": [3, 1, 1]}]

people = st.lists(
    st.tuples(st.integers(0, 1), st.sampled_from([18, 28, 29, 30, 31, 57, 58, 59, 60, 61])),
    min_size=12,
    max_size=40,
)
shifted = st.sampled_from([(29, 57), (29, 58), (30, 59), (27, 58), (1, 2), (60, 61)])


def config(balance: dict[str, object], folds: int = 3, holdout: float = 0.2) -> params.BuildManifest:
    return params.BuildManifest.model_validate(
        {"folds": folds, "holdout": holdout, "balance": balance}, strict=False
    )


def bands(young: int, old: int) -> params.Bands:
    return params.Bands(young_cut=young, age_cut=old)


def labels(population: list[tuple[int, int]]) -> pd.DataFrame:
    rows = [
        (f"train/images/{k:03d}/{kind}.jpg", f"{k:03d}", kind, raw.MASK_OF[kind], gender, age, "ok")
        for k, (gender, age) in enumerate(population)
        for kind in raw.KINDS
    ]
    table = pd.DataFrame(rows, columns=["photo", "person", "kind", "mask", "gender", "age", "status"])
    return table.assign(sha256=table["photo"])


NOBODY = labels([]).assign(source="")
NO_EVAL = pd.DataFrame(columns=["photo", "sha256", "status"], dtype=str)


def train(
    cfg: params.BuildManifest,
    cuts: params.Bands,
    table: pd.DataFrame,
    extra: pd.DataFrame = NOBODY,
    listed: pd.DataFrame = NO_EVAL,
    *,
    seed: int,
) -> pd.DataFrame:
    return manifest.train(cfg, cuts, table, extra, listed, seed=seed)


@pytest.mark.slow
@given(population=people, balance=st.sampled_from(BALANCES), seed=st.integers(0, 99))
def test_no_person_is_on_two_sides(
    population: list[tuple[int, int]], balance: dict[str, object], seed: int
) -> None:
    table = labels(population)
    # The last person's photos stand in two folders, which say different things.
    table.loc[table["person"] == f"{len(population) - 1:03d}", "person"] = "000"
    rows = train(config(balance), OFFICIAL, table, seed=seed)
    assert (rows.groupby("person")["fold"].nunique() == 1).all()
    assert ((rows["fold"] == -1) == (rows["split"] == "holdout")).all()
    assert rows["photo"].is_unique
    assert rows["photo"].tolist() == table["photo"].tolist()


@pytest.mark.slow
@given(population=people, balance=st.sampled_from(BALANCES), seed=st.integers(0, 99))
def test_the_order_of_photos_changes_no_row(
    population: list[tuple[int, int]], balance: dict[str, object], seed: int
) -> None:
    table = labels(population)
    mixed = table.sample(frac=1, random_state=seed, ignore_index=True)
    rows = [
        train(config(balance), OFFICIAL, some, seed=seed).set_index("photo").sort_index()
        for some in (table, mixed)
    ]
    assert rows[0].equals(rows[1])


@pytest.mark.slow
@given(population=people, cuts=shifted, balance=st.sampled_from(BALANCES), seed=st.integers(0, 99))
def test_shifted_bands_move_targets_and_nothing_of_the_yardstick(
    population: list[tuple[int, int]], cuts: tuple[int, int], balance: dict[str, object], seed: int
) -> None:
    table = labels(population)
    official = train(config(balance), OFFICIAL, table, seed=seed)
    moved = train(config(balance), bands(*cuts), table, seed=seed)
    for column in ("class", "split", "fold", "stratum"):
        assert moved[column].tolist() == official[column].tolist()
    mask, gender, band = classes.decode(moved["target"])
    assert (band == classes.band(moved["age"], *cuts)).all()
    assert (mask == moved["mask"]).all()
    assert (gender == moved["gender"]).all()
    if balance["kind"] != "oversample":
        assert moved["repeats"].tolist() == official["repeats"].tolist()


def test_each_age_around_the_cuts_has_its_class_and_target() -> None:
    table = labels([(0, age) for age in (28, 29, 30, 57, 58, 59, 60)])
    rows = train(config(NONE, holdout=0.0), bands(29, 58), table, seed=0)
    worn = rows[rows["kind"] == "mask1"]
    assert worn["class"].tolist() == [0, 0, 1, 1, 1, 1, 2]
    assert worn["target"].tolist() == [0, 1, 1, 1, 2, 2, 2]


@pytest.mark.slow
@given(population=people, seed=st.integers(0, 99))
def test_balancing_changes_repeats_of_training_people_only(
    population: list[tuple[int, int]], seed: int
) -> None:
    table = labels(population)
    plain, over, under = (train(config(each), OFFICIAL, table, seed=seed) for each in BALANCES)
    for rows in (over, under):
        assert rows.drop(columns="repeats").equals(plain.drop(columns="repeats"))
    for rows in (plain, over, under):
        assert (rows.loc[rows["split"] == "holdout", "repeats"] == 0).all()
    assert (plain.loc[plain["split"] == "train", "repeats"] == 1).all()
    assert (over.loc[over["split"] == "train", "repeats"] >= 1).all()
    kept = under[under["split"] == "train"].groupby("person")["repeats"].sum()
    assert (kept == 5).all()


def test_unreadable_photos_keep_their_row_and_are_never_seen() -> None:
    table = labels([(0, 20), (1, 40), (0, 60), (1, 20)])
    table.loc[3, "status"] = "unreadable"
    for balance in BALANCES:
        rows = train(config(balance, folds=2, holdout=0.0), OFFICIAL, table, seed=0)
        assert len(rows) == len(table)
        assert rows["repeats"].iloc[3] == 0
    assert manifest.counts(rows, 5, 0, 0)["unreadable"] == 1
    assert sum(manifest.class_counts(rows)["official"]) == 27


@pytest.mark.slow
@given(population=people, seed=st.integers(0, 9))
def test_a_photo_under_two_names_keeps_them_on_one_side(population: list[tuple[int, int]], seed: int) -> None:
    table = labels(population)
    twins = table["person"].isin(["000", "005"])
    table.loc[table["person"] == "005", "sha256"] = table.loc[table["person"] == "000", "sha256"].to_numpy()
    rows = train(config(NONE), OFFICIAL, table, seed=seed)
    assert rows.loc[twins.to_numpy(), "fold"].nunique() == 1
    assert manifest.counts(rows, 0, 0, 0)["people_under_two_names"] == 1


@pytest.mark.slow
@given(population=people, balance=st.sampled_from(BALANCES), cuts=shifted)
def test_counts_add_up(
    population: list[tuple[int, int]], balance: dict[str, object], cuts: tuple[int, int]
) -> None:
    rows = train(config(balance), bands(*cuts), labels(population), seed=1)
    counts = manifest.counts(rows, 0, 0, 0)
    for what, number in (("people", len(population)), ("photos", 7 * len(population))):
        parts = dict(counts[what])
        assert parts.pop("total") == number == sum(parts.values())
        assert set(parts) == {"fold0", "fold1", "fold2", "holdout"}
    strata = counts["strata"].values()
    assert sum(each["train"] + each["holdout"] for each in strata) == len(population)
    training = rows["split"] == "train"
    totals = {
        what: sum(each[what] for each in counts["classes"].values())
        for what in ("official", "target", "balanced")
    }
    assert totals == {"official": training.sum(), "target": training.sum(), "balanced": rows["repeats"].sum()}


def findings(name: str, photos: list[str], statuses: list[str]) -> manifest.Findings:
    rows = pd.DataFrame({"photo": photos, name: statuses, f"{name}_value": np.arange(len(photos))})
    return manifest.Findings(rows, name, Path(f"{name}.csv"), f"find_{name}")


def test_joining_goes_by_photo_and_keeps_rows_and_order() -> None:
    photos = pd.DataFrame({"photo": ["c", "a", "b"], "status": ["ok", "ok", "unreadable"]})
    face = findings("face", ["a", "b", "c", "more"], ["unreadable", "unreadable", "found", "found"])
    matte = findings("matte", ["c", "b", "a"], ["empty", "unreadable", "ok"])
    joined = manifest.join(photos, [face, matte])
    assert joined["photo"].tolist() == ["c", "a", "b"]
    assert joined["face"].tolist() == ["found", "unreadable", "unreadable"]
    assert joined["matte_value"].tolist() == [0, 2, 1]
    assert joined["status"].tolist() == ["ok", "unreadable", "unreadable"]


def test_a_photo_that_a_stage_does_not_know_is_an_error() -> None:
    photos = pd.DataFrame({"photo": ["a", "b", "c"], "status": "ok"})
    with pytest.raises(
        UserError, match=r"matte\.csv: no row for b \(and 1 more\).*run `dvc repro find_matte`"
    ):
        manifest.join(
            photos, [findings("face", ["a", "b", "c"], ["found"] * 3), findings("matte", ["a"], ["ok"])]
        )


def lent(population: list[tuple[int, int]], sources: list[str]) -> pd.DataFrame:
    """People of an extra data set; ids start anew there."""
    table = labels(population)
    named = dict(zip(table["person"].unique(), sources, strict=True))
    return table.assign(
        source=table["person"].map(named),
        photo="extra/set/" + table["photo"],
        person="set/" + table["person"],
        sha256="extra " + table["sha256"],
    )


@pytest.mark.slow
@given(
    population=people,
    sources=st.lists(st.sampled_from(["", *(f"{k:03d}" for k in range(12))]), min_size=1, max_size=8),
    balance=st.sampled_from(BALANCES),
    seed=st.integers(0, 9),
)
def test_extra_photos_train_only_where_their_person_does_not_validate(
    population: list[tuple[int, int]], sources: list[str], balance: dict[str, object], seed: int
) -> None:
    table, more = labels(population), lent([(k % 2, 20 + k) for k in range(len(sources))], sources)
    rows = train(config(balance), OFFICIAL, table, more, seed=seed)
    plain = train(config(balance), OFFICIAL, table, seed=seed)
    ours = rows["split"] != "extra"
    assert rows.loc[ours, "photo"].tolist() == table["photo"].tolist()
    assert rows.loc[~ours, "photo"].tolist() == more["photo"].tolist()
    unmoved = ["photo", "class", "target", "split", "fold"]
    unmoved += [] if balance["kind"] == "oversample" else ["repeats"]
    assert rows.loc[ours, unmoved].equals(plain[unmoved])
    whose = dict(zip(plain["person"], plain["fold"], strict=True)) | {"": -2}
    expected = more["source"].map(whose).to_numpy()
    assert rows.loc[~ours, "fold"].tolist() == expected.tolist()
    assert (rows.loc[~ours, "repeats"].to_numpy()[expected == -1] == 0).all()
    if balance["kind"] != "undersample":
        assert (rows.loc[~ours, "repeats"].to_numpy()[expected != -1] > 0).all()


def test_oversampling_counts_the_extra_photos() -> None:
    table = labels([(0, 20)] * 8 + [(1, 40)] * 2)
    more = lent([(1, 40)] * 6, [""] * 6)
    cfg = config({"kind": "oversample", "ratio": 1.0, "cap": 9}, holdout=0.0)
    alone, helped = (train(cfg, OFFICIAL, table, part, seed=0) for part in (more[:0], more))
    for rows, wanted in ((alone, 4), (helped, 1)):
        assert set(rows.loc[(rows["kind"] == "mask1") & (rows["gender"] == 1), "repeats"]) == {wanted}


def test_extra_photos_are_counted_apart() -> None:
    table = labels([(0, 20)] * 6)
    more = lent([(1, 70)] * 4, ["", "", "000", ""])
    more.loc[0, "sha256"] = table.loc[8, "sha256"]
    more.loc[[1, 2], "status"] = "unreadable"
    cfg = config(NONE, holdout=0.0)
    rows = train(cfg, OFFICIAL, table, more, seed=0)
    counts = manifest.counts(rows, 0, 0, 0)
    alone = manifest.counts(train(cfg, OFFICIAL, table, seed=0), 0, 0, 0)
    for what in ("people", "photos", "strata", "unreadable"):
        assert counts[what] == alone[what]
    assert counts["extra"] == {
        "people": 4,
        "people_of_a_fold": 2,
        "people_barred": 0,
        "photos": 28,
        "unreadable": 2,
        "copies": 1,
        "trained": 25,
    }
    per_class = manifest.class_counts(rows)
    assert sum(per_class["official"]) == sum(per_class["target"]) == 42
    assert sum(per_class["extra"]) == 25
    assert sum(per_class["balanced"]) == 67 == rows["repeats"].sum()
    assert "extra" not in manifest.class_counts(train(cfg, OFFICIAL, table, seed=0))


def test_photos_without_labels_leave_out_what_is_known() -> None:
    found = pd.DataFrame({"photo": list("abcde"), "sha256": ["x", "y", "z", "z", "w"]})
    known = [pd.DataFrame({"sha256": [content]}) for content in ("x", "w", "v")]
    assert manifest.unlabelled(found, *known)["photo"].tolist() == ["b", "c"]
