"""The face_crop stage: a row and a crop for every photo, the same bytes every time, networks only when they must."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facemask.faces import finders
from facemask.pixels import archive, boxes, codec
from facemask.records import tables
from facemask.runtime import hardware
from facemask.runtime.arrays import Pixels
from facemask.runtime.errors import UserError
from facemask.settings import params
from facemask.settings.recipes import Nothing
from stages import face_crop

pytestmark = pytest.mark.slow

Factory = Callable[..., Path]
CFG = params.FaceCrop(
    finder=params.Mtcnn(kind="mtcnn", min_face=56.12, thresholds=(0.6, 0.7, 0.7)),
    choose="largest",
    fallback=("person", "median"),
    margin=0.25,
    align=Nothing(kind="none"),
    size=(32, 24),
)


class Stub(finders.Finder):
    """Finds two faces, but none where the first pixel's red is a multiple of four; counts the photos it is shown."""

    kind = "stub"
    status = "found"
    searches = True
    shown = 0
    blind = False

    def fingerprint(self) -> str:
        return "stub"

    def find(self, pixels: list[np.ndarray]) -> list[np.ndarray]:
        Stub.shown += len(pixels)
        faces = np.array([[10.0, 12.0, 30.0, 40.0, 0.8], [1.0, 1.0, 9.0, 9.0, 0.95]])
        return [faces[: 0 if Stub.blind or int(photo[0, 0, 0]) % 4 == 0 else 2] for photo in pixels]


