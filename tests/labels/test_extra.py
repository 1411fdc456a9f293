"""Data sets beside the main one."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable
from pathlib import Path

import pytest
from dvc.repo import Repo

from facemask.labels import extra, fixes
from facemask.records import raw
from facemask.records.roots import Roots
from facemask.runtime.errors import UserError

Factory = Callable[..., Path]
HEADER = "id,gender,race,age,path\n"
FIRST = "000001_male_Asian_19"


@pytest.fixture
def where(tmp_path: Path) -> Roots:
    """A main data set whose folder bears an extra one's name, a page about extra ones, and nobody synthesised."""
    found = Roots(tmp_path / "more", tmp_path / "extra", tmp_path / "synthesise")
    found.extra.mkdir()
    (found.extra / "README.md").write_text("How to add one.\n")
    (found.synthetic / "train").mkdir(parents=True)
    (found.synthetic / "train" / "train.csv").write_text(HEADER)
    return found


@pytest.fixture
def more(contest_folder: Factory, where: Roots) -> Path:
    """An extra data set of two people."""
    assert where.extra.is_dir()
    return contest_folder("extra/more", people=2, eval_people=0, size=(8, 6))


def read(where: Roots, name: str = "more", *known: fixes.Fix, people: tuple[str, ...] = ()) -> extra.DataSet:
    return extra.read(where, name, known, "confirmed", people)


def refused(where: Roots, message: str) -> None:
    with pytest.raises(UserError, match=message):
        extra.names(where, "mine")


def test_a_page_and_what_dvc_leaves_are_no_data_set(where: Roots) -> None:
    (where.extra / "more.dvc").write_text("outs: []\n")
    (where.extra / ".git").mkdir()
    assert extra.names(where, "mine") == []
    everything = extra.joined([])
    assert everything.labels.empty
    assert everything.unlabelled.empty


def test_data_sets_are_named_in_order_and_the_synthesised_is_one(
    where: Roots, contest_folder: Factory
) -> None:
    (where.extra / "walks" / "unlabelled").mkdir(parents=True)
    contest_folder("extra/more", people=1, eval_people=0, size=(8, 6))
    assert extra.names(where, "mine") == ["more", "walks"]
    contest_folder("drawn", people=1, eval_people=0, size=(8, 6))
    drawn = Roots(where.main, where.extra, where.main.parent / "drawn")
    assert extra.names(drawn, "mine") == ["more", "synthesise", "walks"]
    photos = read(drawn, "synthesise").labels["photo"]
    assert photos.str.startswith(f"extra/synthesise/train/images/{FIRST}/").all()
    assert all(drawn.path(photo).is_file() for photo in photos)


def test_mistakes_in_the_folder_are_told(where: Roots) -> None:
    refused(
        Roots(where.main, where.extra / "absent", where.synthetic), r"absent: no such folder; .*data\.extra"
    )
    refused(
        Roots(where.main, where.extra, where.extra / "absent"), "absent: no such folder; run `dvc repro synth"
    )
    (where.extra / "empty").mkdir()
    refused(where, r"extra/empty: has neither train/ nor unlabelled/")
    (where.extra / "empty").rmdir()
    (where.extra / "selfie.JPG").write_bytes(b"")
    refused(where, r"selfie\.JPG: a photo outside a data set; an extra data set is a folder")


@pytest.mark.parametrize(("name", "whose"), [("synthesise", "synthesised"), ("mine", "main")])
def test_the_names_of_other_data_sets_are_taken(where: Roots, name: str, whose: str) -> None:
    (where.extra / name / "unlabelled").mkdir(parents=True)
    refused(where, rf"extra/{name}: has the name of the {whose} one.*; rename")


def test_people_bear_the_name_of_their_data_set(where: Roots, more: Path) -> None:
    held = read(where)
    assert set(held.labels["person"]) == {"more/000001", "more/000002"}
    assert set(held.labels["source"]) == {""}
    assert held.labels["photo"].is_monotonic_increasing
    assert len(held.labels) == 14
    assert all(where.path(photo).is_file() for photo in held.labels["photo"])
    (more / "eval").mkdir()
    assert "extra/more/eval" in set(read(where).notes["photo"])


def test_photos_without_labels_are_found_at_any_depth(where: Roots) -> None:
    folder = where.extra / "walks" / "unlabelled"
    (folder / "2024" / "may").mkdir(parents=True)
    for name in ("b.JPG", "2024/a.png", "2024/may/c.jpeg", ".hidden.jpg", "2024/notes.txt"):
        (folder / name).write_bytes(b"")
    (folder / "again").symlink_to(folder)
    (folder / "gone").symlink_to(folder / "nowhere")
    held = read(where, "walks")
    start = "extra/walks/unlabelled/"
    assert held.unlabelled == (f"{start}2024/a.png", f"{start}2024/may/c.jpeg", f"{start}b.JPG")
    other = f"ignored: not a photo ({', '.join(raw.EXTENSIONS)})"
    assert dict(zip(held.notes["photo"], held.notes["reason"], strict=True)) == {
        f"{start}.hidden.jpg": "ignored: left behind by a file manager",
        f"{start}2024/notes.txt": other,
        f"{start}again": other,
        f"{start}gone": other,
    }
    assert held.labels.empty
    assert held.counts()["unlabelled"] == 3


