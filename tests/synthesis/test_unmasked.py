"""The folder of bare faces: either layout, ids that cannot clash, and errors that name the line."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from facemask.records import raw
from facemask.runtime.errors import UserError
from facemask.synthesis import unmasked


@pytest.fixture
def listed(tmp_path: Path) -> Callable[..., Path]:
    """Writes faces.csv from its lines, and the photos a.jpg, b.png and deep/c.jpg (empty files)."""

    def make(*lines: str) -> Path:
        root = tmp_path / "faces"
        (root / "deep").mkdir(parents=True, exist_ok=True)
        for name in ("a.jpg", "b.png", "deep/c.jpg"):
            (root / name).write_bytes(b"")
        (root / "faces.csv").write_text("".join(f"{line}\n" for line in lines))
        return root

    return make


def test_a_table_without_optional_columns(listed: Callable[..., Path]) -> None:
    faces = unmasked.read(listed("path,gender,age", "a.jpg,male,31", "deep/c.jpg,female,60"))
    assert [(face.photo, face.gender, face.age, face.race, face.source) for face in faces] == [
        ("a.jpg", "male", 31, "unknown", ""),
        ("deep/c.jpg", "female", 60, "unknown", ""),
    ]
    assert len({face.person for face in faces}) == 2


def test_own_ids_stay_when_rows_move(listed: Callable[..., Path]) -> None:
    first = unmasked.read(listed("path,gender,age", "a.jpg,male,31", "b.png,female,60"))
    second = unmasked.read(
        listed("path,gender,age,race", "deep/c.jpg,male,3,", "b.png,female,60,x", "a.jpg,male,31,")
    )
    named = {face.photo: face.person for face in second}
    assert all(named[face.photo] == face.person for face in first)


def test_ids_of_several_photos_differ_and_remember_their_source(listed: Callable[..., Path]) -> None:
    faces = unmasked.read(
        listed(
            "path,gender,age,id,race",
            "a.jpg,male,31,7,Asian",
            "b.png,male,31,7,Asian",
            "deep/c.jpg,male,31,7-2,",
        )
    )
    assert [face.source for face in faces] == ["7", "7", "7-2"]
    assert len({face.folder for face in faces}) == 3
    assert len({face.person for face in faces}) == 3
    assert faces[0].folder == "7_male_Asian_31"


def test_nothing_but_a_header(listed: Callable[..., Path], repository: Path) -> None:
    assert unmasked.read(listed("path,gender,age")) == ()
    assert unmasked.read(repository / "data" / "faces") == ()


def test_the_contests_layout(contest_folder: Callable[..., Path]) -> None:
    root = contest_folder(people=4, extensions=("jpg", "png"))
    faces = unmasked.read(root)
    train = raw.scan(root).train
    bare = train[train["kind"] == "normal"]
    assert [face.photo for face in faces] == bare["photo"].tolist()
    assert [face.folder for face in faces] == bare["folder"].tolist()
    assert [face.person for face in faces] == [face.source for face in faces] == bare["person"].tolist()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg,man,30,,", "line 3: gender 'man' is not male or female"),
        ("a.jpg,male,old,,", "line 3: age 'old' is not a whole number"),
        ("a.jpg,male,121,,", "line 3: age '121' is not"),
        ("a.jpg,male,-1,,", "line 3: age '-1' is not"),
        ("gone.jpg,male,30,,", "line 3: photo 'gone.jpg': no such file"),
        ("../b.png,male,30,,", "line 3: path '../b.png' does not lie below"),
        ("/b.png,male,30,,", "line 3: path '/b.png' does not lie below"),
        (",male,30,,", "line 3: path '' does not lie below"),
        ("b.png,male,30,,", "line 3: photo 'b.png' stands in line 2 already"),
        ("./b.png,male,30,,", "line 3: photo './b.png' stands in line 2 already"),
        ("a.jpg,male,30,1_2,", "line 3: id '1_2' is not a name"),
        ("a.jpg,male,30,..,", "line 3: id '..' is not a name"),
        ("a.jpg,male,30,1,a/b", "line 3: race 'a/b' is not a name"),
        ('a.jpg,male,30,"1\r2",', r"line 4: id '1\r2' is not a name"),
        ("a.jpg,male,30,1\0,", r"line 3: id '1\x00' is not a name"),
        ("a.jpg,male,30,1,a\0b", r"line 3: race 'a\x00b' is not a name"),
        ("a\0.jpg,male,30,,", r"line 3: path 'a\x00.jpg' has control characters"),
        (f"{'a' * 300}.jpg,male,30,,", "cannot be looked for (File name too long); correct the row"),
        (
            f"a.jpg,male,30,{'é' * 120},",
            "line 3: id and race make a folder's name of 256 bytes, more than 255",
        ),
        ("a.jpg,male,30", "line 3: 3 fields, but the header has 5"),
    ],
)
def test_wrong_rows_are_named(listed: Callable[..., Path], line: str, message: str) -> None:
    with pytest.raises(UserError, match="faces.csv: ") as told:
        unmasked.read(listed("path,gender,age,id,race", "b.png,male,30,,", line))
    assert message in str(told.value)


def test_wrong_folders_are_named(listed: Callable[..., Path], tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no faces.csv and no train/train.csv"):
        unmasked.read(tmp_path)
    with pytest.raises(UserError, match="column 'age' is missing"):
        unmasked.read(listed("path,gender"))
    with pytest.raises(UserError, match="unknown column 'Id'"):
        unmasked.read(listed("path,gender,age,Id"))
    root = listed("path,gender,age")
    (root / "train").mkdir()
    (root / "train" / "train.csv").write_text("id,gender,race,age,path\n")
    with pytest.raises(UserError, match="holds both"):
        unmasked.read(root)
