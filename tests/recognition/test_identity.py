"""Photos are grouped by face within their set and part, and who has no face stays alone."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from facemask.pixels import codec
from facemask.recognition import groups, identity, sheet
from facemask.records import tables
from facemask.runtime.errors import UserError
from facemask.settings import params, recipes
from stages import face_crop

RED, BLUE = (200, 10, 10), (10, 10, 200)
COLOURS = {"e": RED, "a": BLUE, "d": (100, 5, 5), "b": (8, 8, 150), "c": RED}


def test_photos_of_one_face_are_one_group_and_the_lost_are_alone(
    tmp_path: Path, write_faces: Callable[..., None], by_colour: params.ByIdentity
) -> None:
    write_faces(tmp_path / "eval", COLOURS, lost=["c"])
    photos = ["a", "b", "c", "d", "e"]
    assert identity.grouped(recipes.Nothing(kind="none"), tmp_path, "eval", photos) is None
    found = identity.grouped(by_colour, tmp_path, "eval", photos)
    assert found is not None
    assert found.tolist() == [0, 0, 2, 3, 3]
    apart = identity.grouped(by_colour, tmp_path, "eval", photos, np.array([0, 1, 0, 1, 1]))
    assert apart is not None
    assert apart.tolist() == [0, 1, 2, 3, 3]
    part = identity.grouped(by_colour, tmp_path, "eval", ["e", "b"])
    assert part is not None
    assert part.tolist() == [0, 1]


def test_a_set_of_its_own_is_read_and_no_other(
    tmp_path: Path, write_faces: Callable[..., None], by_colour: params.ByIdentity
) -> None:
    write_faces(tmp_path / "labelled", COLOURS)
    with pytest.raises(UserError, match="eval/boxes.csv"):
        identity.grouped(by_colour, tmp_path, "eval", ["a"])
    lost = by_colour.model_copy(update={"path": "nowhere.onnx"})
    with pytest.raises(UserError, match=r"infer\.consensus\.path: .*infer\.consensus\.kind to none"):
        identity.grouped(lost, tmp_path, "labelled", ["a"])


def test_the_picture_shows_who_does_not_belong(tmp_path: Path, write_faces: Callable[..., None]) -> None:
    write_faces(tmp_path / "eval", COLOURS)
    photos, group = list(COLOURS), np.array([0, 1, 0, 1, 0])
    shown = []
    for name, person in (("right", np.array([5, 6, 5, 6, 5])), ("wrong", np.array([5, 6, 5, 6, 7]))):
        sheet.draw(tmp_path / f"{name}.jpg", group, tmp_path, "eval", photos, person)
        page = codec.decode((tmp_path / f"{name}.jpg").read_bytes()).astype(int)
        shown.append(((page - [207, 34, 46]).__abs__().max(2) < 25).sum())
    assert shown[1] > shown[0] + 200


@pytest.mark.slow
def test_real_people_are_found_by_a_real_network(
    shared: Path, tmp_path: Path, list_photos: Callable[..., dict[str, Path]], toy_yaml: dict[str, Any]
) -> None:
    root = tmp_path / "people"
    (root / "train" / "images").mkdir(parents=True)
    source = shared / "data" / "realfaces" / "train"
    lines = (source / "train.csv").read_text().splitlines()[:6]
    (root / "train" / "train.csv").write_text("\n".join(lines) + "\n")
    for line in lines[1:]:
        folder = line.rsplit(",", 1)[1]
        shutil.copytree(source / "images" / folder, root / "train" / "images" / folder)

    def model(name: str) -> dict[str, str]:
        path = shared / "models" / name
        return {"path": str(path), "sha256": hashlib.sha256(path.read_bytes()).hexdigest()}

    yunet = {"kind": "yunet", "score": 0.6, "height": 256} | model("face_detection_yunet_2023mar.onnx")
    cfg = params.FaceCrop.model_validate_json(
        json.dumps(toy_yaml["face_crop"] | {"finder": yunet, "size": [128, 96]})
    )
    face_crop.run(cfg, engine="local", **list_photos(root), out=tmp_path / "faces")
    photos = tables.read(tmp_path / "faces" / "labelled" / "boxes.csv", tables.BOXES)["photo"].tolist()
    assert len(photos) == 35
    by_face = params.ByIdentity(
        kind="identity", mean=0.0, std=1.0, similarity=0.4, **model("sface_2021dec_features.onnx")
    )
    found = identity.grouped(by_face, tmp_path / "faces", "labelled", photos)
    assert found is not None
    people = np.array([photo.split("/")[-2] for photo in photos])
    assert groups.facts(found, people)["adjusted_rand"] > 0.9
