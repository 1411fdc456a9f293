"""Suspects of a tiny data set, and the desk that shows them."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from facemask.audit import suspects
from facemask.audit.suspects import Suspect
from facemask.records import raw, tables
from facemask.records.roots import Roots
from facemask.review.desk import Desk
from facemask.settings import loading

HEADER = "dataset,id,field,old,new,status,source,note\n"
OLD = 'other,7,gender,male,female,confirmed,"a list, and more",\n'


@dataclass
class Case:
    """A data set with suspects: where they lie, and what starts to show them."""

    folder: Path
    desk: Callable[[], Desk]
    photos: dict[tuple[str, str], str]

    @property
    def fixes(self) -> Path:
        return self.folder / "label_fixes.csv"

    @property
    def review(self) -> Path:
        return self.folder / "review.csv"

    def suspects(self, *found: Suspect) -> None:
        tables.write(self.folder / "audit" / "suspects.csv", suspects.ranked(found, "mine"), suspects.TABLE)

    def keys(self) -> dict[str, str]:
        """Key of each open suspect by its attribute."""
        return {one["attribute"]: one["key"] for one in self.desk().open()["suspects"]}


@pytest.fixture
def case(
    tmp_path: Path,
    contest_folder: Callable[..., Path],
    list_photos: Callable[..., dict[str, Path]],
    toy_yaml: dict[str, Any],
) -> Case:
    """A wrong gender, swapped files, a doubtful age, a dark photo and a face that an eval photo shows too."""
    root = contest_folder("contest", people=4, eval_people=1)
    places = list_photos(root)
    toy_yaml["fix_labels"]["dataset"] = "mine"
    cfg = loading.parse(toy_yaml, "toy")
    made = Case(tmp_path, lambda: None, {})  # type: ignore[arg-type, return-value]
    train = raw.scan(root).train
    made.photos = {(row.person, row.kind): row.photo for row in train.itertuples()}
    made.fixes.write_text(HEADER + OLD)
    where = Roots(root, places["extra"], places["synthetic"])

    def desk() -> Desk:
        return Desk(
            cfg,
            table=places["photo_table"],
            audited=tmp_path / "audit",
            where=where,
            review=made.review,
            label_fixes=made.fixes,
            lock=tmp_path / "tmp" / "review.lock",
        )

    made.desk = desk
    folder = {row.person: row.folder for row in train.itertuples()}
    shown = next(path.name for path in sorted((root / "eval" / "images").iterdir()))
    one = made.photos
    made.suspects(
        Suspect(one["000001", "mask1"], folder["000001"], "gender", "wrong label", 0.99, "male", "female",
                id="000001", field="gender", old="male", new="female"),
        Suspect(one["000002", "incorrect_mask"], folder["000002"], "mask", "swapped files", 0.98, "incorrect_mask",
                "normal", one["000002", "normal"], id="000002", field="swap", old="incorrect_mask", new="normal"),
        Suspect(one["000003", "mask1"], folder["000003"], "age", "wrong label", 0.97, "30", "<30",
                id="000003", field="age", old="30"),
        Suspect(one["000004", "mask2"], folder["000004"], "photo", "dark face", 0.96, "brightness >= 40", "12"),
        Suspect(one["000004", "normal"], folder["000004"], "identity", "same face, hash", 0.95, "000004; an eval photo",
                "alike 0.990", f"eval/images/{shown}"),
    )  # fmt: skip
    return made
