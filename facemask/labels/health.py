"""Which photo files can be read at all, what is in them (a content hash), and how many may be unreadable."""

from __future__ import annotations

import hashlib
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from typing import Final

import pandas as pd

from facemask.pixels import codec
from facemask.records import left_out
from facemask.records.roots import PREFIX, Roots
from facemask.runtime import executor, progress
from facemask.runtime.errors import UserError

# Decoding leaves the interpreter's lock, and a slow disk is waited for by several.
THREADS: Final = 4
CHUNK: Final = 16
# Unreadable photos that an error names.
_NAMED: Final = 3


def check(where: Roots, keys: Iterable[str]) -> pd.DataFrame:
    """Hash and decode every photo.

    Returns
    -------
    pandas.DataFrame
        photo, sha256 (empty if the file cannot be opened), status (``ok`` or ``unreadable``) and reason (empty if
        it can be read), in the order of ``keys``.

    Raises
    ------
    UserError
        If a whole part of a data set cannot be read.
    """
    checked = _looked(where, keys, _whole, "photos checked")
    for place, part in checked.groupby(checked["photo"].map(_part)):
        if (part["status"] != "ok").all():
            first = f"{where.path(part['photo'].iloc[0])} ({part['reason'].iloc[0]})"
            folder = where.path(str(place))
            raise UserError(
                f"{folder}: none of {len(part)} photos can be read, such as {first}; copy them anew"
            )
    return checked


def glance(where: Roots, keys: Iterable[str]) -> pd.DataFrame:
    """Do as :func:`check` with the first bytes of every photo alone: many photos a second, and no hashes.

    A file whose beginning is a photo's counts as one, whatever comes after.
    """
    return _looked(where, keys, _beginning, "photos glanced at")


def require(photos: pd.DataFrame, where: Roots, tolerate: float) -> None:
    """Refuse too many unreadable photos: they would train nothing, and be answered by a constant.

    Parameters
    ----------
    photos
        photo, set, status and reason.
    tolerate
        Largest share of a set's photos that may be unreadable, 0..1.

    Raises
    ------
    UserError
        If a set has more; names their number and share, the first files, the reasons and the remedy.
    """
    for name, part in photos.groupby("set", sort=False):
        damaged = part[part["status"] != "ok"]
        if len(damaged) <= tolerate * len(part):
            continue
        share = f"{len(damaged):,} of {len(part):,} {name} photos ({100 * len(damaged) / len(part):.3g}%)"
        some = zip(damaged["photo"][:_NAMED], damaged["reason"], strict=False)
        named = ", ".join(f"{where.path(photo)} ({reason})" for photo, reason in some)
        if len(damaged) > _NAMED:
            kinds = Counter(damaged["reason"]).most_common(left_out.MOST)
            named += f", ...; in all {', '.join(f'{count:,} {reason}' for reason, count in kinds)}"
        raise UserError(
            f"{share} cannot be read, more than fix_labels.tolerate ({tolerate:g}) allows: {named}; replace them, or "
            "set fix_labels.tolerate to a larger share"
        )


def told(photos: pd.DataFrame, passed: pd.Series[str]) -> str:
    """Say which photos are left out, and why; ``passed`` are the reasons of the quarantine."""
    damaged = photos.loc[photos["status"] != "ok", "reason"]
    reasons = {f"unreadable ({reason})": count for reason, count in Counter(damaged).items()}
    beside = {what: int(passed.str.startswith(what).sum()) for what in ("missing", "ignored")}
    more = ", ".join(f"{count:,} {what}" for what, count in beside.items() if count)
    line = left_out.line("fix_labels", len(photos), "photos", reasons)
    return f"{line}; beside them {more} (data/fix_labels/about/quarantine.csv)" if more else line


Row = tuple[str, str, str, str]


def _looked(where: Roots, keys: Iterable[str], look: Callable[[Roots, str], Row], label: str) -> pd.DataFrame:
    def several(chunk: Sequence[str]) -> list[Row]:
        return [look(where, photo) for photo in chunk]

    photos = list(keys)
    chunks = [photos[start : start + CHUNK] for start in range(0, len(photos), CHUNK)]
    parts = executor.threads(several, chunks, workers=THREADS)
    rows = [row for part in progress.track(parts, total=len(photos), label=label, size=len) for row in part]
    return pd.DataFrame(rows, columns=["photo", "sha256", "status", "reason"], dtype=str)


def _whole(where: Roots, photo: str) -> Row:
    try:
        content = where.path(photo).read_bytes()
    except OSError as error:
        return photo, "", "unreadable", error.strerror or str(error)
    digest = hashlib.sha256(content).hexdigest()
    try:
        codec.verify(content)
    except codec.UnreadableImage as error:
        return photo, digest, "unreadable", str(error)
    return photo, digest, "ok", ""


def _beginning(where: Roots, photo: str) -> Row:
    try:
        with where.path(photo).open("rb") as file:
            reason = codec.glance(file.read(codec.BEGINNING))
    except OSError as error:
        reason = error.strerror or str(error)
    return photo, "", "unreadable" if reason else "ok", reason


def _part(key: str) -> str:
    """Name the side of its data set that a photo belongs to, such as ``train/images``."""
    parts = key.split("/")
    start = 2 if parts[0] == PREFIX else 0
    return "/".join(parts[: start + (1 if parts[start] == "unlabelled" else 2)])
