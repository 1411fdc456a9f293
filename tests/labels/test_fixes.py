"""Known wrong labels."""

from __future__ import annotations

from pathlib import Path

import pandas as pd
import pytest

from facemask.labels import fixes
from facemask.records import csvfile, raw
from facemask.runtime.errors import UserError
from facemask.sample.contest import PLANTED

HEADER = "dataset,id,field,old,new,status,source,note"


def person(name: str, gender: int, age: int) -> pd.DataFrame:
    folder = f"{name}_{('male', 'female')[gender]}_Asian_{age}"
    rows = [
        (f"train/images/{folder}/{kind}.jpg", name, folder, kind, raw.MASK_OF[kind]) for kind in raw.KINDS
    ]
    columns = ["photo", "person", "folder", "kind", "mask"]
    return pd.DataFrame(rows, columns=columns).assign(gender=gender, age=age)


@pytest.fixture
def labels() -> pd.DataFrame:
    people = [("000001", 0, 45), ("001498-1", 0, 20), ("003397", 1, 19), ("003397", 1, 20), ("000004", 1, 60)]
    return pd.concat([person(*each) for each in people], ignore_index=True)


def write(folder: Path, *rows: str) -> Path:
    path = folder / "label_fixes.csv"
    path.write_text("\n".join([HEADER, *rows]) + "\n")
    return path


def fixed(labels: pd.DataFrame, folder: Path, *rows: str) -> pd.DataFrame:
    return fixes.apply(labels, fixes.load(write(folder, *(f"d,{row},confirmed,test," for row in rows))))


def of(labels: pd.DataFrame, folder: str, column: str) -> dict[str, int]:
    rows = labels[labels["folder"] == folder]
    return dict(zip(rows["photo"].map(lambda photo: Path(photo).stem), rows[column], strict=True))


def test_gender_changes_for_all_photos_of_the_folder_and_for_no_other(
    labels: pd.DataFrame, tmp_path: Path
) -> None:
    after = fixed(labels, tmp_path, "001498-1,gender,male,female")
    changed = after["gender"] != labels["gender"]
    assert changed.tolist() == (labels["person"] == "001498-1").tolist()
    assert after.drop(columns="gender").equals(labels.drop(columns="gender"))


@pytest.mark.parametrize("old", ["45", ">=30", ">=45", "<46", "<60"])
def test_age_changes_where_the_old_one_or_its_bound_matches(
    labels: pd.DataFrame, tmp_path: Path, old: str
) -> None:
    after = fixed(labels, tmp_path, f"000001,age,{old},29")
    assert set(after.loc[after["person"] == "000001", "age"]) == {29}
    assert (after["age"] != labels["age"]).sum() == 7


def test_a_swap_exchanges_two_kinds(labels: pd.DataFrame, tmp_path: Path) -> None:
    after = fixed(labels, tmp_path, "000001,swap,normal,incorrect_mask")
    kinds = of(after, "000001_male_Asian_45", "kind")
    assert (kinds["normal"], kinds["incorrect_mask"], kinds["mask1"]) == ("incorrect_mask", "normal", "mask1")
    assert (after["kind"] != labels["kind"]).sum() == 2


def test_a_photo_fix_changes_the_mask_state_of_one_photo(labels: pd.DataFrame, tmp_path: Path) -> None:
    after = fixed(labels, tmp_path, "000001,photo,incorrect_mask,mask")
    assert of(after, "000001_male_Asian_45", "mask")["incorrect_mask"] == 0
    assert (after["mask"] != labels["mask"]).sum() == 1


def test_kind_and_mask_agree_after_any_fix(labels: pd.DataFrame, tmp_path: Path) -> None:
    rows = ("000001,swap,normal,incorrect_mask", "000004,photo,mask2,normal", "001498-1,photo,normal,mask")
    after = fixed(labels, tmp_path, *rows)
    assert after["mask"].tolist() == [raw.MASK_OF[kind] for kind in after["kind"]]
    assert (after["mask"] != labels["mask"]).sum() == 4


def test_of_two_folders_with_one_id_the_old_value_picks(labels: pd.DataFrame, tmp_path: Path) -> None:
    after = fixed(labels, tmp_path, "003397,age,20,35")
    assert set(after.loc[after["person"] == "003397", "age"]) == {19, 35}


