"""Link people across data sets, so that nobody trains the fold that validates on them.

Two people are one if a photo of one has the bytes of a photo of the other, or if the extra data set says so; this
carries over from one to the next.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Final

import networkx as nx
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
    group = _components(_links(rows))
    names: dict[int, str] = {}
    return {person: names.setdefault(group[person], person) for person in rows["person"].unique()}


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
    eval_photos = set(taken)
    links = nx.compose(_links(main), _links(extra))
    links.add_edges_from(extra.loc[extra["source"] != "", ["person", "source"]].to_numpy())
    links.add_nodes_from(map(_photo, eval_photos))
    group = _components(links)
    barred: dict[int, set[int]] = defaultdict(set)
    for person, fold in zip(main["person"], main["fold"], strict=True):
        barred[group[person]].add(int(fold))
    for content in eval_photos:
        barred[group[_photo(content)]].add(tables.HOLDOUT)
    folds = {}
    for person in extra["person"].unique():
        of = barred.get(group[person], {NOBODYS})
        folds[person] = next(iter(of)) if len(of) == 1 else tables.HOLDOUT
    shown = eval_photos | set(main.loc[main["status"] == "ok", "sha256"])
    known = extra["sha256"].isin(shown) | extra["sha256"].duplicated()
    return extra.assign(
        fold=extra["person"].map(folds).astype("int64"), copy=known & (extra["status"] == "ok")
    )


def _links(rows: pd.DataFrame) -> nx.Graph:
    """Join people to the contents of their photos."""
    links = nx.Graph()
    links.add_nodes_from(rows["person"])
    # Unreadable files are left out: two empty ones show nobody.
    whole = rows[rows["status"] == "ok"]
    links.add_edges_from(zip(whole["person"], whole["sha256"].map(_photo), strict=True))
    return links


def _photo(content: str) -> str:
    """Name a photo as no person is named."""
    return f"//{content}"


def _components(links: nx.Graph) -> dict[str, int]:
    return {name: number for number, part in enumerate(nx.connected_components(links)) for name in part}
