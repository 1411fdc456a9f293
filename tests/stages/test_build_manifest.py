"""Who trains, who validates, how often a photo is seen."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from facemask.records import bands, classes, tables
from facemask.runtime.errors import UserError
from facemask.settings import params
from stages import build_manifest, fix_labels

Factory = Callable[..., Path]
OFFICIAL = params.Bands(young_cut=30, age_cut=60)
PLAIN = params.BuildManifest(folds=3, holdout=0.1, balance=params.NoBalance(kind="none"))


@pytest.fixture
def root(contest_folder: Factory, tmp_path: Path) -> Path:
    """18 people, one photo unreadable, and nothing beside them."""
    made = contest_folder(people=18, eval_people=2, size=(8, 6))
    (made / "train/images/000001_male_Asian_19/mask2.jpg").write_bytes(b"")
    for name in ("extra", "synthetic"):
        (tmp_path / name).mkdir()
    return made


@pytest.fixture
def inputs(root: Path) -> dict[str, Path]:
    """Outputs of the stages before; one photo without a matte."""
    return prepare(root)


def prepare(root: Path) -> dict[str, Path]:
    tmp_path = root.parent
    (tmp_path / "fixes.csv").write_text("dataset,id,field,old,new,status,source,note\n")
    folders = {name: tmp_path / name for name in ("labels", "faces", "mattes")}
    paths = {
        "fixes": tmp_path / "fixes.csv",
        "out": folders["labels"],
        "metrics": tmp_path / "fix_labels.json",
    }
    paths |= {name: tmp_path / name for name in ("extra", "synthetic")}
    fix_labels.run(params.FixLabels(trust="confirmed"), root=root, **paths)
    photos = pd.concat(
        tables.read(folders["labels"] / schema.name, schema)
        for schema in (tables.LABELS, tables.EVAL, tables.EXTRA, tables.UNLABELLED)
    )
    photos = photos[["photo", "status"]].reset_index(drop=True)
    readable = photos["status"] == "ok"
    faces = photos.assign(status=readable.map({True: "found", False: "unreadable"}), score=0.9, faces=1)
    corners = dict.fromkeys(["x0", "y0", "cx0", "cy0"], 0.5) | dict.fromkeys(["x1", "y1", "cx1", "cy1"], 4.25)
    tables.write(folders["faces"] / "boxes.csv", faces.assign(**corners), tables.BOXES)
    mattes = photos.assign(
        status=readable.map({True: "ok", False: "unreadable"}), coverage=np.where(readable, 0.4, np.nan)
    )
    mattes.loc[5, "status"] = "empty"
    tables.write(folders["mattes"] / "mattes.csv", mattes, tables.MATTES)
    return folders


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
        out = inputs["labels"].with_name(name)
        metrics, plot = out / "metrics.json", out / "classes.png"
        paths = {"out": out / "manifest", "metrics": metrics, "plot": plot}
        build_manifest.run(cfg, bands, seed=seed, **inputs, **paths)
        self.train = tables.read(out / "manifest" / "train.csv", tables.TRAIN)
        self.eval = tables.read(out / "manifest" / "eval.csv", tables.EVAL_MANIFEST)
        self.unlabelled = tables.read(out / "manifest" / "unlabelled.csv", tables.UNLABELLED_MANIFEST)
        self.counts = json.loads(metrics.read_text())
        self.bytes = {path.name: path.read_bytes() for path in sorted(out.rglob("*.*"))}


def test_one_row_in_one_row_out(inputs: dict[str, Path]) -> None:
    result = Result(inputs)
    labels = tables.read(inputs["labels"] / "labels.csv", tables.LABELS)
    listed = tables.read(inputs["labels"] / "eval.csv", tables.EVAL)
    assert result.train["photo"].tolist() == labels["photo"].tolist()
    assert result.eval["image_id"].tolist() == listed["image_id"].tolist()
    mask, gender, band = classes.decode(result.train["class"])
    assert (mask == labels["mask"]).all()
    assert (gender == labels["gender"]).all()
    assert (band == classes.band(labels["age"])).all()
    assert result.train["face"].value_counts().to_dict() == {"found": 125, "unreadable": 1}
    assert result.train["matte"].value_counts().to_dict() == {"ok": 124, "empty": 1, "unreadable": 1}
    bad = result.train[result.train["status"] != "ok"]
    assert bad["photo"].tolist() == ["train/images/000001_male_Asian_19/mask2.jpg"]
    assert bad["repeats"].tolist() == [0]
    assert set(result.train["cx1"]) == {4.25}


def test_a_person_is_on_one_side_and_every_fold_is_there(inputs: dict[str, Path]) -> None:
    train = Result(inputs).train
    assert (train.groupby("person")[["split", "fold"]].nunique() == 1).all().all()
    assert set(train["fold"]) == {-1, 0, 1, 2}
    assert train.loc[train["split"] == "holdout", "person"].nunique() == 2


def test_no_holdout_holds_nobody_out(inputs: dict[str, Path]) -> None:
    cfg = params.BuildManifest(folds=3, holdout=0.0, balance=params.NoBalance(kind="none"))
    assert set(Result(inputs, cfg).train["split"]) == {"train"}


def test_shifted_bands_change_targets_only(inputs: dict[str, Path]) -> None:
    official = Result(inputs)
    moved = Result(inputs, bands=params.Bands(young_cut=29, age_cut=59))
    assert moved.train.drop(columns="target").equals(official.train.drop(columns="target"))
    changed = moved.train[moved.train["target"] != moved.train["class"]]
    assert set(changed["age"]) == {29, 59}
    assert official.train["target"].equals(official.train["class"])
    assert moved.bytes["eval.csv"] == official.bytes["eval.csv"]


def test_the_trainer_s_cuts_go_with_the_manifest(inputs: dict[str, Path]) -> None:
    """Also where nobody's band moves."""
    Result(inputs, bands=params.Bands(young_cut=30, age_cut=58))
    assert bands.read(inputs["labels"].with_name("out") / "manifest") == (30, 58)


