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

Factory = Callable[..., Path]
HEADER = "dataset,id,field,old,new,status,source,note\n"
PHOTOS = "train/images/000001_male_Asian_19"


class Result:
    """What the stage wrote."""

    def __init__(self, places: dict[str, Path]) -> None:
        out = places["photo_table"].parent
        self.photos = tables.read(out / "photos.csv", tables.PHOTOS)
        self.labels, self.eval, self.extra, self.unlabelled = (
            self.photos[self.photos["set"] == name].reset_index(drop=True) for name in tables.SETS
        )
        self.answers = tables.read(out / "answers.csv", tables.ANSWERS)
        self.quarantine = tables.read(out / "about" / "quarantine.csv", tables.QUARANTINE)
        self.counts = json.loads((out / "about" / "counts.json").read_text())
        self.bytes = {path.name: path.read_bytes() for path in sorted(out.rglob("*.*"))}


Label = Callable[..., Result]


@pytest.fixture
def label(list_photos: Callable[..., dict[str, Path]]) -> Label:
    """Runs the stage; options as for ``list_photos``."""
    return lambda root, **options: Result(list_photos(root, **options))


@pytest.fixture
def fixes(tmp_path: Path) -> Path:
    """The list of label fixes, without any."""
    path = tmp_path / "label_fixes.csv"
    path.write_text(HEADER)
    return path


def test_every_photo_is_listed_with_its_content(contest_folder: Factory, label: Label) -> None:
    root = contest_folder(people=4, eval_people=2, extensions=("jpg", "png"))
    result = label(root)
    assert len(result.labels) == 28
    assert len(result.eval) == 14
    both = pd.concat([result.labels, result.eval])
    for photo, digest in zip(both["photo"], both["sha256"], strict=True):
        assert hashlib.sha256((root / photo).read_bytes()).hexdigest() == digest
    assert set(result.labels["status"]) == set(result.eval["status"]) == {"ok"}
    assert result.labels["photo"].is_monotonic_increasing
    assert result.quarantine.empty
    assert result.counts["people"] == 4
    assert result.counts["photos"] == {"labelled": 28, "eval": 14, "extra": 0, "unlabelled": 0}
    assert set(result.counts["unreadable"].values()) == {0}


def test_a_photo_stands_once_with_its_set_and_what_the_set_lacks_is_empty(
    contest_folder: Factory, label: Label
) -> None:
    root = contest_folder(people=2, eval_people=1)
    more = contest_folder("extra/more", people=1, eval_people=1)
    shutil.move(more / "eval/images", more / "unlabelled")
    shutil.rmtree(more / "eval")
    photos = label(root).photos
    assert photos["photo"].is_unique
    files = [path.relative_to(root.parent) for path in sorted(root.parent.rglob("*.jpg"))]
    assert sorted(photos["photo"]) == sorted(path.as_posix().removeprefix("contest/") for path in files)
    starts = ("train/", "eval/", "extra/more/train/", "extra/more/unlabelled/")
    for start, name in zip(starts, tables.SETS, strict=True):
        assert set(photos.loc[photos["photo"].str.startswith(start), "set"]) == {name}
    assert photos["set"].drop_duplicates().tolist() == list(tables.SETS)
    named = photos["set"].isin(["labelled", "extra"])
    for column in ("person", "folder", "kind"):
        assert ((photos[column] != "") == named).all()
    for column in ("mask", "gender", "age"):
        assert ((photos[column] >= 0) == named).all()
        assert set(photos[column][~named]) == {-1}
    assert ((photos["image_id"] != "") == (photos["set"] == "eval")).all()
    assert set(photos["source"]) == {""}


def test_a_second_run_writes_the_same_bytes(contest_folder: Factory, label: Label) -> None:
    root = contest_folder(people=3, eval_people=1)
    assert label(root).bytes == label(root).bytes


