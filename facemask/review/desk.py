"""The suspects that are still open, each with the photos of its person and of whom it is compared with."""

from __future__ import annotations

import functools
from pathlib import Path
from typing import Any, Final

from facemask.audit import suspects
from facemask.labels import fixes
from facemask.photos import photos
from facemask.pixels import codec, compose
from facemask.records import raw, tables
from facemask.records.roots import Roots
from facemask.review import decisions
from facemask.runtime.errors import UserError
from facemask.settings import params

# Suspects that are handed out at a time.
MOST: Final = 100
_HEIGHT: Final = 448


class Desk:
    """What the page shows.

    Parameters
    ----------
    cfg
        Which data set is looked at, and whose fixes apply to it.
    table
        Folder of fix_labels' outputs.
    audited
        Folder of audit's outputs.
    where
        Where the photos lie.
    review, label_fixes, lock
        See :class:`facemask.review.decisions.Ledger`.

    Raises
    ------
    UserError
        If a file is missing or damaged, or the suspects are those of another data set.
    """

    def __init__(
        self,
        cfg: params.Params,
        *,
        table: Path,
        audited: Path,
        where: Roots,
        review: Path,
        label_fixes: Path,
        lock: Path,
    ) -> None:
        self._cfg, self._where, self._path = cfg.fix_labels, where, audited / suspects.TABLE.name
        self._photos = tables.read(table, tables.PHOTOS).set_index("photo", drop=False)
        self._labels = raw.scan(where.main).train
        self.ledger = decisions.Ledger(review, label_fixes, lock, self._verify)
        self.suspects()
        self.ledger.decided()

    def suspects(self) -> dict[str, dict[str, Any]]:
        """All suspects by key, best first.

        Raises
        ------
        UserError
            If the table is missing, damaged, or of other photos.
        """
        frame = tables.read(self._path, suspects.TABLE)
        named = [*frame["photo"], *frame["other"][frame["other"] != ""]]
        if not set(named) <= set(self._photos.index):
            raise UserError(f"{self._path}: names photos that are not there; run `dvc repro audit`")
        rows = [{str(name): value for name, value in row.items()} for row in frame.to_dict("records")]
        return {decisions.key(row): row for row in rows}

    def open(self) -> dict[str, Any]:
        """Suspects without a decision, at most :data:`MOST` of them, with their photos; and how many there are."""
        whole, decided = self.suspects(), self.ledger.decided()
        left = {name: row for name, row in whole.items() if name not in decided}
        shown = [self._shown(name, row) for name, row in list(left.items())[:MOST]]
        return {"suspects": shown, "left": len(left), "decided": len(whole) - len(left)}

    def _shown(self, name: str, row: dict[str, Any]) -> dict[str, Any]:
        people = [self._person(row["photo"])]
        if row["other"] and row["other"] not in {one["photo"] for one in people[0]["photos"]}:
            people.append(self._person(row["other"]))
        return row | {"key": name, "people": people}

    def _person(self, key: str) -> dict[str, Any]:
        """A photo's person with all their photos; an eval photo stands alone."""
        photo = self._photos.loc[key]
        same = self._photos["folder"] == photo["folder"] if photo["folder"] else self._photos["photo"] == key
        some = self._photos[same & (self._photos["set"] == photo["set"])]
        shown = [{"photo": one, "kind": kind} for one, kind in zip(some["photo"], some["kind"], strict=True)]
        return {"name": photo["folder"] or photo["image_id"], "set": photo["set"], "photos": shown}

    @functools.lru_cache(maxsize=256)  # noqa: B019  # a server has one desk, for as long as it runs
    def picture(self, key: str) -> bytes | None:
        """JPEG of a photo that the table knows, without what else its file holds; None if it cannot be shown."""
        if key not in self._photos.index:
            return None
        try:
            pixels = codec.decode(
                photos.read(self._where, photos.Photo(key, str(self._photos.loc[key, "sha256"])))
            )
        except (UserError, codec.UnreadableImage):
            return None
        high, wide = pixels.shape[:2]
        scale = min(1.0, _HEIGHT / max(high, wide))
        return codec.encode_jpeg(
            compose.fit(pixels, (max(1, round(high * scale)), max(1, round(wide * scale))))
        )

    def _verify(self, path: Path) -> None:
        people = fixes.known(self._labels)
        chosen = fixes.select(fixes.load(path), self._cfg.dataset, "confirmed", people=people)
        fixes.apply(self._labels, chosen.applied)
