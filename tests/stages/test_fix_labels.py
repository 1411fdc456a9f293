"""What each photo's true label is."""

from __future__ import annotations

import hashlib
import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pandas as pd
import pytest
import yaml
from PIL import Image

from facemask.records import tables
from facemask.runtime.errors import UserError
from facemask.settings import params
from stages import fix_labels

Factory = Callable[..., Path]
HEADER = "dataset,id,field,old,new,status,source,note\n"
CONFIRMED = params.FixLabels(trust="confirmed")
PHOTOS = "train/images/000001_male_Asian_19"


@pytest.fixture
def fixes(tmp_path: Path) -> Path:
    path = tmp_path / "label_fixes.csv"
    path.write_text(HEADER)
    return path


def beside(folder: Path) -> dict[str, Path]:
    """Folders of extra data sets and of synthesised people, empty unless a test has filled them."""
    folders = {name: folder / name for name in ("extra", "synthetic")}
    for each in folders.values():
        each.mkdir(exist_ok=True)
    return folders


class Result:
    """What the stage wrote."""

    def __init__(self, root: Path, fixes: Path, cfg: params.FixLabels = CONFIRMED) -> None:
        out = root.parent / "fix_labels"
        metrics = root.parent / "metrics" / "fix_labels.json"
        more = beside(root.parent)
        fix_labels.run(cfg, root=root, fixes=fixes, out=out, metrics=metrics, **more)
        self.labels = tables.read(out / "labels.csv", tables.LABELS)
        self.eval = tables.read(out / "eval.csv", tables.EVAL)
        self.extra = tables.read(out / "extra.csv", tables.EXTRA)
        self.unlabelled = tables.read(out / "unlabelled.csv", tables.UNLABELLED)
        self.quarantine = tables.read(out / "quarantine.csv", tables.QUARANTINE)
        self.counts = json.loads(metrics.read_text())
        self.bytes = {path.name: path.read_bytes() for path in [*sorted(out.iterdir()), metrics]}


def test_every_photo_is_listed_with_its_content(contest_folder: Factory, fixes: Path) -> None:
    root = contest_folder(people=4, eval_people=2, extensions=("jpg", "png"))
    result = Result(root, fixes)
    assert len(result.labels) == 28
    assert len(result.eval) == 14
    both = pd.concat([result.labels, result.eval])
    for photo, digest in zip(both["photo"], both["sha256"], strict=True):
        assert hashlib.sha256((root / photo).read_bytes()).hexdigest() == digest
    assert set(result.labels["status"]) == set(result.eval["status"]) == {"ok"}
    assert result.labels["photo"].is_monotonic_increasing
    assert result.quarantine.empty
    assert {name: result.counts[name] for name in ("people", "photos", "eval_photos", "unreadable")} == {
        "people": 4,
        "photos": 28,
        "eval_photos": 14,
        "unreadable": 0,
    }


def test_a_second_run_writes_the_same_bytes(contest_folder: Factory, fixes: Path) -> None:
    root = contest_folder(people=3, eval_people=1)
    assert Result(root, fixes).bytes == Result(root, fixes).bytes