def test_fixes_of_this_data_set_are_made_and_counted(
    contest_folder: Factory, label: Label, fixes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = contest_folder(people=4, eval_people=0)
    plain = label(root).labels
    assert "no label fixes for 'mine'" in capsys.readouterr().out
    with fixes.open("a") as file:
        file.write("mine,000001,gender,male,female,confirmed,me,\n")
        file.write("mine,000002,swap,normal,incorrect_mask,confirmed,me,\n")
        file.write("mine,000003,age,30,29,unconfirmed,me,\n")
        file.write("theirs,000009,gender,male,female,confirmed,them,\n")
    result = label(root)
    told = capsys.readouterr().out
    assert "label fixes for 'mine': 2 of 3 applied; unused, for other data sets: theirs 1" in told
    assert "there will be no submission" in told
    assert result.counts["dataset"] == "mine"
    assert result.counts["fixes"] == {
        "applied": {"gender": 1, "age": 0, "photo": 0, "swap": 1},
        "not_trusted": 1,
        "absent": 0,
        "unused": {"theirs": 1},
    }
    assert (result.labels["gender"] != plain["gender"]).sum() == 7
    swapped = result.labels[result.labels["kind"] != plain["kind"]]
    assert dict(zip(swapped["photo"].map(lambda photo: Path(photo).stem), swapped["mask"], strict=True)) == {
        "incorrect_mask": 2,
        "normal": 1,
    }
    assert (result.labels["age"] == plain["age"]).all()
    trusting = label(root, trust="all")
    assert set(trusting.labels.loc[trusting.labels["person"] == "000003", "age"]) == {29}
    assert (label(root, trust="none").labels["gender"] == plain["gender"]).all()


def test_the_params_and_no_folder_s_name_pick_the_fixes(
    contest_folder: Factory, label: Label, fixes: Path
) -> None:
    root = contest_folder("theirs", people=2, eval_people=0, size=(8, 6))
    fixes.write_text(
        f"{HEADER}mine,000001,gender,male,female,confirmed,me,\ntheirs,000002,gender,female,male,confirmed,them,\n"
    )
    for dataset, genders in (("mine", [1, 1]), ("theirs", [0, 0]), ("nobody's", [0, 1])):
        labels = label(root, dataset=dataset).labels
        assert labels.drop_duplicates("person")["gender"].tolist() == genders


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("000009,gender,male,female", "no person of data set 'theirs' has the id '000009'"),
        ("000001,age,60,29", "old age '60' does not match: 000001_male_Asian_19 has 19"),
    ],
)
def test_fixes_of_another_data_set_are_refused_and_nothing_is_written(
    contest_folder: Factory, label: Label, fixes: Path, row: str, complaint: str
) -> None:
    root = contest_folder(people=2, eval_people=0, size=(8, 6))
    fixes.write_text(f"{HEADER}theirs,{row},confirmed,them,\n")
    with pytest.raises(UserError) as caught:
        label(root, dataset="theirs")
    assert str(caught.value).startswith(f"{fixes}: line 2: {complaint}; correct or delete the row")
    assert "set fix_labels.dataset" in str(caught.value)
    assert not (root.parent / "fix_labels").exists()


def test_known_answers_of_some_photos_are_passed_on(contest_folder: Factory, label: Label) -> None:
    root = contest_folder(people=1, eval_people=1, size=(8, 6))
    without = label(root)
    assert without.bytes["answers.csv"] == b"ImageID,ans\n"
    first, second, *_ = without.eval["image_id"]
    (root / "eval" / "answers.csv").write_text(f"ImageID,ans\n{second},17\n{first},0\n")
    result = label(root)
    assert result.answers.to_dict("list") == {"ImageID": [first, second], "ans": [0, 17]}
    assert (without.counts["answers"], result.counts["answers"]) == (0, 2)
    assert result.bytes["photos.csv"] == without.bytes["photos.csv"]


