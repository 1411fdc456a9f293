"""Photos of one set change no byte of another's outputs: one more photo to answer retrains no network."""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from PIL import Image

from facemask.faces import finders
from facemask.records import raw, tables
from facemask.runtime import hardware
from facemask.settings import loading

pytestmark = pytest.mark.slow

STAGES = ("face_crop", "background_removal", "build_manifest")
FACE, NO_FACE = 255, 0


class Stub(finders.Finder):
    """Finds a face, whose place follows from the photo, unless the first pixel's red is a multiple of four."""

    kind = "stub"
    status = "found"
    searches = True

    def fingerprint(self) -> str:
        return "stub"

    def find(self, pixels: list[np.ndarray]) -> list[np.ndarray]:
        places = [photo.mean() / 10 for photo in pixels]
        rows = [np.array([[at, at, at + 15, at + 20, 0.9]]) for at in places]
        return [row[: int(photo[0, 0, 0]) % 4] for row, photo in zip(rows, pixels, strict=True)]


def flat(path: Path, red: int, blue: int = 0) -> None:
    Image.new("RGB", (48, 64), (red, 90, blue)).save(path)


def list_eval(root: Path, name: str) -> Path:
    """Add a row to the list of eval photos; the file is still to be written."""
    with (root / "eval" / "info.csv").open("a") as file:
        file.write(f"{name},0\n")
    return root / "eval" / "images" / name


def outputs() -> dict[str, dict[str, bytes]]:
    """What the stages wrote, by set and file."""
    return {
        name: {path.as_posix(): path.read_bytes() for stage in STAGES for path in Path(stage, name).iterdir()}
        for name in tables.SETS
    }


def test_more_photos_of_one_set_leave_the_others_outputs_alone(
    pipeline: Any,
    contest_folder: Callable[..., Path],
    toy_yaml: dict[str, Any],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    root = contest_folder(people=6, eval_people=2)
    more = contest_folder("extra/more", people=2, eval_people=1, seed=1)
    shutil.move(more / "eval" / "images", more / "unlabelled")
    shutil.rmtree(more / "eval")
    monkeypatch.setattr(hardware, "cores", lambda: 1)
    monkeypatch.setattr(finders, "build", lambda _: Stub())
    toy_yaml["face_crop"]["fallback"] = ["median"]
    toy_yaml["background_removal"]["matting"] = {"kind": "grabcut", "iterations": 1, "height": 32}
    toy_yaml["build_manifest"]["balance"] = {"kind": "oversample", "ratio": 1.0, "cap": 3}
    cfg = loading.parse(toy_yaml, "toy")

    def run() -> dict[str, dict[str, bytes]]:
        pipeline.prepare(cfg, root, extra=tmp_path / "extra")
        return outputs()

    before = run()
    statuses = {name: tables.read(Path("face_crop", name, "boxes.csv"), tables.BOXES) for name in tables.SETS}
    assert all({"found", "median"} <= set(boxes["status"]) for boxes in statuses.values())
    for number, red in enumerate((FACE, NO_FACE, None)):
        photo = list_eval(root, f"{number}.png")
        photo.write_bytes(b"") if red is None else flat(photo, red)
        after = run()
        assert {name for name in tables.SETS if after[name] != before[name]} == {"eval"}
        before = after
    person = root / "train" / "images" / "000099_female_Asian_45"
    person.mkdir()
    for number, kind in enumerate(raw.KINDS):
        flat(person / f"{kind}.png", FACE, 30 * number)
    with (root / "train" / "train.csv").open("a") as file:
        file.write("000099,female,Asian,45,000099_female_Asian_45\n")
    after = run()
    assert after["labelled"] != before["labelled"]
    assert after["eval"] == before["eval"]
    assert after["unlabelled"] == before["unlabelled"]