@pytest.fixture
def stage(
    contest_folder: Factory,
    list_photos: Callable[..., dict[str, Path]],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Callable[..., Path]:
    """Runs the stage on a tiny folder with one unreadable photo, and what lies beside it; returns where it wrote."""
    root = contest_folder(people=3, eval_people=1, extensions=("jpg", "png", "jpeg"))
    broken = next(root.glob("train/images/000002*/mask3.*"))
    broken.write_bytes(broken.read_bytes()[:40])
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr(hardware, "cores", lambda: 1)
    monkeypatch.setattr(finders, "build", lambda _: Stub())
    Stub.shown, Stub.blind = 0, False

    def run(name: str = "out", **changes: object) -> Path:
        cfg = params.FaceCrop.model_validate(CFG.model_dump() | changes)
        face_crop.run(cfg, engine="local", **list_photos(root), out=tmp_path / name)
        return tmp_path / name

    return run


def contents(out: Path) -> dict[str, bytes]:
    return {path.relative_to(out).as_posix(): path.read_bytes() for path in sorted(out.rglob("*.*"))}


def boxes_of(out: Path, name: str) -> pd.DataFrame:
    return tables.read(out / name / "boxes.csv", tables.BOXES)


def counts(out: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads((out / "about" / "counts.json").read_text())
    return content


def test_a_row_for_every_photo_and_a_crop_for_every_readable_one(stage: Callable[..., Path]) -> None:
    out = stage()
    table = tables.read(out.with_name("fix_labels") / "photos.csv", tables.PHOTOS)
    told = counts(out)
    assert set(contents(out)) == {
        "about/counts.json",
        "about/left_out.txt",
        "about/sheet.jpg",
        *(f"{name}/{file}" for name in tables.SETS for file in ("boxes.csv", "crops.zip")),
    }
    with archive.Sets(out, "crops.zip") as crops:
        for name in tables.SETS:
            rows = boxes_of(out, name)
            assert rows["photo"].tolist() == table.loc[table["set"] == name, "photo"].tolist()
            stored = crops.of(name)
            assert stored.names == {f"{photo}.jpg" for photo in rows["photo"][rows["status"] != "unreadable"]}
            assert {codec.decode(stored.read(entry)).shape for entry in stored.names} <= {(32, 24, 3)}
            assert told[name]["photos"] == len(rows) == sum(told[name]["status"].values())
    labelled = boxes_of(out, "labelled")["status"]
    assert (labelled == "unreadable").sum() == 1
    assert {"found", "person"} <= set(labelled)
    assert 0 < told["labelled"]["found"]["all"] < 1
    kinds = {"normal", "incorrect_mask", *(f"mask{k}" for k in range(1, 6))}
    rates = {name: set(told[name]["found"]) for name in tables.SETS}
    assert rates == {"labelled": {"all", *kinds}, "eval": {"all"}, "extra": set(), "unlabelled": set()}


def test_reruns_and_lost_memos_give_the_same_bytes(stage: Callable[..., Path]) -> None:
    first = contents(stage())
    assert Stub.shown == 27
    assert contents(stage("again")) == first
    assert Stub.shown == 27
    shutil.rmtree((stage("third").parent) / ".cache")
    assert contents(stage("fourth")) == first
    assert Stub.shown == 54


def test_what_comes_after_the_network_does_not_run_it(stage: Callable[..., Path]) -> None:
    plain = contents(stage())["labelled/boxes.csv"]
    for number, change in enumerate(
        ({"choose": "most_confident"}, {"margin": 0.5}, {"size": (40, 40)}, {"fallback": ("median",)})
    ):
        assert contents(stage(f"out{number}", **change))["labelled/boxes.csv"] != plain
    assert Stub.shown == 27


def test_landmarks_turn_crops_and_stay_in_the_table(
    stage: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without landmarks alignment changes no crop; with them the crops change, and what the finder saw stays."""
    upright = contents(stage())
    asked = params.Similarity(kind="similarity", template="arcface", margin=0.0)
    blind = contents(stage("blind", align=asked))
    assert blind["labelled/crops.zip"] == upright["labelled/crops.zip"]
    shutil.rmtree(stage("again").parent / ".cache")
    points = np.array([14.0, 20, 24, 22, 19, 28, 14, 34, 22, 35])

    def seen(_: Stub, pixels: list[np.ndarray]) -> list[np.ndarray]:
        return [np.array([[10.0, 12.0, 30.0, 40.0, 0.8, *points]]) for _ in pixels]

    monkeypatch.setattr(Stub, "find", seen)
    plain, turned = stage("plain"), stage("turned", align=asked)
    assert contents(turned)["labelled/crops.zip"] != contents(plain)["labelled/crops.zip"]
    for folder, aligned in ((plain, False), (turned, True)):
        boxed = tables.read(folder / "labelled" / "boxes.csv", tables.BOXES)
        readable = boxed["status"] == "found"
        assert (boxed.loc[readable, list(tables.POINTS)] == points).all(axis=None)
        assert (boxed.loc[readable, "turn"].notna() == aligned).all()
        assert boxed.loc[~readable, "turn"].isna().all()


def test_a_crop_is_cut_once_for_each_box_and_size(
    stage: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut: list[tuple[float, ...]] = []
    real = boxes.crop

    def counted(pixels: Pixels, box: boxes.Box, size: tuple[int, int], turn: float) -> Pixels:
        cut.append((*box, *size))
        return real(pixels, box, size, turn)

    monkeypatch.setattr(boxes, "crop", counted)
    plain = contents(stage())
    photos = len(cut)
    assert photos > 20
    assert contents(stage("again")) == plain
    assert len(cut) == photos, "nothing has changed"
    larger = contents(stage("larger", size=(40, 30)))
    assert len(cut) == 2 * photos
    assert all(larger[f"{name}/crops.zip"] != plain[f"{name}/crops.zip"] for name in ("labelled", "eval"))
    wider = contents(stage("wider", margin=0.5))
    assert len(cut) == 3 * photos
    monkeypatch.setenv("FACEMASK_MEMO", "0")
    assert contents(stage("without", margin=0.5)) == wider
    assert len(cut) == 4 * photos


@pytest.fixture
def lend(contest_folder: Factory) -> Callable[[], None]:
    """Adds an extra person whose number is one of the main set's, two photos without labels and somebody synthesised.

    Only the first of the extra person's photos and of those without labels shows a face to the stub.
    """

    def add() -> None:
        size = {"size": (128, 48), "extensions": ("png",)}
        more = contest_folder("extra/more", people=1, eval_people=0, **size)
        drawn = contest_folder("synthetic", people=1, eval_people=0, **size)
        person = more / "train/images/000001_male_Asian_19"
        walk = more / "unlabelled" / "walk"
        walk.mkdir(parents=True)
        faced = {person / "incorrect_mask.png", walk / "a.png"}
        for path in [*person.iterdir(), *drawn.rglob("*.png"), walk / "a.png", walk / "b.png"]:
            Image.fromarray(np.full((128, 48, 3), path in faced, dtype=np.uint8)).save(path)

    return add


def test_other_data_sets_are_cropped_too_and_lend_no_boxes(
    stage: Callable[..., Path], lend: Callable[[], None]
) -> None:
    alone = stage()
    lend()
    out = stage("lent")
    for name in ("labelled", "eval"):
        for file in ("boxes.csv", "crops.zip"):
            assert (out / name / file).read_bytes() == (alone / name / file).read_bytes()
        assert counts(out)[name] == counts(alone)[name]
    # Person 000001 of the main data set is another one, and its median box belongs to photos of another shape.
    extra, unlabelled = boxes_of(out, "extra"), boxes_of(out, "unlabelled")
    assert extra["status"].tolist() == ["found"] + ["person"] * 6 + ["frame"] * 7
    assert unlabelled["status"].tolist() == ["found", "median"]
    assert len({*extra["y1"][:7], *unlabelled["y1"]}) == 1
    found = {name: each["found"] for name, each in counts(out).items()}
    assert (found["extra"]["all"], found["extra"]["incorrect_mask"]) == (round(1 / 14, 6), 0.5)
    assert found["unlabelled"] == {"all": 0.5}


def test_no_face_in_any_photo_is_one_clear_line(stage: Callable[..., Path]) -> None:
    Stub.blind = True
    with pytest.raises(UserError, match=r"no face in any of 27 photos; lower .* or set .* to none or fixed"):
        stage()


def test_a_second_finder_takes_what_the_first_left_and_both_are_told_of(
    stage: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    class Second(Stub):
        kind = "second"

        def fingerprint(self) -> str:
            return "second"

        def find(self, pixels: list[np.ndarray]) -> list[np.ndarray]:
            Stub.shown += len(pixels)
            return [np.array([[5.0, 6.0, 25.0, 36.0, 0.7]])] * len(pixels)

    alone = counts(stage("alone"))
    assert all("finders" not in each for each in alone.values())
    made = iter([Stub(), Second()])
    monkeypatch.setattr(finders, "build", lambda _: next(made))
    both = counts(stage("both", finder={"kind": "in_order", "finders": (CFG.finder.model_dump(),) * 2}))
    assert Stub.shown == 27 + 27 - sum(each["status"]["found"] for each in alone.values())
    for name, readable in {"labelled": 20, "eval": 7, "extra": 0, "unlabelled": 0}.items():
        found = alone[name]["status"]["found"]
        assert both[name]["found"].get("all", 1) == 1
        first, second = both[name]["finders"]["stub"], both[name]["finders"]["second"]
        assert (first["photos"], first["boxes"], first["found"]) == (readable, found, alone[name]["found"])
        assert (second["photos"], second["boxes"]) == (readable - found, readable - found)
        for kind, rate in second["found"].items():
            assert rate + first["found"][kind] == pytest.approx(1, abs=2e-6)


def test_real_faces_are_found_by_two_processes_as_by_one(
    shared: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    list_photos: Callable[..., dict[str, Path]],
) -> None:
    given, root = shared / "data" / "realfaces" / "train", tmp_path / "contest"
    (root / "train" / "images").mkdir(parents=True)
    people = pd.read_csv(given / "train.csv", dtype=str)[:6]
    people.to_csv(root / "train" / "train.csv", index=False)
    for folder in people["path"]:
        shutil.copytree(given / "images" / folder, root / "train" / "images" / folder)
    places = list_photos(root)
    monkeypatch.setenv("FACEMASK_MEMO", "0")
    written = []
    for workers in (1, 2):
        monkeypatch.setattr(hardware, "cores", lambda count=workers: count)
        out = tmp_path / f"out{workers}"
        face_crop.run(CFG, engine="local", **places, out=out)
        written.append(contents(out))
    assert written[0] == written[1]
    assert counts(out)["labelled"]["found"]["all"] >= 0.95
