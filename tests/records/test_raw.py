"""The contest's folder layout."""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from PIL import Image

from facemask.pixels import codec
from facemask.records import raw
from facemask.runtime.errors import UserError

Factory = Callable[..., Path]
FIRST = "000001_male_Asian_19"


@pytest.fixture
def root(contest_folder: Factory) -> Path:
    return contest_folder(people=3, eval_people=1, size=(8, 6))


def rewrite(root: Path, old: str, new: str) -> None:
    path = root / "train" / "train.csv"
    content = path.read_text()
    assert old in content
    path.write_text(content.replace(old, new, 1))


def refused(root: Path, *parts: str) -> None:
    with pytest.raises(UserError) as caught:
        raw.scan(root)
    for part in parts:
        assert part in str(caught.value)
    assert "\n" not in str(caught.value)


def test_every_photo_has_a_row_with_its_labels(contest_folder: Factory) -> None:
    root = contest_folder(people=6, eval_people=2, size=(8, 6), extensions=("jpg", "jpeg", "png", "JPG"))
    layout = raw.scan(root)
    files = sorted(p.relative_to(root).as_posix() for p in (root / "train" / "images").rglob("*.*"))
    assert layout.train["photo"].tolist() == files
    assert len({Path(file).suffix for file in files}) == 4
    for row in layout.train.itertuples():
        person, gender, _, age = str(row.folder).split("_")
        assert (row.person, row.gender, row.age) == (person, ("male", "female").index(gender), int(age))
        kind = Path(str(row.photo)).stem
        assert (row.kind, row.mask) == (kind, 2 if kind == "normal" else 1 if kind == "incorrect_mask" else 0)
    assert layout.notes.empty


def test_eval_photos_come_in_the_order_of_the_list(root: Path) -> None:
    path = root / "eval" / "info.csv"
    header, *lines = path.read_text().splitlines()
    for order in (lines, lines[::-1]):
        path.write_text("\n".join([header, *order]) + "\n")
        names = [line.split(",")[0] for line in order]
        layout = raw.scan(root)
        assert layout.eval["image_id"].tolist() == names
        assert layout.eval["photo"].tolist() == [f"eval/images/{name}" for name in names]


def test_eval_may_be_absent(root: Path) -> None:
    shutil.rmtree(root / "eval")
    layout = raw.scan(root)
    assert list(layout.eval.columns) == ["photo", "image_id"]
    assert layout.eval.empty


def test_ids_are_text_and_a_doubled_id_is_one_person(root: Path) -> None:
    rewrite(
        root, "000001,male,Asian,19,000001_male_Asian_19", "001498-1,male,Asian,19,001498-1_male_Asian_19"
    )
    (root / "train/images" / FIRST).rename(root / "train/images/001498-1_male_Asian_19")
    twin = "000002_female_Asian_20"
    shutil.copytree(root / "train/images/000002_female_Asian_19", root / "train/images" / twin)
    with (root / "train" / "train.csv").open("a") as file:
        file.write(f"000002,female,Asian,20,{twin}\n")
    train = raw.scan(root).train
    assert set(train["person"]) == {"001498-1", "000002", "000003"}
    assert train.groupby("person")["folder"].nunique()["000002"] == 2
    assert set(train.loc[train["folder"] == twin, "age"]) == {20}


def test_what_file_managers_leave_behind_is_passed_over_and_noted(root: Path) -> None:
    strays = [
        f"train/images/{FIRST}/._mask1.jpg",
        f"train/images/{FIRST}/Thumbs.db",
        "train/images/.DS_Store",
        "eval/images/._a.jpg",
    ]
    expected = raw.scan(root)
    for stray in strays:
        (root / stray).write_bytes(b"")
    layout = raw.scan(root)
    assert layout.train.equals(expected.train)
    assert layout.eval.equals(expected.eval)
    assert layout.notes["photo"].tolist() == sorted(strays)
    assert layout.notes["reason"].str.startswith("ignored").all()


