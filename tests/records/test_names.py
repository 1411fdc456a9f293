"""Names that are equal to the eye are one; what cannot be shown is shown as an escape."""

from __future__ import annotations

import json
import sys
import unicodedata
from pathlib import Path

import pandas as pd
import pytest

from facemask.labels import fixes
from facemask.records import names, raw
from facemask.runtime.errors import UserError, printable

KIM = "김철수"


def apart(text: str) -> str:
    """As macOS writes it."""
    return unicodedata.normalize("NFD", text)


def contest(root: Path, on_disk, in_table, fix=None):
    """Two people, a Korean name for one of them and for an eval photo."""
    folders = [f"{KIM}_male_Asian_30", "000002_female_Asian_61"]
    rows = ["id,gender,race,age,path"]
    for folder in folders:
        who, gender, race, age = folder.split("_")
        (root / "train/images" / on_disk(folder)).mkdir(parents=True)
        (root / "train/images" / on_disk(folder) / "normal.jpg").write_bytes(b"x")
        rows.append(",".join(map(in_table, (who, gender, race, age, folder))))
    (root / "train/train.csv").write_text("\n".join(rows) + "\n", encoding="utf-8")
    (root / "eval/images").mkdir(parents=True)
    (root / "eval/images" / on_disk("사진.jpg")).write_bytes(b"x")
    (root / "eval/info.csv").write_text(f"ImageID\n{in_table('사진.jpg')}\n", encoding="utf-8")
    (root / "eval/answers.csv").write_text("ImageID,ans\n사진.jpg,3\n", encoding="utf-8")
    return raw.scan(root)


@pytest.mark.parametrize("on_disk", [str, apart])
@pytest.mark.parametrize("in_table", [str, apart])
def test_composed_and_decomposed_hangul_are_one_name(tmp_path, on_disk, in_table):
    assert apart(KIM) != KIM
    layout = contest(tmp_path, on_disk, in_table)
    assert sorted(layout.train["person"]) == ["000002", KIM]
    for photo in [*layout.train["photo"], *layout.eval["photo"]]:
        assert (tmp_path / photo).is_file(), "files are opened by the name that they have"
    assert layout.eval["image_id"].tolist() == [in_table("사진.jpg")], "answered by the name that was asked"
    assert layout.answers.to_numpy().tolist() == [[in_table("사진.jpg"), 3]]
    listed = tmp_path / "fixes.csv"
    row = f"mine,{in_table(KIM)},gender,male,female,confirmed,seen,\n"
    listed.write_text(f"{','.join(fixes.COLUMNS)}\n{row}", encoding="utf-8")
    fixed = fixes.apply(layout.train, fixes.select(fixes.load(listed), "mine", "confirmed").applied)
    assert fixed.set_index("person")["gender"].to_dict() == {"000002": 1, KIM: 1}


def test_two_spellings_of_one_name_beside_each_other_are_told(tmp_path):
    for name in (KIM, apart(KIM)):
        (tmp_path / name).mkdir()
    with pytest.raises(UserError, match=r"the names '\\u.* and '\\u.* are one"):
        list(names.visible(tmp_path, tmp_path, []))


def test_names_read_in_another_locale_are_told_with_the_remedy(tmp_path, monkeypatch):
    (tmp_path / KIM).mkdir()
    monkeypatch.setattr(sys, "getfilesystemencoding", lambda: "euc_kr")
    with pytest.raises(UserError, match="this locale reads them as euc_kr; `export PYTHONUTF8=1`"):
        list(names.visible(tmp_path, tmp_path, []))


def test_leading_zeros_that_a_spreadsheet_dropped_are_named(tmp_path):
    contest(tmp_path, str, str)
    path = tmp_path / "train/train.csv"
    path.write_text(path.read_text(encoding="utf-8").replace("000002,", "2,"), encoding="utf-8")
    with pytest.raises(UserError, match="a spreadsheet drops leading zeros: read the column as text"):
        raw.scan(tmp_path)


def test_what_cannot_be_shown_is_escaped_in_every_message():
    evil = "000001\u202egpj.exe\u2066\x1b[2J\a\udc80\n"
    shown = str(UserError(f"{evil}: no such file"))
    assert shown == r"000001\u202egpj.exe\u2066\x1b[2J\x07\udc80\n: no such file"
    assert printable("김철수 é × – 1") == "김철수 é × – 1"


def test_of_a_very_long_line_the_middle_is_left_out() -> None:
    line = str(UserError(f"t.csv: line 3: {'x' * 5000}: correct it"))
    assert line.startswith("t.csv: line 3: x")
    assert line.endswith("x: correct it")
    assert 1000 < len(line) < 1600
    assert str(UserError("x" * 1500)) == "x" * 1500


def test_a_name_with_a_direction_of_writing_shows_escaped_in_the_quarantine(list_photos, contest_folder):
    root = contest_folder(people=2, eval_people=1)
    (root / "eval/images/a\u202egpj.jpg").write_bytes(b"x")
    out = list_photos(root)["photo_table"].parent
    text = (out / "about/quarantine.csv").read_text(encoding="utf-8")
    assert r"eval/images/a\u202egpj.jpg,ignored" in text
    assert "\u202e" not in text


def test_fixes_for_people_who_are_not_there_are_counted_where_a_subset_is_said_to_be_read(
    list_photos, contest_folder, capsys
):
    root = contest_folder(people=2, eval_people=0)
    root.with_name("label_fixes.csv").write_text(
        f"{','.join(fixes.COLUMNS)}\n"
        "contest,000001,gender,male,female,confirmed,seen,\n"
        "contest,009999,gender,male,female,confirmed,seen,\n"
        "contest,009999,age,30,31,unconfirmed,seen,\n"
        "other,1,age,30,31,confirmed,seen,\n"
    )
    with pytest.raises(UserError, match="no person .* '009999'.*set fix_labels.dataset to contest/subset"):
        list_photos(root, dataset="contest")
    out = list_photos(root, dataset="contest/subset")["photo_table"].parent
    told = "1 of 3 applied, 2 about people who are not there; unused, for other data sets: other 1"
    assert told in capsys.readouterr().out
    counts = json.loads((out / "about/counts.json").read_text())["fixes"]
    assert (counts["absent"], counts["applied"]["gender"], counts["unused"]) == (2, 1, {"other": 1})
    photos = pd.read_csv(out / "photos.csv", dtype=str)
    assert set(photos.loc[photos["person"] == "000001", "gender"]) == {"1"}
    with pytest.raises(UserError, match=r"fix_labels.dataset: 'contest/part': a name has no slash"):
        list_photos(root, dataset="contest/part")
