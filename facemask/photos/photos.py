"""The photos to prepare: which they are, their bytes, and work on each of them that is paid for once."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pandas as pd

from facemask.photos import memo
from facemask.records import roots, tables
from facemask.runtime.errors import UserError, printable

Item = TypeVar("Item")


class Photo(NamedTuple):
    """A photo's key (see :mod:`facemask.records.roots`) and the SHA-256 of its bytes."""

    key: str
    sha256: str


def by_set(table: pd.DataFrame, suffix: str) -> dict[str, list[Photo]]:
    """Photos of :data:`facemask.records.tables.PHOTOS` with status ``ok``, set by set.

    Each set's are sorted as an archive sorts ``key + suffix``.
    """
    whole = table[table["status"] == "ok"]
    found: dict[str, list[Photo]] = {name: [] for name in tables.SETS}
    for name, key, sha256 in zip(whole["set"], whole["photo"], whole["sha256"], strict=True):
        found[name].append(Photo(key, sha256))
    return {name: sorted(some, key=lambda photo: photo.key + suffix) for name, some in found.items()}


def short(key: str) -> str:
    """Return what tells a photo's person: the folder's id, or the name of a photo without labels."""
    path = Path(key)
    labelled = path.parts[-4:-2] == ("train", "images")
    return printable(path.parent.name.split("_")[0] if labelled else path.stem[:8])


def read(where: roots.Roots, photo: Photo) -> bytes:
    """Read a photo's bytes.

    Raises
    ------
    UserError
        If the file is gone, or is not the one that was indexed.
    """
    path = where.path(photo.key)
    try:
        data = path.read_bytes()
    except OSError as error:
        raise UserError(f"{path}: {error.strerror or error}; run `dvc repro fix_labels`") from None
    if hashlib.sha256(data).hexdigest() != photo.sha256:
        raise UserError(f"{path}: changed since it was indexed; run `dvc repro fix_labels`")
    return data


def keys(some: Sequence[Photo], fingerprint: str) -> list[str]:
    """Keys in the memo of what is computed from photos alone, see :func:`facemask.photos.memo.fingerprint`."""
    return [memo.key(fingerprint, photo.sha256) for photo in some]


def each(
    task: Callable[[Sequence[Item]], list[bytes]],
    items: Sequence[Item],
    keys: Sequence[str],
    kept: memo.Memo,
    pool: Callable[[Callable[[Any], Any], Sequence[Any]], Iterator[Any]],
    *,
    chunk: int = 32,
) -> Iterator[bytes]:
    """Yield the task's result for every item, in order; what ``kept`` holds is not computed again.

    Parameters
    ----------
    task
        Gives one result an item, each depending on that item alone.
    items
        Photos, or photos with something that is wanted of them.
    keys
        What each result depends on, hashed (:func:`facemask.photos.memo.key`).
    kept
        Gets new results chunk by chunk, so a killed stage loses only the chunks under way.
    pool
        Who computes, see :class:`facemask.runtime.executor.Executor`.
    chunk
        Items handed over at a time.
    """
    missing = [place for place, key in enumerate(keys) if key not in kept]
    new = set(missing)
    parts = [missing[start : start + chunk] for start in range(0, len(missing), chunk)]
    work = pool(task, [[items[place] for place in part] for part in parts])
    ready: dict[int, bytes] = {}
    coming = iter(parts)
    for place, key in enumerate(keys):
        if place in new:
            if place not in ready:
                part = next(coming)
                ready = dict(zip(part, next(work), strict=True))
                kept.put([(keys[i], result) for i, result in ready.items()])
            yield ready.pop(place)
        else:
            # Another process may have pushed the entry out in the meantime.
            found = kept.get(key)
            yield found if found is not None else task([items[place]])[0]
