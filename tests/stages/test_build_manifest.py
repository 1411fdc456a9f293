"""Who trains, who validates, how often a photo is seen."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from facemask.records import bands, classes, tables
from facemask.runtime.errors import UserError
from facemask.settings import params
from stages import build_manifest

pytestmark = pytest.mark.slow

Factory = Callable[..., Path]
OFFICIAL = params.Bands(young_cut=30, age_cut=60)
Prepare = Callable[[Path], dict[str, Path]]
PLAIN = params.BuildManifest(folds=3, holdout=0.1, balance=params.NoBalance(kind="none"))


@pytest.fixture
def root(contest_folder: Factory) -> Path:
    """18 people, one photo unreadable, and nothing beside them."""
    made = contest_folder(people=18, eval_people=2, size=(8, 6))
    (made / "train/images/000001_male_Asian_19/mask2.jpg").write_bytes(b"")
    return made


@pytest.fixture
def prepare(list_photos: Callable[..., dict[str, Path]]) -> Prepare:
    """Writes what the stages before would find in a folder, and returns where; one photo has no matte."""

    def run(root: Path) -> dict[str, Path]:
        where = {"photo_table": list_photos(root)["photo_table"]}
        where |= {name: root.with_name(name) for name in ("faces", "mattes")}
        photos = tables.read(where["photo_table"], tables.PHOTOS)
        readable = photos["status"] == "ok"
        faces = photos[["photo"]].assign(status=np.where(readable, "found", "unreadable"), score=0.9, faces=1)
        faces = faces.assign(**dict.fromkeys(["x0", "y0", "cx0", "cy0"], 0.5))
        faces = faces.assign(**dict.fromkeys(["x1", "y1", "cx1", "cy1"], 4.25))
        faces = faces.assign(**dict.fromkeys([*tables.POINTS, "turn"], np.nan))
        mattes = photos[["photo"]].assign(
            status=np.where(readable, "ok", "unreadable"), coverage=np.where(readable, 0.4, np.nan)
        )
        mattes.loc[5, "status"] = "empty"
        for name in tables.SETS:
            ours = photos["set"] == name
            tables.write(where["faces"] / name / "boxes.csv", faces[ours], tables.BOXES)
            tables.write(where["mattes"] / name / "mattes.csv", mattes[ours], tables.MATTES)
        return where

    return run


@pytest.fixture
def inputs(root: Path, prepare: Prepare) -> dict[str, Path]:
    """Outputs of the stages before."""
    return prepare(root)


class Result:
    """What the stage wrote."""

    def __init__(
        self,
        inputs: dict[str, Path],
        cfg: params.BuildManifest = PLAIN,
        bands: params.Bands = OFFICIAL,
        seed: int = 20,
        name: str = "out",
    ) -> None:
        out = inputs["faces"].with_name(name)
        build_manifest.run(cfg, bands, seed=seed, **inputs, out=out)
        self.labelled, self.extra = (
            tables.read(out / name / "manifest.csv", tables.MANIFEST) for name in ("labelled", "extra")
        )
        self.eval, self.unlabelled = (
            tables.read(out / name / "manifest.csv", tables.UNLABELLED_MANIFEST)
            for name in ("eval", "unlabelled")
        )
        self.counts = json.loads((out / "about" / "counts.json").read_text())
        self.bytes = {
            path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*.*"))
        }


def test_one_row_in_one_row_out(inputs: dict[str, Path]) -> None:
    result = Result(inputs)
    photos = tables.read(inputs["photo_table"], tables.PHOTOS)
    labels = photos[photos["set"] == "labelled"]
    assert result.labelled["photo"].tolist() == labels["photo"].tolist()
    assert result.eval["image_id"].tolist() == photos.loc[photos["set"] == "eval", "image_id"].tolist()
    for name in tables.SETS:
        assert set(getattr(result, name)["set"]) <= {name}
    mask, gender, band = classes.decode(result.labelled["class"])
    assert (mask == labels["mask"]).all()
    assert (gender == labels["gender"]).all()
    assert (band == classes.band(labels["age"])).all()
    assert result.labelled["face"].value_counts().to_dict() == {"found": 125, "unreadable": 1}
    assert result.labelled["matte"].value_counts().to_dict() == {"ok": 124, "empty": 1, "unreadable": 1}
    bad = result.labelled[result.labelled["status"] != "ok"]
    assert bad["photo"].tolist() == ["train/images/000001_male_Asian_19/mask2.jpg"]
    assert bad["repeats"].tolist() == [0]
    assert set(result.labelled["cx1"]) == {4.25}


def test_a_person_is_on_one_side_and_every_fold_is_there(inputs: dict[str, Path]) -> None:
    train = Result(inputs).labelled
    assert (train.groupby("person")[["split", "fold"]].nunique() == 1).all().all()
    assert set(train["fold"]) == {-1, 0, 1, 2}
    assert train.loc[train["split"] == "holdout", "person"].nunique() == 2


def test_no_holdout_holds_nobody_out(inputs: dict[str, Path]) -> None:
    cfg = params.BuildManifest(folds=3, holdout=0.0, balance=params.NoBalance(kind="none"))
    assert set(Result(inputs, cfg).labelled["split"]) == {"train"}


def test_shifted_bands_change_targets_only(inputs: dict[str, Path]) -> None:
    official = Result(inputs)
    moved = Result(inputs, bands=params.Bands(young_cut=29, age_cut=59))
    assert moved.labelled.drop(columns="target").equals(official.labelled.drop(columns="target"))
    changed = moved.labelled[moved.labelled["target"] != moved.labelled["class"]]
    assert set(changed["age"]) == {29, 59}
    assert official.labelled["target"].equals(official.labelled["class"])
    assert moved.bytes["eval/manifest.csv"] == official.bytes["eval/manifest.csv"]


def test_the_trainer_s_cuts_go_with_the_manifest(inputs: dict[str, Path]) -> None:
    """Also where nobody's band moves."""
    Result(inputs, bands=params.Bands(young_cut=30, age_cut=58))
    assert bands.read(inputs["faces"].with_name("out") / "labelled") == (30, 58)


