"""Draw masks onto labelled photos of bare faces: people in the contest's layout, for training only.

Run as ``python -m stages.synthesise``.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from facemask.records import left_out, tables
from facemask.runtime import executor, files, hardware, progress
from facemask.runtime.errors import UserError
from facemask.runtime.launch import launch
from facemask.settings import params
from facemask.synthesis import studio, unmasked

# Faces handed to a process at a time: enough to load its networks for, few enough to hold in memory.
CHUNK = 8


def run(cfg: params.Synthesise, *, unmasked_faces: Path, out: Path) -> None:
    """Read the folder ``unmasked_faces``; write ``out`` (contest's layout, people.csv, skipped.csv, about.json)."""
    found = unmasked.read(unmasked_faces)
    chunks = [found[start : start + CHUNK] for start in range(0, len(found), CHUNK)]
    bare = [[studio.Bare(face.photo, face.person) for face in chunk] for chunk in chunks]
    work = executor.processes(
        studio.Studio(cfg, unmasked_faces),
        bare,
        workers=hardware.cores(),
        preload=studio.PRELOAD,
    )
    made: list[unmasked.Face] = []
    skipped: list[tuple[str, str]] = []
    with files.replacing(out) as folder:
        (folder / "train").mkdir(parents=True)
        results = (
            pair for chunk, done in zip(chunks, work, strict=True) for pair in zip(chunk, done, strict=True)
        )
        for face, portraits in progress.track(results, total=len(found), label="faces"):
            if portraits.reason:
                skipped.append((face.photo, portraits.reason))
                continue
            made.append(face)
            home = folder / "train" / "images" / face.folder
            home.mkdir(parents=True)
            for name, data in portraits.files.items():
                (home / name).write_bytes(data)
        if found and not made:
            raise UserError(
                f"{unmasked_faces}: no mask could be drawn on any of {len(found)} photos ({skipped[0][1]}, ...)"
            )
        _write(folder, made, skipped)
        reasons = Counter(reason.split(":")[0] for _, reason in skipped)
        counts = {"no_face": studio.NO_FACE, "turned": studio.TURNED, "unreadable": "unreadable"}
        report = {name: reasons[reason] for name, reason in counts.items()}
        about = {"faces": len(found), "people": len(made), "skipped": len(skipped)}
        told = left_out.line("synthesise", len(found), "faces", reasons)
        files.write_json(folder / "about.json", about | report)
        left_out.keep(folder, told)
    left_out.tell(told)


def _write(folder: Path, made: Sequence[unmasked.Face], skipped: Sequence[tuple[str, str]]) -> None:
    rows = [(face.person, face.gender, face.race, face.age, face.folder) for face in made]
    train = pd.DataFrame(rows, columns=list(unmasked.TRAIN.columns))
    people = pd.DataFrame(
        [(face.folder, face.source) for face in made], columns=list(unmasked.PEOPLE.columns)
    )
    passed = pd.DataFrame(sorted(skipped), columns=list(unmasked.SKIPPED.columns))
    tables.write(folder / "train" / "train.csv", train, unmasked.TRAIN)
    tables.write(folder / "train" / "people.csv", people, unmasked.PEOPLE)
    tables.write(folder / "skipped.csv", passed, unmasked.SKIPPED)


def main() -> None:
    """Run the stage with the params and paths it was given."""
    launch(run)


if __name__ == "__main__":
    main()
