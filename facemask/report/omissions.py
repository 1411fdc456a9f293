"""What stages left out, borrowed or answered without looking: it bears on the scores."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

from facemask.runtime import files
from facemask.runtime.errors import UserError

# What is asked of each stage's counts.
NEEDED: Final = {
    "fix_labels": ("dataset", "people", "photos", "unreadable", "missing", "ignored", "fixes"),
    "face_crop": ("labelled", "eval"),
    "background_removal": ("labelled", "eval"),
    "build_manifest": ("extra",),
    "infer": ("photos", "unreadable"),
}
OWN: Final = ("found", "fixed", "unreadable")


@dataclass(frozen=True)
class Omission:
    """One thing that was not done as wished.

    Attributes
    ----------
    what
        What it happened to, in the plural.
    counts
        Set of photos to how many, and of how many (None where there is no whole).
    so
        What follows.
    """

    what: str
    counts: Mapping[str, tuple[int, int | None]]
    so: str

    @property
    def line(self) -> str:
        """One line: what, how many of which set."""
        parts = [
            f"{count:,} {name}" if whole is None else f"{count:,} of {whole:,} {name}"
            for name, (count, whole) in self.counts.items()
        ]
        return f"{self.what}: {', '.join(parts)}"


def read(
    labels: Path, faces: Path, mattes: Path, manifest: Path, answered: Path
) -> dict[str, dict[str, Any]]:
    """Counts by stage; parameters are the stages' folders.

    Raises
    ------
    UserError
        If a stage's file is missing, damaged or of another version.
    """
    about = [folder / "about" / "counts.json" for folder in (labels, faces, mattes, manifest)]
    found = {}
    for (stage, keys), path in zip(NEEDED.items(), [*about, answered / "about.json"], strict=True):
        told = found[stage] = files.read_json(path, f"run `dvc repro {stage}`")
        if lacking := [key for key in keys if key not in told]:
            raise UserError(f"{path}: no {lacking[0]!r}; run `dvc repro -f {stage}`")
    return found


def found(counts: Mapping[str, Mapping[str, Any]]) -> list[Omission]:
    """List what happened at least once, from what :func:`read` gives."""
    every = _every(counts)
    some = [
        Omission(one.what, {name: pair for name, pair in one.counts.items() if pair[0]}, one.so)
        for one in every
    ]
    return [one for one in some if one.counts]


def _every(counts: Mapping[str, Mapping[str, Any]]) -> list[Omission]:
    labels, boxes, mattes = (counts[name] for name in ("fix_labels", "face_crop", "background_removal"))
    photos, answers = labels["photos"], counts["infer"]
    borrowed = {
        name: sum(count for status, count in part["status"].items() if status not in OWN)
        for name, part in boxes.items()
    }
    empty = {name: part["status"]["empty"] for name, part in mattes.items()}
    more = counts["build_manifest"]["extra"]
    return [
        Omission(
            "photos that cannot be read",
            _pairs(labels["unreadable"], photos),
            "not trained on and not scored; they keep their rows",
        ),
        Omission(
            "eval photos answered without looking",
            {"eval": (answers["unreadable"], answers["photos"])},
            "unreadable: each gets the class frequencies of the training photos",
        ),
        Omission(
            "boxes borrowed because no face was found",
            _pairs(borrowed, photos),
            "cropped as the person's other photos, or as photos in general",
        ),
        Omission(
            "photos without a matte",
            _pairs(empty, photos),
            "nobody was found in them: they keep their background",
        ),
        Omission(
            "photos that a person lacks",
            {"labelled": (labels["missing"], None)},
            "the person has fewer than seven photos",
        ),
        Omission(
            "label fixes not applied",
            {"in data/label_fixes.csv": (labels["fixes"]["not_trusted"], None)},
            "not trusted (fix_labels.trust)",
        ),
        Omission(
            "people of extra data sets left out",
            {"extra": (more["people_barred"], more["people"])},
            "they are people of the hold-out",
        ),
        Omission(
            "files passed over",
            {"in the data set": (labels["ignored"], None)},
            "no photos, or photos that nothing lists",
        ),
    ]


def _pairs(counts: Mapping[str, int], whole: Mapping[str, int]) -> dict[str, tuple[int, int | None]]:
    return {name: (counts[name], whole[name]) for name in whole}