def test_balancing_moves_repeats_of_the_training_side_only(inputs: dict[str, Path]) -> None:
    plain = Result(inputs)
    for balance in (
        {"kind": "oversample", "ratio": 1.0, "cap": 3},
        {"kind": "undersample", "keep": (3, 1, 1)},
    ):
        cfg = params.BuildManifest.model_validate({"folds": 3, "holdout": 0.1, "balance": balance})
        result = Result(inputs, cfg)
        assert result.labelled.drop(columns="repeats").equals(plain.labelled.drop(columns="repeats"))
        assert not result.labelled["repeats"].equals(plain.labelled["repeats"])
        assert (result.labelled.loc[result.labelled["split"] == "holdout", "repeats"] == 0).all()
        balanced = sum(each["balanced"] for each in result.counts["classes"].values())
        assert balanced == result.labelled["repeats"].sum()


def test_a_second_run_writes_the_same_bytes_and_another_seed_does_not(inputs: dict[str, Path]) -> None:
    first = Result(inputs)
    beside = {"labelled/bands.json", "about/counts.json", "about/classes.png", "about/left_out.txt"}
    assert set(first.bytes) == beside | {f"{name}/manifest.csv" for name in tables.SETS}
    assert Result(inputs, name="again").bytes == first.bytes
    other = Result(inputs, seed=21)
    assert {name for name in first.bytes if other.bytes[name] != first.bytes[name]} <= {
        "labelled/manifest.csv",
        "about/counts.json",
        "about/classes.png",
    }
    assert not other.labelled.equals(first.labelled)
    assert first.bytes["about/classes.png"].startswith(b"\x89PNG")


def whose(train: pd.DataFrame) -> dict[str, int]:
    """Person -> fold."""
    return dict(zip(train["person"], train["fold"], strict=True))


def test_synthesised_people_stay_out_of_the_fold_of_whom_they_were_made_from(
    root: Path, contest_folder: Factory, prepare: Prepare
) -> None:
    plain = Result(prepare(root))
    drawn = contest_folder("synthetic", people=18, eval_people=0, size=(8, 6), seed=1)
    folders = sorted(path.name for path in (drawn / "train/images").iterdir())
    # Each is made from the person after the one whose id they bear by chance; the last from nobody known.
    people = [f"{folder},{number + 2:06d}" for number, folder in enumerate(folders[:-1])]
    (drawn / "train/people.csv").write_text("\n".join(["folder,source", *people, f"{folders[-1]},"]) + "\n")
    result = Result(prepare(root), name="lent")
    more = result.extra
    assert result.bytes["labelled/manifest.csv"] == plain.bytes["labelled/manifest.csv"]
    assert len(more) == 126
    assert set(more["split"]) == {"extra"}
    before = whose(plain.labelled)
    assert -1 in before.values()
    for person, fold in whose(more).items():
        number = int(person.removeprefix("synthesise/"))
        assert fold == (before[f"{number + 1:06d}"] if number < 18 else -2)
    assert ((more["repeats"] == 0) == (more["fold"] == -1)).all()