def test_balancing_moves_repeats_of_the_training_side_only(inputs: dict[str, Path]) -> None:
    plain = Result(inputs)
    for balance in (
        {"kind": "oversample", "ratio": 1.0, "cap": 3},
        {"kind": "undersample", "keep": (3, 1, 1)},
    ):
        cfg = params.BuildManifest.model_validate({"folds": 3, "holdout": 0.1, "balance": balance})
        result = Result(inputs, cfg)
        assert result.train.drop(columns="repeats").equals(plain.train.drop(columns="repeats"))
        assert not result.train["repeats"].equals(plain.train["repeats"])
        assert (result.train.loc[result.train["split"] == "holdout", "repeats"] == 0).all()
        balanced = sum(each["balanced"] for each in result.counts["classes"].values())
        assert balanced == result.train["repeats"].sum()


def test_a_second_run_writes_the_same_bytes_and_another_seed_does_not(inputs: dict[str, Path]) -> None:
    first = Result(inputs)
    tables_and_cuts = {"bands.json", "eval.csv", "train.csv", "unlabelled.csv"}
    assert set(first.bytes) == {"classes.png", "metrics.json"} | tables_and_cuts
    assert Result(inputs, name="again").bytes == first.bytes
    assert Result(inputs, seed=21).bytes["train.csv"] != first.bytes["train.csv"]
    assert first.bytes["classes.png"].startswith(b"\x89PNG")


def whose(train: pd.DataFrame) -> dict[str, int]:
    """Person -> fold."""
    return dict(zip(train["person"], train["fold"], strict=True))


def test_synthesised_people_stay_out_of_the_fold_of_whom_they_were_made_from(
    root: Path, contest_folder: Factory
) -> None:
    plain = Result(prepare(root))
    drawn = contest_folder("synthetic", people=18, eval_people=0, size=(8, 6), seed=1)
    folders = sorted(path.name for path in (drawn / "train/images").iterdir())
    # Each is made from the person after the one whose id they bear by chance; the last from nobody known.
    people = [f"{folder},{number + 2:06d}" for number, folder in enumerate(folders[:-1])]
    (drawn / "train/people.csv").write_text("\n".join(["folder,source", *people, f"{folders[-1]},"]) + "\n")
    result = Result(prepare(root), name="lent")
    more = result.train[result.train["split"] == "extra"]
    ours = result.train[result.train["split"] != "extra"].reset_index(drop=True)
    assert ours.equals(plain.train)
    assert len(more) == 126
    before = whose(plain.train)
    assert -1 in before.values()
    for person, fold in whose(more).items():
        number = int(person.removeprefix("synthesise/"))
        assert fold == (before[f"{number + 1:06d}"] if number < 18 else -2)
    assert ((more["repeats"] == 0) == (more["fold"] == -1)).all()


def test_the_same_photo_in_an_extra_data_set_makes_the_same_person(
    root: Path, contest_folder: Factory
) -> None:
    before = whose(Result(prepare(root)).train)
    held = next(person for person, fold in before.items() if fold == -1)
    validating = next(person for person, fold in before.items() if fold == 1)
    more = contest_folder("extra/more", people=4, eval_people=0, size=(8, 6), seed=1)
    photo = {path.name[:6]: path / "mask4.jpg" for path in (root / "train/images").iterdir()}
    copies = {path.name[:6]: path / "normal.jpg" for path in (more / "train/images").iterdir()}
    shutil.copy(photo[held], copies["000001"])
    shutil.copy(photo[validating], copies["000002"])
    shutil.copy(next((root / "eval/images").iterdir()), copies["000003"])
    result = Result(prepare(root), name="lent")
    rows = result.train[result.train["split"] == "extra"]
    assert whose(rows) == {"more/000001": -1, "more/000002": 1, "more/000003": -1, "more/000004": -2}
    assert (rows["repeats"] > 0).groupby(rows["person"]).sum().tolist() == [0, 6, 0, 7]
    assert set(rows["status"]) == {"ok"}
    assert result.counts["extra"]["copies"] == 3
    assert result.counts["extra"]["people_barred"] == 2


def test_photos_without_labels_are_those_of_which_nothing_is_known(
    root: Path, contest_folder: Factory
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


@pytest.mark.parametrize(("side", "file"), [("faces", "boxes.csv"), ("mattes", "mattes.csv")])
def test_stages_out_of_step_are_told(inputs: dict[str, Path], side: str, file: str) -> None:
    path = inputs[side] / file
    path.write_text("".join(line for line in path.read_text().splitlines(True) if "000002" not in line))
    with pytest.raises(
        UserError, match=rf"{file}: no row for train/images/000002.* \(and 6 more\).*run `dvc repro"
    ):
        Result(inputs)


def test_more_folds_than_people_are_told(inputs: dict[str, Path]) -> None:
    cfg = params.BuildManifest(folds=17, holdout=0.1, balance=params.NoBalance(kind="none"))
    with pytest.raises(
        UserError, match="build_manifest.folds is 17, but there are 18 people, 2 of them held out"
    ):
        Result(inputs, cfg)


def test_a_missing_table_names_its_stage(inputs: dict[str, Path]) -> None:
    (inputs["mattes"] / "mattes.csv").unlink()
    with pytest.raises(UserError, match=r"mattes\.csv: no such file; stage background_removal writes it"):
        Result(inputs)