def damage(path: Path, how: str) -> None:
    content = path.read_bytes()
    path.write_bytes({"empty": b"", "truncated": content[: len(content) * 2 // 3], "text": b"no photo"}[how])


@pytest.mark.parametrize("how", ["empty", "truncated", "text"])
def test_an_unreadable_photo_keeps_its_row_and_says_why(
    contest_folder: Factory, label: Label, how: str
) -> None:
    root = contest_folder(people=2, eval_people=1)
    listed = sorted((root / "eval" / "images").iterdir())[0]
    damage(root / PHOTOS / "mask1.jpg", how)
    damage(listed, how)
    result = label(root)
    bad = [f"eval/images/{listed.name}", f"{PHOTOS}/mask1.jpg"]
    assert len(result.labels) == 14
    assert len(result.eval) == 7
    both = pd.concat([result.labels, result.eval])
    assert sorted(both.loc[both["status"] == "unreadable", "photo"]) == bad
    assert sorted(result.quarantine["photo"]) == bad
    assert result.quarantine["reason"].str.match("unreadable: .{5,}").all()
    assert result.counts["unreadable"] == {"labelled": 1, "eval": 1, "extra": 0, "unlabelled": 0}


def test_too_many_unreadable_photos_stop_the_run_and_a_few_are_told(
    contest_folder: Factory, label: Label, capsys: pytest.CaptureFixture[str]
) -> None:
    root = contest_folder(people=12, eval_people=1)
    some = sorted((root / "train" / "images").rglob("*.jpg"))[::3]
    for number, path in enumerate(some):
        path.write_bytes(b"\0\0\0\x18ftypcrx \0" if number < 20 else b"<!DOCTYPE html><html>")
    with pytest.raises(UserError) as error:
        label(root, tolerate=0.3)
    text = str(error.value)
    assert text.startswith(
        "28 of 84 labelled photos (33.3%) cannot be read, more than fix_labels.tolerate (0.3) allows:"
    )
    assert all(str(path) in text for path in some[:3])
    assert "in all 20 a video (MP4 or MOV), or a format that is not read, 8 an HTML page" in text
    assert "\n" not in text
    assert not (root.with_name("fix_labels")).exists(), "nothing is written"
    label(root, tolerate=0.34)
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("fix_labels: of 91 photos 20 unreadable (a video")
    assert "8 unreadable (an HTML page" in last
    for path in sorted((root / "eval" / "images").iterdir())[:3]:
        path.write_bytes(b"")
    with pytest.raises(UserError, match=r"3 of 7 eval photos .* cannot be read.*\(the file is empty\)"):
        label(root, tolerate=0.34)


def test_nothing_left_out_is_told_too(
    contest_folder: Factory, label: Label, capsys: pytest.CaptureFixture[str]
) -> None:
    label(contest_folder(people=2, eval_people=1), tolerate=0.0)
    assert capsys.readouterr().out.splitlines()[-1] == "fix_labels: of 21 photos none left out"


@pytest.mark.parametrize("mode", ["L", "CMYK", "RGBA", "P"])
def test_unusual_photos_are_read(contest_folder: Factory, label: Label, mode: str) -> None:
    root = contest_folder(people=2, eval_people=0)
    photo = root / PHOTOS / "mask1.jpg"
    suffix = ".jpg" if mode in ("L", "CMYK") else ".png"
    Image.open(photo).convert(mode).save(photo.with_suffix(suffix))
    if suffix == ".png":
        photo.unlink()
    assert set(label(root).labels["status"]) == {"ok"}


@pytest.mark.parametrize("side", ["train", "eval"])
def test_no_readable_photo_at_all_is_an_error(contest_folder: Factory, label: Label, side: str) -> None:
    root = contest_folder(people=2, eval_people=1, size=(8, 6))
    for photo in (root / side / "images").rglob("*.jpg"):
        photo.write_bytes(b"")
    with pytest.raises(
        UserError, match=rf"{side}/images: none of \d+ photos can be read, such as .*\.jpg \(.+\)"
    ):
        label(root)


def test_strays_and_lacking_photos_are_in_quarantine(contest_folder: Factory, label: Label) -> None:
    root = contest_folder(people=2, eval_people=0, size=(8, 6))
    (root / PHOTOS / "._mask1.jpg").write_bytes(b"\0\5\x16\7")
    (root / PHOTOS / "mask3.jpg").unlink()
    result = label(root)
    assert result.quarantine["photo"].tolist() == [f"{PHOTOS}/._mask1.jpg", f"{PHOTOS}/mask3"]
    assert (result.counts["missing"], result.counts["ignored"]) == (1, 1)


def test_without_eval_there_are_neither_such_photos_nor_answers(
    contest_folder: Factory, label: Label
) -> None:
    result = label(contest_folder(people=2, eval_people=0, size=(8, 6)))
    assert set(result.photos["set"]) == {"labelled"}
    assert result.bytes["answers.csv"] == b"ImageID,ans\n"
    assert result.counts["photos"]["eval"] == 0


def test_extra_data_sets_leave_the_rows_of_the_main_one_alone(
    contest_folder: Factory, label: Label, fixes: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    root = contest_folder(people=4, eval_people=1)
    alone = label(root)
    assert (len(alone.extra), len(alone.unlabelled), alone.counts["extra"]) == (0, 0, {})
    (root.parent / "extra" / "README.md").write_text("How to add one.\n")
    assert label(root).bytes == alone.bytes
    more = contest_folder("extra/more", people=2, eval_people=0, seed=1, size=(8, 6))
    (more / "train/images/000001_male_Asian_19/mask2.jpg").write_bytes(b"")
    (more / "unlabelled").mkdir()
    shutil.copy(root / PHOTOS / "normal.jpg", more / "unlabelled" / "walk.jpg")
    drawn = contest_folder("synthetic", people=1, eval_people=0, seed=2, size=(8, 6))
    (drawn / "train/people.csv").write_text("folder,source\n000001_male_Asian_19,000003\n")
    fixes.write_text(f"{HEADER}more,000002,gender,female,male,confirmed,me,\n")
    capsys.readouterr()
    result = label(root)
    told = capsys.readouterr().out
    assert "no label fixes for 'mine'; there are some for: none" in told
    assert (
        "extra data set 'more': 2 people, 14 labelled photos of them, 1 without labels, 1 of 1 fixes" in told
    )
    assert result.bytes["photos.csv"].startswith(alone.bytes["photos.csv"])
    assert result.bytes["answers.csv"] == alone.bytes["answers.csv"]
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
    assert result.counts["people"] == 4
    assert result.counts["photos"] == {"labelled": 28, "eval": 7, "extra": 21, "unlabelled": 1}
    assert result.counts["unreadable"] == {"labelled": 0, "eval": 0, "extra": 1, "unlabelled": 0}
    assert {
        name: (each["people"], each["photos"], each["unlabelled"], each["of_the_main_set"])
        for name, each in result.counts["extra"].items()
    } == {"more": (2, 14, 1, 0), "synthesise": (1, 7, 0, 1)}


@pytest.mark.parametrize("side", ["train/images", "unlabelled"])
def test_no_readable_photo_in_an_extra_data_set_is_an_error(
    contest_folder: Factory, label: Label, side: str
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
        label(root)


@pytest.mark.slow
def test_a_mistake_ends_in_one_line_and_exit_code_1(
    contest_folder: Factory,
    list_photos: Callable[..., dict[str, Path]],
    fixes: Path,
    params_yaml: dict[str, object],
    repository: Path,
) -> None:
    root = contest_folder(people=2, eval_people=0, size=(8, 6))
    options = list_photos(root, dataset="sample") | {"label_fixes": fixes, "out": root.parent / "out"}
    options.pop("photo_table")
    shutil.rmtree(root / PHOTOS)
    params_yaml["data"] = {key: str(options.pop(key)) for key in ("root", "extra")} | {"faces": "none"}
    (root.parent / "params.yaml").write_text(yaml.safe_dump(params_yaml))
    names = (f"--{name.replace('_', '-')}={path}" for name, path in options.items())
    ended = subprocess.run(
        [sys.executable, "-m", "stages.fix_labels", *names],
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
def test_the_development_data_and_its_fixes(
    shared: Path, repository: Path, tmp_path: Path, label: Label
) -> None:
    root = tmp_path / "realfaces"
    root.symlink_to(shared / "data" / "realfaces")
    shutil.copy(repository / "data" / "label_fixes.csv", tmp_path)
    counts = label(root, dataset="realfaces").counts
    assert counts["people"] == 420
    assert counts["photos"] == {"labelled": 2940, "eval": 980, "extra": 0, "unlabelled": 0}
    assert set(counts["unreadable"].values()) == {0}
    assert counts["fixes"]["applied"] == {"gender": 4, "age": 2, "photo": 0, "swap": 3}