def test_a_folder_name_settles_what_an_id_leaves_open(labels: pd.DataFrame, tmp_path: Path) -> None:
    with pytest.raises(
        UserError, match="line 2: '003397' could be .*_19 or .*_20; write the folder's name as id"
    ):
        fixed(labels, tmp_path, "003397,gender,female,male")
    after = fixed(labels, tmp_path, "003397_female_Asian_20,gender,female,male")
    assert set(after.loc[after["gender"] != labels["gender"], "folder"]) == {"003397_female_Asian_20"}


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        ("000009,gender,male,female", "no person of data set 'd' has the id '000009'"),
        ("1,gender,male,female", "no person of data set 'd' has the id '1'"),
        ("000001,gender,female,male", "old gender 'female' does not match: 000001_male_Asian_45 has male"),
        ("000001,age,44,29", "old age '44' does not match: 000001_male_Asian_45 has 45"),
        ("000001,age,>=46,29", "old age '>=46' does not match"),
        ("000001,age,<45,29", "old age '<45' does not match"),
        ("000001,age,>=30,45", "does not match: 000001_male_Asian_45 has 45"),
        ("003397,age,21,30", "003397_female_Asian_19 has 19, 003397_female_Asian_20 has 20"),
    ],
)
def test_a_fix_that_does_not_fit_the_data_is_refused(
    labels: pd.DataFrame, tmp_path: Path, row: str, complaint: str
) -> None:
    with pytest.raises(UserError) as caught:
        fixed(labels, tmp_path, row)
    assert str(caught.value).startswith(f"{tmp_path / 'label_fixes.csv'}: line 2: ")
    assert complaint in str(caught.value)
    assert "correct or delete the row, or set fix_labels.dataset" in str(caught.value)


@pytest.mark.parametrize("row", ["000001,swap,normal,mask3", "000001,photo,mask3,normal"])
def test_a_fix_of_a_photo_that_is_not_there_is_refused(
    labels: pd.DataFrame, tmp_path: Path, row: str
) -> None:
    fewer = labels[labels["kind"] != "mask3"].reset_index(drop=True)
    with pytest.raises(UserError, match="line 2: .* 000001_male_Asian_45 has no photo mask3"):
        fixed(fewer, tmp_path, row)


@pytest.mark.parametrize(
    ("row", "complaint"),
    [
        (",1,gender,male,female,confirmed,s,", "dataset '' is empty"),
        ("d, 1,gender,male,female,confirmed,s,", "id ' 1' is empty or has spaces"),
        ("d,1,gender,male,female,confirmed,,", "source '' is empty"),
        ("d,1,sex,male,female,confirmed,s,", "field 'sex' is not one of gender, age, photo, swap"),
        ("d,1,gender,male,female,sure,s,", "status 'sure' is not one of confirmed, unconfirmed"),
        ("d,1,gender,man,female,confirmed,s,", "old 'man' is not one of male, female"),
        ("d,1,gender,male,male,confirmed,s,", "says the same as old"),
        ("d,1,age,old,29,confirmed,s,", "old 'old' is not an age (years or a bound such as >=30 or <60)"),
        ("d,1,age,30,>=60,confirmed,s,", "new '>=60' is not an age"),
        ("d,1,age,30,121,confirmed,s,", "new '121' is not an age"),
        ("d,1,age,30,30,confirmed,s,", "says the same as old"),
        ("d,1,photo,incorrect,mask,confirmed,s,", "old 'incorrect' is not one of mask1"),
        (
            "d,1,photo,incorrect_mask,mask2,confirmed,s,",
            "new 'mask2' is not one of mask, incorrect_mask, normal",
        ),
        ("d,1,photo,mask2,mask,confirmed,s,", "says the same as old"),
        ("d,1,swap,normal,normal,confirmed,s,", "says the same as old"),
        ("d,1,swap,normal,face,confirmed,s,", "new 'face' is not one of"),
        ("d,1,gender,male,female,confirmed,s", "7 fields, but the header has 8"),
    ],
)
def test_a_malformed_row_is_refused_whatever_its_data_set(tmp_path: Path, row: str, complaint: str) -> None:
    good = "other,1,gender,male,female,confirmed,s,"
    with pytest.raises(UserError) as caught:
        fixes.load(write(tmp_path, good, row))
    assert str(caught.value).startswith(f"{tmp_path / 'label_fixes.csv'}: line 3: ")
    assert complaint in str(caught.value)