def test_names_that_no_table_holds_are_escaped_where_they_are_only_noted(root: Path) -> None:
    for name in (b"._caf\xe9.jpg", b"._a\rb.jpg", "._été.jpg".encode()):
        (root / "eval/images" / os.fsdecode(name)).write_bytes(b"")
    noted = raw.scan(root).notes["photo"].tolist()
    assert noted == ["eval/images/._a\\rb.jpg", "eval/images/._caf\\udce9.jpg", "eval/images/._été.jpg"]


@pytest.mark.parametrize("name", [b"caf\xe9.jpg", b"a\rb.jpg", b"a\x7f.jpg", b"\xc2\x85.jpg"])
@pytest.mark.parametrize("folder", ["eval/images", "train/images", f"train/images/{FIRST}"])
def test_names_that_no_table_holds_are_refused(root: Path, folder: str, name: bytes) -> None:
    stray = os.fsdecode(name)
    (root / folder / stray).write_bytes(b"")
    refused(root, f"{root / folder}: the name {stray!r} has control characters or is not UTF-8; rename it")


def test_control_characters_in_the_tables_are_refused(root: Path) -> None:
    for old, new in (("000001", "00\r1"), ("Asian", "As\x00ian"), ("Asian", "Asian\x1b")):
        kept = (root / "train/train.csv").read_text()
        folder = FIRST.replace(old, new)
        rewrite(
            root, f"000001,male,Asian,19,{FIRST}", ",".join(f'"{x}"' for x in [*folder.split("_"), folder])
        )
        refused(root, "train.csv: line ", f"path {folder!r} has control characters")
        (root / "train/train.csv").write_text(kept)
    path = root / "eval/info.csv"
    with path.open("a", newline="") as file:
        file.write('"a\rb.jpg",0\n')
    refused(root, "info.csv: line ", r"ImageID 'a\rb.jpg' has control characters")