def test_the_same_photo_in_an_extra_data_set_makes_the_same_person(
    root: Path, contest_folder: Factory, prepare: Prepare
) -> None:
    before = whose(Result(prepare(root)).labelled)
    held = next(person for person, fold in before.items() if fold == -1)
    validating = next(person for person, fold in before.items() if fold == 1)
    more = contest_folder("extra/more", people=4, eval_people=0, size=(8, 6), seed=1)
    photo = {path.name[:6]: path / "mask4.jpg" for path in (root / "train/images").iterdir()}
    copies = {path.name[:6]: path / "normal.jpg" for path in (more / "train/images").iterdir()}
    shutil.copy(photo[held], copies["000001"])
    shutil.copy(photo[validating], copies["000002"])
    shutil.copy(next((root / "eval/images").iterdir()), copies["000003"])
    result = Result(prepare(root), name="lent")
    rows = result.extra
    assert whose(rows) == {"more/000001": -1, "more/000002": 1, "more/000003": -1, "more/000004": -2}
    assert (rows["repeats"] > 0).groupby(rows["person"]).sum().tolist() == [0, 6, 0, 7]
    assert set(rows["status"]) == {"ok"}
    assert result.counts["extra"]["copies"] == 3
    assert result.counts["extra"]["people_barred"] == 2


def test_photos_without_labels_are_those_of_which_nothing_is_known(
    root: Path, contest_folder: Factory, prepare: Prepare
) -> None:
    more = contest_folder("extra/more", people=1, eval_people=2, size=(8, 6), seed=1)
    shutil.move(more / "eval/images", more / "unlabelled")
    shutil.rmtree(more / "eval")
    fresh = sorted(path.name for path in (more / "unlabelled").iterdir())
    for number, known in enumerate(
        (
            root / "train/images/000002_female_Asian_19/mask1.jpg",
            next((root / "eval/images").iterdir()),
            more / "train/images/000001_male_Asian_19/mask1.jpg",
            more / "unlabelled" / fresh[0],
        )
    ):
        shutil.copy(known, more / "unlabelled" / f"z{number}.jpg")
    result = Result(prepare(root))
    assert result.unlabelled["photo"].tolist() == [f"extra/more/unlabelled/{name}" for name in fresh]
    assert set(result.unlabelled["face"]) == {"found"}
    assert result.counts["unlabelled"] == {"photos": 14, "copies": 4}
    assert len(result.eval) == 14


@pytest.mark.parametrize("name", ["labelled", "eval"])
@pytest.mark.parametrize(("side", "file"), [("faces", "boxes.csv"), ("mattes", "mattes.csv")])
def test_stages_out_of_step_are_told(inputs: dict[str, Path], side: str, file: str, name: str) -> None:
    path = inputs[side] / name / file
    header, *rows = path.read_text().splitlines(keepends=True)
    path.write_text("".join([header, *rows[3:]]))
    photo = re.escape(rows[0].split(",")[0])
    with pytest.raises(UserError, match=rf"{name}/{file}: no row for {photo} \(and 2 more\).*run `dvc repro"):
        Result(inputs)


def test_more_folds_than_people_are_told(inputs: dict[str, Path]) -> None:
    cfg = params.BuildManifest(folds=17, holdout=0.1, balance=params.NoBalance(kind="none"))
    with pytest.raises(
        UserError, match="build_manifest.folds is 17, but there are 18 people, 2 of them held out"
    ):
        Result(inputs, cfg)


@pytest.mark.parametrize("name", tables.SETS)
def test_a_missing_table_names_its_stage(inputs: dict[str, Path], name: str) -> None:
    (inputs["mattes"] / name / "mattes.csv").unlink()
    with pytest.raises(
        UserError, match=rf"{name}/mattes\.csv: no such file; stage background_removal writes it"
    ):
        Result(inputs)
