"""What a reviewer decided: rows of ``data/review.csv``, and of ``data/label_fixes.csv`` for accepted corrections.

Both files are read anew before each change, under a lock, and replaced whole: two tabs, two servers or a crash lose
nothing. The fix is written first: after a crash between the two the suspect is shown again, and accepting it once more
adds no second row.
"""

from __future__ import annotations

import csv
import datetime
import hashlib
import io
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final, Literal

from filelock import FileLock

from facemask.records import csvfile
from facemask.runtime import files
from facemask.runtime.errors import UserError

Verdict = Literal["accepted", "rejected"]
Row = dict[str, str]

COLUMNS: Final = (
    "dataset",
    "person",
    "photo",
    "other",
    "attribute",
    "reason",
    "given",
    "new",
    "decision",
    "date",
    "reviewer",
)
FIX: Final = ("dataset", "id", "field", "old", "new", "status", "source", "note")
# Columns that the page adds to data/label_fixes.csv; fix_labels reads lists with and without them.
ADDED: Final = ("date", "reviewer")
SOURCE: Final = "review"
_REMEDY: Final = "`git checkout` brings the last committed one back"


class ConflictError(UserError):
    """The decision cannot be made (any more): somebody else made it, or the list of fixes refuses it."""


def key(suspect: Mapping[str, Any]) -> str:
    """Name a suspect, the same after the next run: a label by what it is, all else by its photos."""
    label = suspect["attribute"] in ("mask", "gender", "age")
    parts = [suspect[name] for name in ("dataset", "person", "attribute", "reason")]
    if suspect["attribute"] not in ("gender", "age"):
        parts += [suspect["photo"], suspect["other"]]
    return hashlib.sha256("\0".join([*parts, suspect["given"] if label else ""]).encode()).hexdigest()[:20]


class Ledger:
    """The two files.

    Parameters
    ----------
    review, fixes
        ``data/review.csv``, which may not be there yet, and ``data/label_fixes.csv``.
    lock
        File that is locked while one of them changes.
    verify
        Raises :class:`facemask.runtime.errors.UserError` for a list of fixes (a path) that the next run would refuse.
    """

    def __init__(self, review: Path, fixes: Path, lock: Path, verify: Callable[[Path], None]) -> None:
        self._review, self._fixes, self._verify = review, fixes, verify
        lock.parent.mkdir(parents=True, exist_ok=True)
        self._lock = FileLock(lock)

    def decided(self) -> dict[str, Row]:
        """All decisions by the suspect's key.

        Raises
        ------
        UserError
            If the file is damaged.
        """
        return {key(row): row for row in self._rows()}

    def decide(self, suspect: Mapping[str, Any], verdict: Verdict, new: str, reviewer: str) -> None:
        """Write a decision, and the fix if an accepted suspect has one; ``new`` is its new value.

        Raises
        ------
        ConflictError
            If it was decided before, or the fix is refused.
        """
        with self._lock:
            rows = self._rows()
            if any(key(row) == key(suspect) for row in rows):
                raise ConflictError("decided already, perhaps in another tab")
            today = datetime.date.today().isoformat()
            if verdict == "accepted" and suspect["field"]:
                self._add(suspect, new, today, reviewer)
            kept = {name: str(suspect[name]) for name in COLUMNS if name in suspect}
            made = {"new": new, "decision": verdict, "date": today, "reviewer": reviewer}
            _write(self._review, COLUMNS, [*rows, kept | made])

    def undo(self, name: str) -> None:
        """Take a decision back, by the suspect's key, and the fix that it wrote.

        Raises
        ------
        ConflictError
            If there is no such decision, or the list without the fix is refused.
        """
        with self._lock:
            rows = self._rows()
            gone = next((row for row in rows if key(row) == name), None)
            if gone is None:
                raise ConflictError("taken back already, perhaps in another tab")
            if gone["decision"] == "accepted":
                header, fixes = _read(self._fixes)
                left = [row for row in fixes if not _made_by(row, gone)]
                if len(left) < len(fixes):
                    self._replace(header, left)
            _write(self._review, COLUMNS, [row for row in rows if row is not gone])

    def _rows(self) -> list[Row]:
        if not self._review.exists():
            return []
        frame = csvfile.text(self._review, _REMEDY)
        csvfile.require(self._review, frame, COLUMNS, _REMEDY)
        return [{name: str(row[name]) for name in COLUMNS} for row in frame.to_dict("records")]

    def _add(self, suspect: Mapping[str, Any], new: str, today: str, reviewer: str) -> None:
        header, fixes = _read(self._fixes)
        row = {name: str(suspect[name]) for name in ("dataset", "id", "field", "old")}
        row |= {
            "new": new,
            "status": "confirmed",
            "source": SOURCE,
            "note": f"{suspect['reason']}: {suspect['photo']}",
        }
        if not any(all(one.get(name) == row[name] for name in FIX[:5]) for one in fixes):
            header += [name for name in ADDED if name not in header]
            self._replace(header, [*fixes, row | {"date": today, "reviewer": reviewer}])

    def _replace(self, header: Sequence[str], rows: Sequence[Row]) -> None:
        tried = self._fixes.with_name(f".{self._fixes.name}.{hashlib.sha256(b'review').hexdigest()[:8]}.part")
        try:
            tried.write_text(_text(header, rows), encoding="utf-8")
            self._verify(tried)
        except UserError as error:
            raise ConflictError(str(error).replace(str(tried), str(self._fixes))) from None
        finally:
            tried.unlink(missing_ok=True)
        _write(self._fixes, header, rows)


def _made_by(fix: Row, decision: Row) -> bool:
    """Whether the page wrote this fix for this decision."""
    said = {
        "dataset": decision["dataset"],
        "new": decision["new"],
        "source": SOURCE,
        "reviewer": decision["reviewer"],
    }
    note = f"{decision['reason']}: {decision['photo']}"
    return fix.get("note") == note and all(fix.get(name) == value for name, value in said.items())


def _read(path: Path) -> tuple[list[str], list[Row]]:
    frame = csvfile.text(path, _REMEDY)
    csvfile.require(path, frame, FIX, _REMEDY)
    return list(frame.columns), [{str(k): str(v) for k, v in row.items()} for row in frame.to_dict("records")]


def _text(header: Sequence[str], rows: Sequence[Row]) -> str:
    stream = io.StringIO()
    writer = csv.DictWriter(stream, header, restval="", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return stream.getvalue()


def _write(path: Path, header: Sequence[str], rows: Sequence[Row]) -> None:
    with files.replacing(path) as temporary:
        temporary.write_text(_text(header, rows), encoding="utf-8")