def test_fixes_of_this_data_set_are_made_and_counted(
    contest_folder: Factory, fixes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = contest_folder("mine", people=4, eval_people=0)
    plain = Result(root, fixes).labels
    assert "no label fixes for 'mine'" in capsys.readouterr().out
    with fixes.open("a") as file:
        file.write("mine,000001,gender,male,female,confirmed,me,\n")
        file.write("mine,000002,swap,normal,incorrect_mask,confirmed,me,\n")
        file.write("mine,000003,age,30,29,unconfirmed,me,\n")
        file.write("theirs,000009,gender,male,female,confirmed,them,\n")
    result = Result(root, fixes)
    told = capsys.readouterr().out
    assert "label fixes for 'mine': 2 of 3 applied; unused, for other data sets: theirs 1" in told
    assert "there will be no submission" in told
    assert result.counts["fixes"] == {
        "applied": {"gender": 1, "age": 0, "photo": 0, "swap": 1},
        "not_trusted": 1,
        "unused": {"theirs": 1},
    }
    assert (result.labels["gender"] != plain["gender"]).sum() == 7
    swapped = result.labels[result.labels["kind"] != plain["kind"]]
    assert dict(zip(swapped["photo"].map(lambda photo: Path(photo).stem), swapped["mask"], strict=True)) == {
        "incorrect_mask": 2,
        "normal": 1,
    }
    assert (result.labels["age"] == plain["age"]).all()
    trusting = Result(root, fixes, params.FixLabels(trust="all"))
    assert set(trusting.labels.loc[trusting.labels["person"] == "000003", "age"]) == {29}
    assert (Result(root, fixes, params.FixLabels(trust="none")).labels["gender"] == plain["gender"]).all()


def test_a_fix_that_matches_nothing_is_refused_and_writes_nothing(
    contest_folder: Factory, fixes: Path
) -> None:
    root = contest_folder("mine", people=2, eval_people=0, size=(8, 6))
    fixes.write_text(f"{HEADER}mine,000009,gender,male,female,confirmed,me,\n")
    with pytest.raises(
        UserError, match=r"label_fixes\.csv: line 2: no person of data set 'mine' has the id '000009'"
    ):
        Result(root, fixes)
    assert not (root.parent / "fix_labels").exists()


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "truncated": content[: len(content) * 2 // 3], "text": b"no photo"}[how])


@pytest.mark.parametrize("how", ["empty", "truncated", "text"])
def test_an_unreadable_photo_keeps_its_row_and_says_why(
    contest_folder: Factory, fixes: Path, how: str
) -> None:
    root = contest_folder(people=2, eval_people=1)
    listed = sorted((root / "eval" / "images").iterdir())[0]
    damage(root / PHOTOS / "mask1.jpg", how)
    damage(listed, how)
    result = Result(root, fixes)
    bad = [f"eval/images/{listed.name}", f"{PHOTOS}/mask1.jpg"]
    assert len(result.labels) == 14
    assert len(result.eval) == 7
    both = pd.concat([result.labels, result.eval])
    assert sorted(both.loc[both["status"] == "unreadable", "photo"]) == bad
    assert sorted(result.quarantine["photo"]) == bad
    assert result.quarantine["reason"].str.match("unreadable: .{5,}").all()
    assert result.counts["unreadable"] == 2


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P"])
def test_unusual_photos_are_read(contest_folder: Factory, fixes: Path, mode: str) -> None:
    root = contest_folder(people=2, eval_people=0)
    photo = root / PHOTOS / "mask1.jpg"
    suffix = ".jpg" if mode in ("L", "CMYK") else ".png"
    Image.open(photo).convert(mode).save(photo.with_suffix(suffix))
    if suffix == ".png":
        photo.unlink()
    assert set(Result(root, fixes).labels["status"]) == {"ok"}


@pytest.mark.parametrize("side", ["train", "eval"])
def test_no_readable_photo_at_all_is_an_error(contest_folder: Factory, fixes: Path, side: str) -> None:
    root = contest_folder(people=2, eval_people=1, size=(8, 6))
    for photo in (root / side / "images").rglob("*.jpg"):
        photo.write_bytes(b"")
    with pytest.raises(
        UserError, match=rf"{side}/images: none of \d+ photos can be read, such as .*\.jpg \(.+\)"
    ):
        Result(root, fixes)


def test_strays_and_lacking_photos_are_in_quarantine(contest_folder: Factory, fixes: Path) -> None:
    root = contest_folder(people=2, eval_people=0, size=(8, 6))
    (root / PHOTOS / "._mask1.jpg").write_bytes(b"\0\5\x16\7")
    (root / PHOTOS / "mask3.jpg").unlink()
    result = Result(root, fixes)
    assert result.quarantine["photo"].tolist() == [f"{PHOTOS}/._mask1.jpg", f"{PHOTOS}/mask3"]
    assert (result.counts["missing"], result.counts["ignored"]) == (1, 1)


def test_without_eval_the_list_has_a_header_only(contest_folder: Factory, fixes: Path) -> None:
    result = Result(contest_folder(people=2, eval_people=0, size=(8, 6)), fixes)
    assert result.bytes["eval.csv"] == b"photo,image_id,sha256,status\n"
    assert result.counts["eval_photos"] == 0


def test_data_sets_beside_the_main_one_have_tables_of_their_own(
    contest_folder: Factory, fixes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = contest_folder("mine", people=4, eval_people=1)
    alone = Result(root, fixes)
    assert (len(alone.extra), len(alone.unlabelled), alone.counts["extra"]) == (0, 0, {})
    (root.parent / "extra" / "README.md").write_text("How to add one.\n")
    assert Result(root, fixes).bytes == alone.bytes
    more = contest_folder("extra/more", people=2, eval_people=0, seed=1, size=(8, 6))
    (more / "train/images/000001_male_Asian_19/mask2.jpg").write_bytes(b"")
    (more / "unlabelled").mkdir()
    shutil.copy(root / PHOTOS / "normal.jpg", more / "unlabelled" / "walk.jpg")
    drawn = contest_folder("synthetic", people=1, eval_people=0, seed=2, size=(8, 6))
    (drawn / "train/people.csv").write_text("folder,source\n000001_male_Asian_19,000003\n")
    fixes.write_text(f"{HEADER}more,000002,gender,female,male,confirmed,me,\n")
    capsys.readouterr()
    result = Result(root, fixes)
    told = capsys.readouterr().out
    assert "no label fixes for 'mine' (the folder's name); there are some for: none" in told
    assert (
        "extra data set 'more': 2 people, 14 labelled photos of them, 1 without labels, 1 of 1 fixes" in told
    )
    for name in ("labels.csv", "eval.csv"):
        assert result.bytes[name] == alone.bytes[name]
    assert result.extra["person"].value_counts().to_dict() == dict.fromkeys(
        ("more/000001", "more/000002", "synthesise/000001"), 7
    )
    assert set(result.extra["gender"]) == {0}
    assert result.extra.groupby("person")["source"].unique().map(list).to_dict() == {
        "more/000001": [""],
        "more/000002": [""],
        "synthesise/000001": ["000003"],
    }
    walk = result.unlabelled.iloc[0]
    assert walk["photo"] == "extra/more/unlabelled/walk.jpg"
    assert walk["sha256"] == hashlib.sha256((root / PHOTOS / "normal.jpg").read_bytes()).hexdigest()
    bad = "extra/more/train/images/000001_male_Asian_19/mask2.jpg"
    assert result.extra.loc[result.extra["status"] != "ok", "photo"].tolist() == [bad]
    assert result.quarantine["photo"].tolist() == [bad]
    assert (result.counts["people"], result.counts["photos"], result.counts["unreadable"]) == (4, 28, 1)
    assert {
        name: (each["people"], each["photos"], each["unlabelled"], each["of_the_main_set"])
        for name, each in result.counts["extra"].items()
    } == {"more": (2, 14, 1, 0), "synthesise": (1, 7, 0, 1)}


@pytest.mark.parametrize("side", ["train/images", "unlabelled"])
def test_no_readable_photo_in_an_extra_data_set_is_an_error(
    contest_folder: Factory, fixes: Path, side: str
) -> None:
    root = contest_folder(people=2, eval_people=0, size=(8, 6))
    more = contest_folder("extra/more", people=2, eval_people=0, size=(8, 6))
    (more / "unlabelled").mkdir()
    shutil.copy(root / PHOTOS / "normal.jpg", more / "unlabelled" / "walk.jpg")
    for photo in (more / side).rglob("*.jpg"):
        photo.write_bytes(b"")
    with pytest.raises(
        UserError, match=rf"extra/more/{side}: none of \d+ photos can be read, such as .*\.jpg"
    ):
        Result(root, fixes)


def test_a_mistake_ends_in_one_line_and_exit_code_1(
    contest_folder: Factory, fixes: Path, params_yaml: dict[str, object], repository: Path
) -> None:
    root = contest_folder(people=2, eval_people=0, size=(8, 6))
    shutil.rmtree(root / PHOTOS)
    (root.parent / "params.yaml").write_text(yaml.safe_dump(params_yaml))
    options = {"root": root, "fixes": fixes, "out": root.parent / "out", "metrics": root.parent / "m.json"}
    options |= beside(root.parent)
    ended = subprocess.run(
        [sys.executable, "-m", "stages.fix_labels", *(f"--{name}={path}" for name, path in options.items())],
        cwd=root.parent,
        env={"PYTHONPATH": str(repository), "PATH": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: ")
    assert "000001_male_Asian_19: no such folder" in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not (root.parent / "out").exists()


@pytest.mark.slow
def test_the_development_data_and_its_fixes(shared: Path, repository: Path, tmp_path: Path) -> None:
    root = shared / "data" / "realfaces"
    paths = {"out": tmp_path / "out", "metrics": tmp_path / "metrics.json"} | beside(tmp_path)
    fix_labels.run(CONFIRMED, root=root, fixes=repository / "data" / "label_fixes.csv", **paths)
    counts = json.loads(paths["metrics"].read_text())
    assert (counts["people"], counts["photos"], counts["eval_photos"], counts["unreadable"]) == (
        420,
        2940,
        980,
        0,
    )
    assert counts["fixes"]["applied"] == {"gender": 4, "age": 2, "photo": 0, "swap": 3}
