"""Who of the extra data sets is whom of the main one, and so whose fold their photos must keep out of.

Two people are one if a photo of one has the bytes of a photo of the other, or if the extra data set says so; this
carries over from one to the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import pandas as pd

from facemask.records import tables

NOBODYS: Final = -2


def same(rows: pd.DataFrame) -> dict[str, str]:
    """Tell who of one data set is whom: people with a photo of equal bytes are one, under the first one's name.

    Parameters
    ----------
    rows
        person, sha256, status. Unreadable files show nobody.

    Returns
    -------
    dict
        Person -> the name of that person that comes first in ``rows``.
    """
    one: dict[str, str] = {}
    _join_by_bytes(one, rows)
    names: dict[str, str] = {}
    return {person: names.setdefault(_first(one, person), person) for person in rows["person"].unique()}


def assign(main: pd.DataFrame, extra: pd.DataFrame, taken: Iterable[str]) -> pd.DataFrame:
    """Give the photos of extra data sets the fold of their person, and tell copies.

    A person who is nobody of the main data set gets :data:`NOBODYS`: they may train every fold. One who is people
    of several folds, or is shown in an eval photo, gets :data:`facemask.records.tables.HOLDOUT`: they train none.

    Parameters
    ----------
    main
        Rows of the main data set: person, fold, sha256, status.
    extra
        Rows of extra data sets: person, source (a person of ``main`` or empty), sha256, status.
    taken
        SHA-256 of every readable eval photo.

    Returns
    -------
    pandas.DataFrame
        ``extra`` with ``fold`` and ``copy``: the photo is one of ``main``, of ``taken`` or of an earlier row.
    """
    one: dict[str, str] = {}
    for rows in (main, extra):
        _join_by_bytes(one, rows)
    for person, source in zip(extra["person"], extra["source"], strict=True):
        if source:
            _join(one, person, source)
    barred: dict[str, set[int]] = defaultdict(set)
    people = main.drop_duplicates("person")
    for person, fold in zip(people["person"], people["fold"], strict=True):
        barred[_first(one, person)].add(int(fold))
    eval_photos = set(taken)
    for content in eval_photos:
        barred[_first(one, f"//{content}")].add(tables.HOLDOUT)
    fold = {}
    for person in extra["person"].unique():
        of = barred.get(_first(one, person), {NOBODYS})
        fold[person] = next(iter(of)) if len(of) == 1 else tables.HOLDOUT
    shown = eval_photos | set(main.loc[main["status"] == "ok", "sha256"])
    known = extra["sha256"].isin(shown) | extra["sha256"].duplicated()
    return extra.assign(
        fold=extra["person"].map(fold).astype("int64"), copy=known & (extra["status"] == "ok")
    )


def _join_by_bytes(one: dict[str, str], rows: pd.DataFrame) -> None:
    # Unreadable files are left out: two empty ones show nobody.
    whole = rows[rows["status"] == "ok"]
    for person, content in zip(whole["person"], whole["sha256"], strict=True):
        _join(one, person, f"//{content}")


def _first(one: dict[str, str], name: str) -> str:
    """Return the name that stands for everybody who is one with ``name``."""
    while (other := one.get(name, name)) != name:
        # Halving the way keeps the next search short.
        one[name] = one.get(other, other)
        name = one[name]
    return name


def _join(one: dict[str, str], name: str, other: str) -> None:
    one[_first(one, name)] = _first(one, other)