def test_a_folder_that_may_not_be_listed_is_told(root: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def locked(folder: Path) -> None:
        raise PermissionError(13, "Permission denied", str(folder))

    monkeypatch.setattr(os, "scandir", locked)
    refused(root, f"{root}: cannot be listed (Permission denied)")


def test_a_lacking_kind_is_noted_and_the_person_stays(root: Path) -> None:
    (root / "train/images" / FIRST / "mask3.jpg").unlink()
    layout = raw.scan(root)
    assert (layout.train["folder"] == FIRST).sum() == 6
    assert layout.notes["photo"].tolist() == [f"train/images/{FIRST}/mask3"]
    assert layout.notes["reason"].str.startswith("missing").all()


def test_an_unlisted_eval_photo_is_noted(root: Path) -> None:
    (root / "eval/images/more.jpg").write_bytes(b"")
    assert raw.scan(root).notes.to_dict("records") == [
        {"photo": "eval/images/more.jpg", "reason": "ignored: not listed in eval/info.csv"}
    ]


def test_a_byte_order_mark_crlf_and_more_columns_are_tolerated(root: Path) -> None:
    expected = raw.scan(root)
    for path in (root / "train/train.csv", root / "eval/info.csv"):
        lines = [f"{line},{'note' if k == 0 else k}" for k, line in enumerate(path.read_text().splitlines())]
        path.write_bytes(b"\xef\xbb\xbf" + "\r\n".join([*lines, ""]).encode())
    layout = raw.scan(root)
    assert layout.train.equals(expected.train)
    assert layout.eval.equals(expected.eval)


@pytest.mark.parametrize("part", ["", "train/train.csv", "train/images"])
def test_a_missing_part_says_what_is_expected_and_where_to_set_it(root: Path, part: str) -> None:
    (root / part).rename(root.with_name("elsewhere"))
    refused(root, str(root / part), "no such", "set data.root in params.yaml", "<id>_<gender>_<race>_<age>")


@pytest.mark.parametrize(
    ("new", "complaint"),
    [
        ("000001,male,Asian,young,000001_male_Asian_young", "age 'young' is not a whole number"),
        ("000001,male,Asian,19.5,000001_male_Asian_19.5", "age '19.5' is not a whole number"),
        (
            "000001,male,Asian,-3,000001_male_Asian_-3",
            "age '-3' is not a whole number of years from 0 to 120",
        ),
        ("000001,male,Asian,121,000001_male_Asian_121", "age '121' is not"),
        ("000001,male,Asian,,000001_male_Asian_19", "age '' is not"),
        ("000001,Man,Asian,19,000001_Man_Asian_19", "gender 'Man' is not male or female"),
        ("000001,male,Asian,19,000001_male_19", "path '000001_male_19' is not <id>_<gender>_<race>_<age>"),
        ("000001,male,Asian,19,../x_male_Asian_19", "path '../x_male_Asian_19' is not"),
        (
            "000001,male,Asian,19,000001_female_Asian_19",
            "says gender 'female', but column gender says 'male'",
        ),
        ("000001,male,Asian,19,000007_male_Asian_19", "says id '000007', but column id says '000001'"),
        ("000001,male,Asian,19,000001_male_Asian_20", "says age '20', but column age says '19'"),
        ("000001,male,Asian,19", "4 fields, but the header has 5"),
    ],
)
def test_a_wrong_row_is_told_by_its_line(root: Path, new: str, complaint: str) -> None:
    rewrite(root, "000001,male,Asian,19,000001_male_Asian_19", new)
    refused(root, f"{root / 'train' / 'train.csv'}: line 2", complaint)


def test_a_folder_listed_twice_is_refused(root: Path) -> None:
    with (root / "train" / "train.csv").open("a") as file:
        file.write("000001,male,Asian,19,000001_male_Asian_19\n")
    refused(root, "train.csv: line 5", FIRST, "in line 2 already", "delete one row")


def test_a_row_without_a_folder_is_refused(root: Path) -> None:
    shutil.rmtree(root / "train/images" / FIRST)
    shutil.rmtree(root / "train/images/000003_male_Asian_30")
    refused(root, "train.csv", f"{FIRST} (and 1 more): no such folder", "delete the row")


def test_a_folder_without_a_row_is_refused(root: Path) -> None:
    rewrite(root, "000001,male,Asian,19,000001_male_Asian_19\n", "")
    refused(root, f"{FIRST}: folder has no row in", "add a row or move it away")


@pytest.mark.parametrize("name", ["mask6.jpg", "selfie.jpg", "Normal.jpg", "mask.jpg"])
def test_an_unknown_kind_is_refused_with_the_known_ones(root: Path, name: str) -> None:
    (root / "train/images" / FIRST / name).write_bytes(b"")
    refused(root, f"{FIRST}/{name}: unknown photo kind", "known kinds: mask1, mask2", "normal")


def test_two_files_of_one_kind_are_refused(root: Path) -> None:
    (root / "train/images" / FIRST / "mask1.PNG").write_bytes(b"")
    refused(root, FIRST, "mask1.PNG", "mask1.jpg", "are both mask1; keep one")


@pytest.mark.parametrize("extension", raw.EXTENSIONS)
def test_photos_have_the_endings_of_formats_that_are_opened(root: Path, extension: str) -> None:
    Image.init()
    known = Image.registered_extensions().get(extension)
    assert known in codec.FORMATS or extension in (".heic", ".heif")
    photo = root / "train/images" / FIRST / "mask1.jpg"
    photo.rename(photo.with_suffix(extension.upper()))
    assert f"train/images/{FIRST}/mask1{extension.upper()}" in set(raw.scan(root).train["photo"])


@pytest.mark.parametrize("name", ["readme.txt", "mask1.eps", "mask1"])
def test_other_files_among_the_photos_are_refused(root: Path, name: str) -> None:
    (root / "train/images" / FIRST / name).write_bytes(b"")
    refused(root, f"{FIRST}/{name}: not a photo (.jpg, .jpeg, .png, ")


def test_folders_among_photos_and_files_among_folders_are_refused(root: Path) -> None:
    (root / "train/images" / FIRST / "mask1.d").mkdir()
    refused(root, f"{FIRST}/mask1.d: not a file")
    (root / "train/images" / FIRST / "mask1.d").rmdir()
    (root / "train/images/mask1.jpg").write_bytes(b"")
    refused(root, "train/images/mask1.jpg: only folders of photos belong here")


def test_a_broken_link_is_refused(root: Path) -> None:
    photo = root / "train/images" / FIRST / "mask1.jpg"
    photo.unlink()
    photo.symlink_to("nowhere.jpg")
    refused(root, f"{FIRST}/mask1.jpg: a symbolic link that leads nowhere")


def test_no_rows_and_no_photos_are_refused(root: Path) -> None:
    for folder in (root / "train/images").iterdir():
        for photo in folder.iterdir():
            photo.unlink()
    refused(root, "there are no photos")
    (root / "train/train.csv").write_text("id,gender,race,age,path\n")
    refused(root, "train.csv: has no rows")


def test_a_missing_column_is_named(root: Path) -> None:
    rewrite(root, "id,gender,race,age,path", "id,sex,race,age,path")
    refused(root, "train.csv: column 'gender' is missing")


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda names: [*names, names[0]], "line 9: ImageID"),
        (lambda names: [*names, "x.jpg", "y.jpg"], "line 9: ImageID 'x.jpg' (and 1 more): no such file in"),
        (lambda names: [*names, "../info.csv"], "ImageID '../info.csv': no such file"),
    ],
)
def test_the_eval_list_must_match_its_photos(
    root: Path, change: Callable[[list[str]], list[str]], complaint: str
) -> None:
    path = root / "eval/info.csv"
    names = [line.split(",")[0] for line in path.read_text().splitlines()[1:]]
    path.write_text("\n".join(["ImageID", *change(names)]) + "\n")
    refused(root, str(path), complaint, "delete")


