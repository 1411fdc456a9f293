"""The log of submissions: ``submissions.csv``, in git, to which every infer adds a row.

It is no output of DVC: a stage's outputs are deleted before it runs, brought back from caches and go with a revision,
and a log must outlive all of that. A copy beside DVC's lock files brings back rows that leave the file when an
experiment is applied or a branch is changed. The answers themselves stay in DVC's cache, where their MD5 finds them.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pandas as pd
from filelock import FileLock

from facemask.records import tables
from facemask.runtime.errors import UserError

NAME: Final = "submissions.csv"
KEPT: Final = Path(".dvc/tmp/submissions")
SCHEMA: Final = tables.Schema(
    NAME,
    {
        "date": str,
        "md5": str,
        "revision": str,
        "params": str,
        "photos": int,
        "oof": float,
        "log_loss": float,
        "as_last": float,
        "as_best": float,
        "counts": str,
        "drift": str,
        "eval_photos_used": str,
        "public": float,
        "note": str,
    },
    None,
    "every infer adds to it where infer.log is true; mend the line, or bring the file back from git",
)
# In full, a hash is too long to type; in eight digits two of a thousand rarely agree, and that is told.
SHOWN: Final = 8

# Finds a file by its MD5; None where it is gone.
Find = Callable[[str], Path | None]


def read(root: Path) -> pd.DataFrame:
    """Read the log of the project at ``root``, oldest first: the file's rows, and those that were there before.

    Raises
    ------
    UserError
        If the file or its copy is damaged.
    """
    found = [_table(path) for path in (root / NAME, root / KEPT / NAME) if path.is_file()]
    if not found:
        return pd.DataFrame({name: pd.Series(dtype=kind) for name, kind in SCHEMA.columns.items()})
    # Of a row that stands in both, the file's counts: people mend files by hand.
    whole = pd.concat(found).drop_duplicates(["date", "md5"])
    return whole.sort_values("date", kind="stable", ignore_index=True)


def append(root: Path, entry: Mapping[str, Any], answers: Path, earlier: Find) -> list[str]:
    """Add a row and return warnings; the same answers twice running are one row.

    Parameters
    ----------
    root
        Folder of the main checkout: experiments in temporary folders log there.
    entry
        What :func:`facemask.submission.entries.entry` makes.
    answers
        The ``submission.csv`` that was written.
    earlier
        Finds an earlier one.
    """
    md5 = hashlib.md5(answers.read_bytes(), usedforsecurity=False).hexdigest()
    with _locked(root):
        log = read(root)
        if len(log) and log["md5"].iloc[-1] == md5:
            return [
                f"the same answers as the last submission ({md5[:SHOWN]}, {log['date'].iloc[-1]}): not logged again"
            ]
        told = [
            f"the same answers as an earlier submission ({md5[:SHOWN]}, {date})"
            for date in log["date"][log["md5"] == md5]
        ][-1:]
        now = tables.read(answers, tables.SUBMISSION)
        row = {"md5": md5, "photos": len(now), "public": np.nan, "note": ""} | dict(entry)
        for name, other in (("as_last", _last(log)), ("as_best", best(log))):
            row[name] = np.nan if other is None else _agreement(now, earlier(other["md5"]))
        whole = pd.concat([log, pd.DataFrame([row])], ignore_index=True) if len(log) else pd.DataFrame([row])
        _write(root, whole)
    if row["drift"]:
        told.append(f"the shares of {row['drift']} differ from the labelled people's by more than chance")
    return told


def note(root: Path, start: str, public: float | None, text: str | None) -> pd.Series[Any]:
    """Write a leaderboard score, or a remark, beside the last submission whose MD5 begins with ``start``.

    Raises
    ------
    UserError
        If there is none or the beginning fits several, or the score is outside 0..1.
    """
    if public is not None and not 0 <= public <= 1:
        raise UserError(f"submissions: a score lies between 0 and 1, not at {public:g}")
    with _locked(root):
        log = read(root)
        fits = log[log["md5"].str.startswith(start.lower())]
        if fits["md5"].nunique() != 1 or not start:
            known = "none" if not len(log) else f"the last is {log['md5'].iloc[-1][:SHOWN]}"
            many = (
                "fits several submissions, type more of it" if len(fits) else f"fits no submission ({known})"
            )
            raise UserError(f"submissions: {start!r} {many}; `python -m facemask submissions` lists them")
        place = fits.index[-1]
        if public is not None:
            log.loc[place, "public"] = public
        if text is not None:
            log.loc[place, "note"] = text
        _write(root, log)
    row: pd.Series[Any] = log.loc[place]
    return row


def best(log: pd.DataFrame) -> pd.Series[Any] | None:
    """Return the row with the best leaderboard score; where none is known, with the best out-of-fold score."""
    column = "public" if log["public"].notna().any() else "oof"
    known = log[log[column].notna()]
    return None if known.empty else known.iloc[int(known[column].to_numpy().argmax())]


def _table(path: Path) -> pd.DataFrame:
    with path.open(encoding="utf-8") as file:
        known = "eval_photos_used" in file.readline()
    if known:
        return tables.read(path, SCHEMA)
    # Logs of before that column: it is unknown there.
    columns = {name: kind for name, kind in SCHEMA.columns.items() if name != "eval_photos_used"}
    return tables.read(path, replace(SCHEMA, columns=columns)).assign(eval_photos_used="")


def _last(log: pd.DataFrame) -> pd.Series[Any] | None:
    return log.iloc[-1] if len(log) else None


def _agreement(now: pd.DataFrame, path: Path | None) -> float:
    """Share of equal answers 0..1; NaN where the other ones are gone or are for other photos."""
    if path is None:
        return np.nan
    then = tables.read(path, tables.SUBMISSION)
    if now["ImageID"].tolist() != then["ImageID"].tolist() or now.empty:
        return np.nan
    return float((now["ans"] == then["ans"]).mean())


def _write(root: Path, log: pd.DataFrame) -> None:
    for path in (root / KEPT / NAME, root / NAME):
        tables.write(path, log, SCHEMA)


def _locked(root: Path) -> FileLock:
    folder = root / KEPT
    folder.mkdir(parents=True, exist_ok=True)
    return FileLock(folder / "lock")
