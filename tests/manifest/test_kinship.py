"""Whose fold a photo of an extra data set must keep out of."""

from __future__ import annotations

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from facemask.manifest import kinship

Rows = list[tuple[str, str, str]]
contents = st.sampled_from("abcdefgh")
FOLDS = {"p0": 0, "p1": 0, "p2": 1, "p3": -1}


def main(rows: list[tuple[str, str]]) -> pd.DataFrame:
    table = pd.DataFrame(rows, columns=["person", "sha256"], dtype=str)
    return table.assign(fold=table["person"].map(FOLDS).astype("int64"), status="ok")


def extra(rows: Rows) -> pd.DataFrame:
    return pd.DataFrame(rows, columns=["person", "source", "sha256"], dtype=str).assign(status="ok")


def fold(rows: pd.DataFrame) -> dict[str, int]:
    assert (rows.groupby("person")["fold"].nunique() == 1).all()
    return dict(zip(rows["person"], rows["fold"], strict=True))


EVERYBODY = [(person, f"of {person}") for person in FOLDS]


def test_equal_ids_of_different_data_sets_are_different_people() -> None:
    rows = kinship.assign(main(EVERYBODY), extra([("set/p0", "", "x"), ("set/p3", "", "y")]), [])
    assert fold(rows) == {"set/p0": kinship.NOBODYS, "set/p3": kinship.NOBODYS}
    assert not rows["copy"].any()


def test_a_named_source_gives_its_fold_to_all_photos_of_the_person() -> None:
    rows = kinship.assign(
        main(EVERYBODY),
        extra([("s/1", "p2", "x"), ("s/1", "", "y"), ("s/2", "p3", "z"), ("s/3", "p0", "w")]),
        [],
    )
    assert fold(rows) == {"s/1": 1, "s/2": -1, "s/3": 0}


def test_equal_bytes_make_two_people_one_and_are_seen_once() -> None:
    rows = kinship.assign(
        main(EVERYBODY), extra([("s/1", "", "of p2"), ("s/1", "", "y"), ("s/2", "", "z")]), []
    )
    assert fold(rows) == {"s/1": 1, "s/2": kinship.NOBODYS}
    assert rows["copy"].tolist() == [True, False, False]


def test_it_carries_over_from_one_data_set_to_the_next() -> None:
    rows = kinship.assign(
        main(EVERYBODY), extra([("a/1", "", "x"), ("b/1", "", "x"), ("b/1", "", "y"), ("c/9", "p2", "y")]), []
    )
    assert fold(rows) == {"a/1": 1, "b/1": 1, "c/9": 1}
    assert rows["copy"].tolist() == [False, True, False, True]


def test_people_of_two_folds_train_neither() -> None:
    rows = kinship.assign(main(EVERYBODY), extra([("s/1", "p0", "x"), ("s/1", "p2", "y")]), [])
    assert fold(rows) == {"s/1": -1}
    same = kinship.assign(main(EVERYBODY), extra([("s/1", "p0", "x"), ("s/1", "p1", "y")]), [])
    assert fold(same) == {"s/1": 0}


def test_people_of_eval_photos_train_nothing() -> None:
    rows = kinship.assign(
        main(EVERYBODY), extra([("s/1", "", "e"), ("s/1", "", "x"), ("s/2", "p0", "y")]), ["e"]
    )
    assert fold(rows) == {"s/1": -1, "s/2": 0}
    assert rows["copy"].tolist() == [True, False, False]


def test_unreadable_photos_tell_nothing() -> None:
    table, more = main([*EVERYBODY, ("p2", "")]), extra([("s/1", "", ""), ("s/2", "", "x")])
    table.loc[table["sha256"] == "", "status"] = "unreadable"
    more.loc[more["sha256"] == "", "status"] = "unreadable"
    rows = kinship.assign(table, more, [])
    assert set(fold(rows).values()) == {kinship.NOBODYS}
    assert not rows["copy"].any()


@pytest.mark.slow
@given(
    ours=st.lists(st.tuples(st.sampled_from(sorted(FOLDS)), contents), max_size=8),
    theirs=st.lists(
        st.tuples(
            st.sampled_from(["a/1", "a/2", "b/1", "b/2", "b/3"]), st.sampled_from(["", *FOLDS]), contents
        ),
        min_size=1,
        max_size=12,
    ),
    taken=st.lists(contents, max_size=2),
    data=st.data(),
)
def test_nobody_trains_a_fold_that_any_chain_leads_to(
    ours: list[tuple[str, str]], theirs: Rows, taken: list[str], data: st.DataObject
) -> None:
    table = main([*EVERYBODY, *ours])
    rows = kinship.assign(table, extra(theirs), taken)
    links = [{f"person {p}", f"photo {c}"} for p, c in [*EVERYBODY, *ours]]
    links += [{f"person {p}", f"photo {c}"} for p, _, c in theirs]
    links += [{f"person {p}", f"person {source}"} for p, source, _ in theirs if source]
    for person, given_fold in fold(rows).items():
        reached = {f"person {person}"}
        while any(link & reached and not link <= reached for link in links):
            reached |= set().union(*(link for link in links if link & reached))
        wanted = {FOLDS[p] for p in FOLDS if f"person {p}" in reached}
        wanted |= {-1 for c in taken if f"photo {c}" in reached}
        assert given_fold == (wanted.pop() if len(wanted) == 1 else -1 if wanted else kinship.NOBODYS)
    shuffled = data.draw(st.permutations(theirs))
    assert fold(kinship.assign(table, extra(shuffled), taken)) == fold(rows)
    kept = rows[~rows["copy"]]["sha256"]
    assert kept.is_unique
    assert not set(kept) & ({c for _, c in ours} | set(taken))


def test_people_of_one_data_set_with_equal_photos_are_one() -> None:
    rows = pd.DataFrame(
        [("b", "x", "ok"), ("a", "x", "ok"), ("a", "y", "ok"), ("c", "y", "ok"), ("d", "z", "ok")],
        columns=["person", "sha256", "status"],
    )
    assert kinship.same(rows) == {"b": "b", "a": "b", "c": "b", "d": "d"}
    unread = rows.assign(status="unreadable")
    assert kinship.same(unread) == {name: name for name in "bacd"}