@pytest.mark.parametrize("part", ["eval/info.csv", "eval/images"])
def test_half_an_eval_folder_is_refused(root: Path, part: str) -> None:
    (root / part).rename(root.with_name("elsewhere"))
    refused(root, str(root / part), "no such", "remove eval/ if no answers are wanted")


def answered(root: Path, *rows: tuple[int | str, str], header: str = "ImageID,ans") -> Path:
    """Write the classes of eval photos, given by name or by their place in the list."""
    names = raw.scan(root).eval["image_id"]
    lines = [f"{names[photo] if isinstance(photo, int) else photo},{ans}" for photo, ans in rows]
    path = root / "eval" / "answers.csv"
    path.write_text("\n".join([header, *lines]) + "\n")
    return path


def test_known_answers_come_in_the_order_of_the_list_and_may_be_a_part(root: Path) -> None:
    before = raw.scan(root)
    assert before.answers.empty
    answered(root, (5, "17"), (2, "0"), (3, "9"))
    layout = raw.scan(root)
    names = layout.eval["image_id"]
    expected = {"ImageID": [names[2], names[3], names[5]], "ans": [0, 9, 17]}
    for found in (before, layout):
        assert found.answers.dtypes.to_dict() == {"ImageID": "str", "ans": "int64"}
        assert found.eval.equals(before.eval)
        assert found.notes.empty
    assert layout.answers.to_dict("list") == expected


@pytest.mark.parametrize(
    ("rows", "complaint"),
    [
        ([(1, "3"), ("x.jpg", "0")], "ImageID 'x.jpg' is not in eval/info.csv; delete the row"),
        ([(1, "3"), (2, "3"), (1, "3")], "occurs twice; delete one row"),
        *(
            ([(0, ans)], f"ans {ans!r} is no class; wanted is ImageID,ans with ans 0 to 17")
            for ans in ("18", "-1", "", "one", "1.0", " 1", "²")
        ),
        ([(0, "1,2")], "3 fields, but the header has 2; correct the line"),
    ],
)
def test_answers_that_cannot_be_meant_are_refused(
    root: Path, rows: list[tuple[int | str, str]], complaint: str
) -> None:
    path = answered(root, *rows)
    refused(root, f"{path}: line {len(rows) + 1}: ", complaint)


def test_answers_without_their_column_are_refused(root: Path) -> None:
    refused(root, f"{answered(root, (0, '1'), header='ImageID,class')}: column 'ans' is missing", "wanted is")
