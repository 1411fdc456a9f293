"""The synthesise stage: the contest's layout out of bare faces, nothing dropped unsaid, the same bytes every time."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facemask.records import raw
from facemask.runtime import hardware
from facemask.runtime.errors import UserError
from facemask.settings import params
from facemask.synthesis import studio
from stages import synthesise

CFG = params.Synthesise(
    styles=("surgical", "cloth", "respirator"), wrong=("below_nose", "below_mouth"), seed=7
)


class Stub:
    """Sees a face wherever the photo is not dark: in profile if it lacks green, else at fixed shares of the photo."""

    def landmarks(self, photos: list[np.ndarray]) -> list[np.ndarray]:
        found = []
        for pixels in photos:
            height, width = pixels.shape[:2]
            points = np.array([[0.35, 0.4], [0.65, 0.4], [0.5, 0.55], [0.4, 0.68], [0.6, 0.68]]) * (
                width,
                height,
            )
            if pixels[0, 0, 1] < 30:
                points[:2] = points[0]
            row = np.concatenate([[0, 0, width, height, 1.0], points.ravel()])
            found.append(row[None] if pixels.mean() > 30 else np.zeros((0, 15)))
        return found


@pytest.fixture
def stage(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[..., Path]:
    monkeypatch.setattr(hardware, "cores", lambda: 1)
    monkeypatch.setattr(studio, "_networks", Stub)

    def run(faces: Path, name: str = "out", **changes: object) -> Path:
        cfg = params.Synthesise.model_validate(CFG.model_dump() | changes)
        out = tmp_path / name
        synthesise.run(cfg, unmasked_faces=faces, out=out)
        return out

    return run


@pytest.fixture
def listed(tmp_path: Path) -> Path:
    """Four faces: one plain, one dark, one in profile, one that is no image."""
    root = tmp_path / "faces"
    root.mkdir()
    for name, colour in (("a", (120, 110, 100)), ("b", (5, 5, 5)), ("c", (240, 5, 100))):
        Image.new("RGB", (60, 80), colour).save(root / f"{name}.jpg")
    (root / "d.jpg").write_bytes(b"no image")
    rows = [
        "path,gender,age,id",
        "a.jpg,male,31,000009",
        "b.jpg,male,20,",
        "c.jpg,female,40,",
        "d.jpg,female,60,",
    ]
    (root / "faces.csv").write_text("\n".join(rows) + "\n")
    return root


def contents(folder: Path) -> dict[str, bytes]:
    return {
        p.relative_to(folder).as_posix(): p.read_bytes() for p in sorted(folder.rglob("*")) if p.is_file()
    }


def metrics(out: Path) -> dict[str, int]:
    content: dict[str, int] = json.loads((out / "about.json").read_text())
    return content


def test_the_contests_layout_comes_out_as_it_went_in(
    stage: Callable[..., Path], contest_folder: Callable[..., Path]
) -> None:
    root = contest_folder(people=5, extensions=("jpg", "png"))
    out = stage(root)
    before, after = raw.scan(root).train, raw.scan(out)
    columns = ["person", "folder", "kind", "mask", "gender", "age"]
    pd.testing.assert_frame_equal(
        *(t[columns].sort_values(columns, ignore_index=True) for t in (before, after.train))
    )
    assert after.notes.empty
    people = pd.read_csv(out / "train" / "people.csv", dtype=str)
    assert dict(zip(people["folder"], people["source"], strict=True)) == dict(
        zip(before["folder"], before["person"], strict=True)
    )
    for photo in before[before["kind"] == "normal"]["photo"]:
        assert (out / photo).read_bytes() == (root / photo).read_bytes()
    assert metrics(out) == {"faces": 5, "people": 5, "skipped": 0, "no_face": 0, "turned": 0, "unreadable": 0}


def test_what_gets_no_mask_is_told(stage: Callable[..., Path], listed: Path) -> None:
    out = stage(listed)
    skipped = pd.read_csv(out / "skipped.csv", index_col="photo")["reason"]
    assert skipped.to_dict() == {
        "b.jpg": "no face found",
        "c.jpg": "the face is turned too far for a mask",
        "d.jpg": "unreadable: not an image that can be read: it is text",
    }
    assert metrics(out) == {"faces": 4, "people": 1, "skipped": 3, "no_face": 1, "turned": 1, "unreadable": 1}
    assert (out / "train" / "people.csv").read_text() == "folder,source\n000009_male_unknown_31,000009\n"
    assert set(raw.scan(out).train["person"]) == {"000009"}


@pytest.mark.slow
def test_reruns_give_the_same_bytes_and_other_seeds_others(
    stage: Callable[..., Path], contest_folder: Callable[..., Path]
) -> None:
    root = contest_folder(people=3)
    first = contents(stage(root))
    assert contents(stage(root)) == first
    other = contents(stage(root, "other", seed=8))
    changed = {name for name in first if first[name] != other[name]}
    assert changed == {name for name in first if Path(name).stem in raw.KINDS and Path(name).stem != "normal"}


def test_a_persons_photos_do_not_depend_on_the_others(
    stage: Callable[..., Path], contest_folder: Callable[..., Path], tmp_path: Path
) -> None:
    root = contest_folder(people=3)
    whole = contents(stage(root))
    photo = next(root.glob("train/images/000002*/normal.*"))
    (tmp_path / "few").mkdir()
    (tmp_path / "few" / "x.jpg").write_bytes(photo.read_bytes())
    _, gender, race, age = photo.parent.name.split("_")
    (tmp_path / "few" / "faces.csv").write_text(
        f"path,gender,age,id,race\nx.jpg,{gender},{age},000002,{race}\n"
    )
    alone = contents(stage(tmp_path / "few", "alone"))
    photos = [name for name in alone if "/images/" in name]
    assert len(photos) == 7
    assert all(alone[name] == whole[name] for name in photos)


@pytest.mark.slow
@pytest.mark.parametrize("wrong", ["below_nose", "below_mouth", "on_eyes"])
def test_only_the_wrong_mask_depends_on_where_it_sits(
    stage: Callable[..., Path], contest_folder: Callable[..., Path], wrong: str
) -> None:
    root = contest_folder(people=2)
    chosen, others = contents(stage(root, wrong=(wrong,))), ("below_nose", "below_mouth", "on_eyes")
    for other in set(others) - {wrong}:
        second = contents(stage(root, "other", wrong=(other,)))
        assert {Path(name).stem for name in chosen if chosen[name] != second[name]} == {"incorrect_mask"}


def test_no_face_at_all_is_one_clear_line(stage: Callable[..., Path], tmp_path: Path) -> None:
    Image.new("RGB", (60, 80)).save(tmp_path / "dark.jpg")
    (tmp_path / "faces.csv").write_text("path,gender,age\ndark.jpg,male,31\n")
    with pytest.raises(UserError, match="no mask could be drawn on any of 1 photos .no face found"):
        stage(tmp_path)
    assert not (tmp_path / "out").exists()


@pytest.mark.slow
def test_nothing_to_do_writes_empty_tables_without_torch(repository: Path, tmp_path: Path) -> None:
    code = (
        "import sys; from pathlib import Path; from facemask.settings import params; from stages import synthesise;"
        "cfg = params.Synthesise(styles=('cloth',), wrong=('on_eyes',), seed=1); out = Path(sys.argv[1]);"
        "synthesise.run(cfg, unmasked_faces=Path('data/faces'), out=out / 'out');"
        "assert not {'torch', 'facenet_pytorch'} & set(sys.modules)"
    )
    subprocess.run([sys.executable, "-c", code, str(tmp_path)], cwd=repository, check=True)
    about = (tmp_path / "out" / "about.json").read_bytes()
    assert contents(tmp_path / "out") == {
        "about.json": about,
        "left_out.txt": b"synthesise: of 0 faces none left out\n",
        "skipped.csv": b"photo,reason\n",
        "train/people.csv": b"folder,source\n",
        "train/train.csv": b"id,gender,race,age,path\n",
    }
    assert set(json.loads(about).values()) == {0}


@pytest.mark.slow
def test_two_processes_find_the_same_faces_as_one(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = tmp_path / "faces"
    root.mkdir()
    rows = ["path,gender,age"]
    for folder in sorted((shared / "data" / "realfaces" / "train" / "images").iterdir())[:10]:
        _, gender, _, age = folder.name.split("_")
        (root / f"{folder.name}.jpg").write_bytes(next(folder.glob("normal.*")).read_bytes())
        rows.append(f"{folder.name}.jpg,{gender},{age}")
    (root / "faces.csv").write_text("\n".join(rows) + "\n")
    written = []
    for workers in (1, 2):
        monkeypatch.setattr(hardware, "cores", lambda count=workers: count)
        out = tmp_path / f"out{workers}"
        synthesise.run(CFG, unmasked_faces=root, out=out)
        written.append(contents(out))
    assert written[0] == written[1]
    assert metrics(tmp_path / "out1")["people"] == 10