@pytest.mark.parametrize(
    "rows",
    [
        ("000001,gender,male,female", "000001,gender,male,female"),
        ("000001,age,45,29", "000001,age,45,61"),
        ("000001,swap,normal,incorrect_mask", "000001,swap,incorrect_mask,normal"),
    ],
)
def test_a_fix_that_stands_there_twice_is_refused(tmp_path: Path, rows: tuple[str, str]) -> None:
    with pytest.raises(UserError, match="line 3: .* of '000001' is fixed in line 2 already; keep one"):
        fixes.load(write(tmp_path, *(f"d,{row},confirmed,s," for row in rows)))


@pytest.mark.parametrize(
    "rows",
    [
        ("000001,age,45,29", "000001,age,>=30,61"),
        ("000001,swap,normal,incorrect_mask", "000001,photo,normal,mask"),
        ("000001,swap,normal,incorrect_mask", "000001,swap,normal,mask1"),
        ("000001,gender,male,female", "000001_male_Asian_45,gender,male,female"),
    ],
)
def test_fixes_that_meet_are_refused(labels: pd.DataFrame, tmp_path: Path, rows: tuple[str, str]) -> None:
    with pytest.raises(
        UserError, match="line 3: .* of 000001_male_Asian_45 is changed in line 2 too; keep one"
    ):
        fixed(labels, tmp_path, *rows)


def test_trust_decides_which_are_applied(tmp_path: Path) -> None:
    path = write(
        tmp_path,
        "d,1,gender,male,female,confirmed,s,",
        "d,2,gender,male,female,unconfirmed,s,",
        "e,3,gender,male,female,confirmed,s,",
        "c,3,gender,male,female,confirmed,s,",
    )
    loaded = fixes.load(path)
    chosen = {
        trust: [fix.id for fix in fixes.select(loaded, "d", trust).applied]
        for trust in ("none", "confirmed", "all")
    }
    assert chosen == {"none": [], "confirmed": ["1"], "all": ["1", "2"]}
    counts = fixes.select(loaded, "d", "confirmed").counts()
    assert counts["not_trusted"] == 1
    assert counts["unused"] == {"c": 1, "e": 1}
    assert str(fixes.select(loaded, "d", "confirmed")) == (
        "label fixes for 'd': 1 of 2 applied; unused, for other data sets: c 1, e 1"
    )
    assert "no label fixes for 'x'" in str(fixes.select(loaded, "x", "all"))
    assert "c 1, d 2, e 1" in str(fixes.select(loaded, "x", "all"))


def test_no_fixes_change_nothing(labels: pd.DataFrame, tmp_path: Path) -> None:
    assert fixed(labels, tmp_path).equals(labels)


def test_a_missing_list_is_told(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"label_fixes\.csv: no such file"):
        fixes.load(tmp_path / "label_fixes.csv")


def test_the_shipped_list_is_sound_and_holds_what_the_renderer_planted(repository: Path) -> None:
    shipped = fixes.load(repository / "data" / "label_fixes.csv")
    planted = {
        (fix.id, fix.field, fix.old, fix.new) for fix in fixes.select(shipped, "sample", "confirmed").applied
    }
    assert planted == {(plant.id, plant.field, plant.old, plant.new) for plant in PLANTED}
    contest = fixes.select(shipped, "contest", "confirmed")
    assert (len(contest.applied), len(contest.distrusted)) == (11, 23)


def test_the_shipped_list_covers_the_development_data(shared: Path, repository: Path) -> None:
    shipped = fixes.select(
        fixes.load(repository / "data" / "label_fixes.csv"), "realfaces", "confirmed"
    ).applied
    known = csvfile.text(shared / "data" / "realfaces" / "known_label_fixes.csv", "")
    expected = {
        (row["id"], row["field"].replace("files", "swap"), row["old"], row["new"])
        for _, row in known.iterrows()
    }
    assert {(fix.id, fix.field, fix.old, fix.new) for fix in shipped} == expected