def test_a_folder_may_show_a_person_of_the_main_data_set(where: Roots, more: Path) -> None:
    people = more / "train" / "people.csv"
    people.write_text(f"folder,source\n{FIRST},0777\n000002_female_Asian_19,\n")
    held = read(where, people=("0777", "0778"))
    assert dict(zip(held.labels["person"], held.labels["source"], strict=True)) == {
        "more/000001": "0777",
        "more/000002": "",
    }
    assert held.counts()["of_the_main_set"] == 1


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        (f"{FIRST},0779", r"people\.csv: line 2: the main data set has no person '0779'"),
        ("nobody,0777", r"line 2: folder 'nobody' is not in train\.csv"),
        (f"{FIRST},0777\n{FIRST},0777", rf"line 3: folder '{FIRST}' stands there already"),
    ],
)
def test_a_source_that_is_not_there_is_refused(where: Roots, more: Path, rows: str, message: str) -> None:
    (more / "train" / "people.csv").write_text(f"folder,source\n{rows}\n")
    with pytest.raises(UserError, match=message):
        read(where, people=("0777",))


def test_synthesised_people_may_come_from_elsewhere(where: Roots, more: Path) -> None:
    """Faces of another data set than the main one: its ids mean nobody there."""
    shutil.copytree(more / "train", where.synthetic / "train", dirs_exist_ok=True)
    (where.synthetic / "train" / "people.csv").write_text(f"folder,source\n{FIRST},0777\n")
    assert set(read(where, "synthesise", people=("0777",)).labels["source"]) == {"0777", ""}
    assert set(read(where, "synthesise", people=("0999",)).labels["source"]) == {""}


@pytest.mark.parametrize(("source", "main"), [("1", "000001"), ("0012", "12"), ("0", "000")])
def test_an_id_without_its_leading_zeros_is_nobody_by_accident(
    where: Roots, more: Path, source: str, main: str
) -> None:
    shutil.copytree(more / "train", where.synthetic / "train", dirs_exist_ok=True)
    people = where.synthetic / "train" / "people.csv"
    people.write_text(f"folder,source\n{FIRST},{source}\n")
    with pytest.raises(UserError, match=rf"line 2: .* no person '{source}', but '{main}': .* faces\.csv"):
        read(where, "synthesise", people=(main, "0999"))
    assert set(read(where, "synthesise", people=(main, source)).labels["source"]) == {source, ""}
    people.write_text(f"folder,source\n{FIRST},\n")
    assert set(read(where, "synthesise", people=(main,)).labels["source"]) == {""}


@pytest.mark.parametrize(
    "name", ["people.csv", "People.CSV", "train/People.csv", "train/people.CSV", "train/persons.csv"]
)
def test_a_table_that_nothing_reads_is_refused(where: Roots, more: Path, name: str) -> None:
    (more / name).write_text(f"folder,source\n{FIRST},0777\n")
    with pytest.raises(UserError, match=rf"more/{name}: nothing reads .* train/people\.csv are the tables"):
        read(where, people=("0777",))


def test_tables_that_stages_and_file_managers_leave_are_no_mistake(where: Roots, more: Path) -> None:
    shutil.copytree(more / "train", where.synthetic / "train", dirs_exist_ok=True)
    (where.synthetic / "skipped.csv").write_text("photo,reason\n")
    assert len(read(where, "synthesise").labels) == 14
    (more / "train" / "._people.csv").write_bytes(b"")
    assert len(read(where).labels) == 14


@pytest.mark.parametrize("name", [b"caf\xe9.jpg", b"a\rb.jpg"])
def test_names_that_no_table_holds_are_refused(where: Roots, name: bytes) -> None:
    folder = where.extra / "walks" / "unlabelled" / "2024"
    folder.mkdir(parents=True)
    (folder / os.fsdecode(name)).write_bytes(b"")
    with pytest.raises(UserError, match="walks/unlabelled/2024: the name '.*' has .*; rename it"):
        read(where, "walks")


def test_dvc_keeps_a_data_set_and_git_only_its_page(
    repository: Path,
    start_project: Callable[[str, str], None],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.chdir(tmp_path)
    start_project("stages: {}\n", (repository / ".gitignore").read_text())
    photo = tmp_path / "data/extra/walks/unlabelled/a.jpg"
    photo.parent.mkdir(parents=True)
    photo.write_bytes(b"a")
    with Repo(".") as repo:
        repo.add("data/extra/walks")
    # Opened anew, as the copy that a queued experiment runs in is: there DVC must come across the page by itself.
    with Repo(".") as repo:
        assert [stage.addressing for stage in repo.index.stages] == ["data/extra/walks.dvc"]
    seen = subprocess.run(["git", "status", "--short", "-uall"], capture_output=True, text=True, check=True)
    assert seen.stdout == "?? data/extra/walks.dvc\n"


def fix(name: str, person: str) -> fixes.Fix:
    return fixes.Fix("fixes.csv: line 2", name, person, "gender", "male", "female", "confirmed")


def test_label_fixes_apply_by_the_name_of_the_set(where: Roots, more: Path) -> None:
    assert more.is_dir()
    held = read(where, "more", fix("more", "000001"), fix("another", "000001"))
    assert set(held.labels["gender"]) == {1}
    assert held.counts()["fixes"] == {
        "applied": {"gender": 1, "age": 0, "photo": 0, "swap": 0},
        "not_trusted": 0,
    }
    with pytest.raises(UserError, match="no person of data set 'more' has the id '000009'"):
        read(where, "more", fix("more", "000009"))


def test_an_error_in_an_extra_set_does_not_speak_of_the_main_one(where: Roots, more: Path) -> None:
    (more / "train" / "train.csv").write_text(HEADER)
    with pytest.raises(UserError, match=r"extra/more/train/train\.csv: has no rows; an extra data set is"):
        read(where)


def test_a_set_without_labels_has_nobody_to_fix(where: Roots) -> None:
    (where.extra / "walks" / "unlabelled").mkdir(parents=True)
    with pytest.raises(UserError, match="no person of data set 'walks' has the id '000001'"):
        read(where, "walks", fix("walks", "000001"))
