"""Decisions are written at once, whole, once, and can be taken back; the list of fixes stays one that runs."""

from __future__ import annotations

import multiprocessing
from pathlib import Path

import pytest

from facemask.labels import fixes
from facemask.records import raw
from facemask.review import decisions
from facemask.runtime import files
from facemask.runtime.errors import UserError

from .conftest import HEADER, OLD, Case


def decide(case: Case, name: str, verdict: decisions.Verdict, new: str | None = None) -> None:
    desk = case.desk()
    suspect = desk.suspects()[name]
    desk.ledger.decide(suspect, verdict, suspect["new"] if new is None else new, "Kim, 金")


def test_accepted_fixes_are_rows_that_the_next_run_takes_up(case: Case) -> None:
    keys = case.keys()
    assert list(keys) == ["gender", "mask", "photo", "identity", "age"]
    decide(case, keys["gender"], "accepted")
    decide(case, keys["mask"], "accepted")
    decide(case, keys["age"], "accepted", "28")
    decide(case, keys["photo"], "accepted")
    decide(case, keys["identity"], "rejected")
    assert case.desk().open() == {"suspects": [], "left": 0, "decided": 5}

    listed = fixes.load(case.fixes)
    assert [(one.id, one.field, one.old, one.new) for one in listed] == [
        ("7", "gender", "male", "female"),
        ("000001", "gender", "male", "female"),
        ("000002", "swap", "incorrect_mask", "normal"),
        ("000003", "age", "30", "28"),
    ]
    train = raw.scan(case.folder / "contest").train
    fixed = fixes.apply(train, fixes.select(listed, "mine", "confirmed").applied).set_index("photo")
    assert set(fixed.loc[fixed["person"] == "000001", "gender"]) == {1}
    assert set(fixed.loc[fixed["person"] == "000003", "age"]) == {28}
    assert fixed.loc[case.photos["000002", "normal"], "kind"] == "incorrect_mask"
    lines = case.fixes.read_text().splitlines()
    assert lines[0] == f"{HEADER.strip()},date,reviewer"
    assert lines[1] == OLD.strip() + ",,"
    assert lines[2].startswith("mine,000001,gender,male,female,confirmed,review,wrong label: train/images/")
    assert lines[2].endswith(',"Kim, 金"')


def test_a_later_row_is_one_more_line(case: Case) -> None:
    keys = case.keys()
    decide(case, keys["gender"], "accepted")
    before = case.fixes.read_text()
    decide(case, keys["mask"], "accepted")
    assert case.fixes.read_text().startswith(before)
    assert len(case.fixes.read_text().splitlines()) == len(before.splitlines()) + 1


def test_undo_takes_back_the_decision_and_its_own_fix_alone(case: Case) -> None:
    keys = case.keys()
    for name in ("gender", "mask"):
        decide(case, keys[name], "accepted")
    desk = case.desk()
    desk.ledger.undo(keys["gender"])
    assert [one.id for one in fixes.load(case.fixes)] == ["7", "000002"]
    assert desk.open()["suspects"][0]["key"] == keys["gender"]
    with pytest.raises(decisions.ConflictError, match="taken back already"):
        desk.ledger.undo(keys["gender"])


def test_what_was_decided_in_one_tab_is_not_decided_again_in_another(case: Case) -> None:
    name = case.keys()["gender"]
    first, second = case.desk(), case.desk()
    suspect = first.suspects()[name]
    first.ledger.decide(suspect, "rejected", "", "a")
    with pytest.raises(decisions.ConflictError, match="decided already"):
        second.ledger.decide(suspect, "accepted", "female", "b")
    assert case.fixes.read_text() == HEADER + OLD
    assert len(case.review.read_text().splitlines()) == 2


@pytest.mark.parametrize(
    ("name", "new"), [("age", "30"), ("age", "old"), ("age", ""), ("age", ">=60"), ("gender", "x,y\n")]
)
def test_a_fix_that_the_next_run_would_refuse_is_not_written(case: Case, name: str, new: str) -> None:
    with pytest.raises(decisions.ConflictError, match=str(case.fixes)):
        decide(case, case.keys()[name], "accepted", new)
    assert case.fixes.read_text() == HEADER + OLD
    assert not case.review.exists()
    assert sorted(path.name for path in case.folder.glob(".*")) == []


def test_a_fix_that_contradicts_the_list_is_told(case: Case) -> None:
    case.fixes.write_text(HEADER + "mine,000002,photo,normal,mask,confirmed,me,\n")
    with pytest.raises(decisions.ConflictError, match="is changed in line 2 too"):
        decide(case, case.keys()["mask"], "accepted")


def test_a_crash_between_the_two_files_loses_and_doubles_nothing(
    case: Case, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = case.keys()["gender"]
    write = decisions._write

    def crash(path: Path, *content: object) -> None:
        if path == case.review:
            raise OSError("no space left on device")
        write(path, *content)  # type: ignore[arg-type]

    with monkeypatch.context() as patch:
        patch.setattr(decisions, "_write", crash)
        with pytest.raises(OSError, match="no space"):
            decide(case, name, "accepted")
    assert case.keys()["gender"] == name
    decide(case, name, "accepted")
    assert [one.id for one in fixes.load(case.fixes)] == ["7", "000001"]


def _writer(review: Path, fixes_at: Path, lock: Path, numbers: range) -> None:
    ledger = decisions.Ledger(review, fixes_at, lock, lambda _: None)
    for number in numbers:
        suspect = dict.fromkeys(decisions.COLUMNS, "") | {"attribute": "gender", "reason": "wrong label"}
        suspect |= {
            "person": str(number),
            "id": str(number),
            "dataset": "mine",
            "field": "gender",
            "old": "male",
        }
        ledger.decide(suspect, "accepted", "female", "t")


@pytest.mark.slow
def test_two_servers_at_once_lose_nothing(case: Case) -> None:
    context = multiprocessing.get_context("spawn")
    parts = [range(0, 12), range(12, 24)]
    lock = case.folder / "tmp" / "x.lock"
    running = [context.Process(target=_writer, args=(case.review, case.fixes, lock, part)) for part in parts]
    for one in running:
        one.start()
    for one in running:
        one.join()
        assert one.exitcode == 0
    assert sorted(int(one.id) for one in fixes.load(case.fixes)) == sorted([7, *range(24)])
    assert len(case.review.read_text().splitlines()) == 25


def test_rejections_outlive_the_next_run_until_the_label_is_another(case: Case) -> None:
    decide(case, case.keys()["gender"], "rejected")
    (row,) = case.desk().ledger.decided().values()
    again = {**row, "score": 0.7, "rank": 9, "seen": "x"}
    assert decisions.key(again) in case.desk().ledger.decided()
    assert decisions.key(again | {"given": "female"}) not in case.desk().ledger.decided()


def test_damaged_files_are_told_in_one_line(case: Case) -> None:
    case.review.write_text("dataset,person\n")
    with pytest.raises(UserError, match=r"review.csv: column 'photo' is missing.*git checkout"):
        case.desk()
    case.review.unlink()
    with files.replacing(case.folder / "audit" / "suspects.csv") as path:
        path.write_text("rank\n")
    with pytest.raises(UserError, match=r"suspects.csv.*dvc repro audit"):
        case.desk()
