"""The face_crop stage: a row and a crop for every photo, the same bytes every time, networks only when they must."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from facemask.faces import finders
from facemask.pixels import archive, boxes, codec
from facemask.records import tables
from facemask.runtime import hardware
from facemask.runtime.errors import UserError
from facemask.settings import params
from stages import face_crop

CFG = params.FaceCrop(
    finder=params.Mtcnn(kind="mtcnn", min_face=56.12, thresholds=(0.6, 0.7, 0.7)),
    choose="largest",
    fallback=("person", "median"),
    margin=0.25,
    size=(32, 24),
)


class Stub(finders.Finder):
    """Finds a face by brightness: none in photos of odd red, two in others; counts the photos it is shown."""

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
    contest_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> Callable[..., Path]:
    """Runs the stage on a tiny folder with one unreadable photo; returns where it wrote."""
    root = contest_folder(people=3, eval_people=1, extensions=("jpg", "png", "jpeg"))
    rows = []
    for path in sorted((root / "train" / "images").rglob("*.*")):
        data = path.read_bytes()
        if path.parent.name.startswith("000002") and path.stem == "mask3":
            path.write_bytes(data := data[:40])
        key = path.relative_to(root).as_posix()
        row = (
            key,
            path.parent.name[:6],
            path.parent.name,
            path.stem,
            0,
            0,
            30,
            hashlib.sha256(data).hexdigest(),
        )
        rows.append((*row, "unreadable" if len(data) == 40 else "ok"))
    (tmp_path / "labels").mkdir()
    tables.write(
        tmp_path / "labels" / "labels.csv",
        pd.DataFrame(rows, columns=list(tables.LABELS.columns)),
        tables.LABELS,
    )
    names = pd.read_csv(root / "eval" / "info.csv")["ImageID"]
    listed = [
        (
            f"eval/images/{name}",
            name,
            hashlib.sha256((root / "eval" / "images" / name).read_bytes()).hexdigest(),
            "ok",
        )
        for name in names
    ]
    tables.write(
        tmp_path / "labels" / "eval.csv", pd.DataFrame(listed, columns=list(tables.EVAL.columns)), tables.EVAL
    )
    for schema in (tables.EXTRA, tables.UNLABELLED):
        nothing = pd.DataFrame(columns=list(schema.columns), dtype=str)
        tables.write(tmp_path / "labels" / schema.name, nothing, schema)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    monkeypatch.setattr(hardware, "cores", lambda: 1)
    monkeypatch.setattr(finders, "build", lambda _: Stub())
    Stub.shown, Stub.blind = 0, False

    def run(name: str = "out", **changes: object) -> Path:
        out = tmp_path / name
        cfg = params.FaceCrop.model_validate(CFG.model_dump() | changes)
        metrics, plot = beside(out) / "metrics.json", beside(out) / "sheet.jpg"
        beyond = {"extra": tmp_path / "extra", "synthetic": tmp_path / "synthetic"}
        face_crop.run(
            cfg,
            engine="local",
            labels=tmp_path / "labels",
            root=root,
            out=out,
            metrics=metrics,
            plot=plot,
            **beyond,
        )
        return out

    return run


def contents(out: Path) -> dict[str, bytes]:
    return {
        path.name: path.read_bytes() for folder in (out, beside(out)) for path in sorted(folder.iterdir())
    }


def beside(out: Path) -> Path:
    return out.with_name(f"{out.name}-metrics")


def test_a_row_for_every_photo_and_a_crop_for_every_readable_one(stage: Callable[..., Path]) -> None:
    out = stage()
    boxes = tables.read(out / "boxes.csv", tables.BOXES)
    labels = tables.read(out.parent / "labels" / "labels.csv", tables.LABELS)
    listed = tables.read(out.parent / "labels" / "eval.csv", tables.EVAL)
    assert boxes["photo"].tolist() == [*labels["photo"], *listed["photo"]]
    assert (boxes["status"] == "unreadable").sum() == 1
    assert {"found", "person"} <= set(boxes["status"])
    with archive.Reader(out / "crops.zip") as crops:
        assert crops.names == {f"{photo}.jpg" for photo in boxes["photo"][boxes["status"] != "unreadable"]}
        assert {codec.decode(crops.read(name)).shape for name in crops.names} == {(32, 24, 3)}
    metrics = json.loads((beside(out) / "metrics.json").read_text())
    assert metrics["photos"] == len(boxes) == sum(metrics["status"].values())
    assert 0 < metrics["found"]["all"] < 1
    assert set(metrics["found"]) == {
        "all",
        "eval",
        "normal",
        "incorrect_mask",
        *(f"mask{k}" for k in range(1, 6)),
    }


def test_reruns_and_lost_memos_give_the_same_bytes(stage: Callable[..., Path]) -> None:
    first = contents(stage())
    assert Stub.shown == 27
    assert contents(stage("again")) == first
    assert Stub.shown == 27
    shutil.rmtree((stage("third").parent) / ".cache")
    assert contents(stage("fourth")) == first
    assert Stub.shown == 54


def test_what_comes_after_the_network_does_not_run_it(stage: Callable[..., Path]) -> None:
    plain = contents(stage())
    for number, change in enumerate(
        ({"choose": "most_confident"}, {"margin": 0.5}, {"size": (40, 40)}, {"fallback": ("median",)})
    ):
        assert contents(stage(f"out{number}", **change))["boxes.csv"] != plain["boxes.csv"]
    assert Stub.shown == 27


def test_a_crop_is_cut_once_for_each_box_and_size(
    stage: Callable[..., Path], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut: list[tuple[float, ...]] = []
    real = boxes.crop

    def counted(pixels: boxes.Pixels, box: boxes.Box, size: tuple[int, int]) -> boxes.Pixels:
        cut.append((*box, *size))
        return real(pixels, box, size)

    monkeypatch.setattr(boxes, "crop", counted)
    plain = contents(stage())["crops.zip"]
    photos = len(cut)
    assert photos > 20
    assert contents(stage("again"))["crops.zip"] == plain
    assert len(cut) == photos, "nothing has changed"
    larger = contents(stage("larger", size=(40, 30)))["crops.zip"]
    assert len(cut) == 2 * photos
    assert larger != plain
    wider = contents(stage("wider", margin=0.5))
    assert len(cut) == 3 * photos
    monkeypatch.setenv("FACEMASK_MEMO", "0")
    assert contents(stage("without", margin=0.5)) == wider
    assert len(cut) == 4 * photos


def lend(folder: Path) -> list[str]:
    """List photos of an extra data set whose person has a number of the main one, and two without labels.

    Only the first of each two shows a face to the stub; a synthesised person's photos show none at all.
    """
    rows: dict[str, tuple[str, str]] = {}
    for key, red, person in (
        ("extra/more/train/images/000001_male_Asian_19/mask1.png", 1, "more/000001"),
        ("extra/more/train/images/000001_male_Asian_19/mask2.png", 0, "more/000001"),
        ("extra/more/unlabelled/walk/a.png", 1, ""),
        ("extra/more/unlabelled/walk/b.png", 0, ""),
        ("extra/synthesise/train/images/000001_male_Asian_19/mask1.png", 0, "synthesise/000001"),
    ):
        place = folder / key.replace("extra/synthesise", "synthetic")
        place.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.full((128, 48, 3), red, dtype=np.uint8)).save(place)
        rows[key] = hashlib.sha256(place.read_bytes()).hexdigest(), person
    labelled = [
        (key, person, "f", "mask1", 0, 0, 30, digest, "ok", "")
        for key, (digest, person) in rows.items()
        if person
    ]
    found = [(key, digest, "ok") for key, (digest, person) in rows.items() if not person]
    for schema, part in ((tables.EXTRA, labelled), (tables.UNLABELLED, found)):
        table = pd.DataFrame(part, columns=list(schema.columns))
        tables.write(folder / "labels" / schema.name, table, schema)
    return list(rows)


def test_other_data_sets_are_cropped_too_and_lend_no_boxes(
    stage: Callable[..., Path], tmp_path: Path
) -> None:
    alone = tables.read(stage() / "boxes.csv", tables.BOXES)
    keys = lend(tmp_path)
    out = stage("lent")
    boxes = tables.read(out / "boxes.csv", tables.BOXES)
    assert boxes[: len(alone)].equals(alone)
    more = boxes[len(alone) :].set_index("photo")
    assert sorted(more.index) == sorted(keys)
    # Person 000001 of the main data set is another one, and its median box belongs to photos of another shape.
    assert more.loc[keys, "status"].tolist() == ["found", "person", "found", "median", "frame"]
    assert more.loc[keys[:4], "y1"].nunique() == 1
    with archive.Reader(out / "crops.zip") as crops:
        assert {f"{key}.jpg" for key in keys} <= crops.names
    found = json.loads((beside(out) / "metrics.json").read_text())["found"]
    assert found["extra"] == pytest.approx(1 / 3, abs=1e-6)
    assert found["unlabelled"] == 0.5
    before = json.loads((beside(tmp_path / "out") / "metrics.json").read_text())["found"]
    assert {name: found[name] for name in before if name != "all"} == {
        name: rate for name, rate in before.items() if name != "all"
    }


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

    alone = json.loads((beside(stage("alone")) / "metrics.json").read_text())
    assert "finders" not in alone
    made = iter([Stub(), Second()])
    monkeypatch.setattr(finders, "build", lambda _: next(made))
    out = stage("both", finder={"kind": "in_order", "finders": (CFG.finder.model_dump(),) * 2})
    found = alone["status"]["found"]
    assert Stub.shown == 27 + 27 - found
    both = json.loads((beside(out) / "metrics.json").read_text())
    assert both["found"]["all"] == 1
    first, second = both["finders"]["stub"], both["finders"]["second"]
    assert (first["photos"], first["boxes"], first["found"]) == (27, found, alone["found"])
    assert (second["photos"], second["boxes"]) == (27 - found, 27 - found)
    for kind, rate in second["found"].items():
        assert rate + first["found"][kind] == pytest.approx(1, abs=2e-6)


@pytest.mark.slow
def test_real_faces_are_found_by_two_processes_as_by_one(
    shared: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    root = shared / "data" / "realfaces"
    rows = []
    for folder in sorted((root / "train" / "images").iterdir())[:6]:
        for path in sorted(folder.iterdir()):
            digest = hashlib.sha256(path.read_bytes()).hexdigest()
            key = path.relative_to(root).as_posix()
            rows.append((key, folder.name[:6], folder.name, path.stem, 0, 0, 30, digest, "ok"))
    labels = pd.DataFrame(rows, columns=list(tables.LABELS.columns))
    tables.write(tmp_path / "labels" / "labels.csv", labels, tables.LABELS)
    tables.write(
        tmp_path / "labels" / "eval.csv", pd.DataFrame(columns=list(tables.EVAL.columns)), tables.EVAL
    )
    for schema in (tables.EXTRA, tables.UNLABELLED):
        nothing = pd.DataFrame(columns=list(schema.columns), dtype=str)
        tables.write(tmp_path / "labels" / schema.name, nothing, schema)
    monkeypatch.setenv("FACEMASK_MEMO", "0")
    written = []
    for workers in (1, 2):
        monkeypatch.setattr(hardware, "cores", lambda count=workers: count)
        out = tmp_path / f"out{workers}"
        paths = {"metrics": beside(out) / "metrics.json", "plot": beside(out) / "sheet.jpg"}
        paths |= {"extra": tmp_path / "extra", "synthetic": tmp_path / "synthetic"}
        face_crop.run(CFG, engine="local", labels=tmp_path / "labels", root=root, out=out, **paths)
        written.append(contents(out))
    assert written[0] == written[1]
    assert json.loads(written[0]["metrics.json"])["found"]["all"] >= 0.95
