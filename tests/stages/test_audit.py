"""Stage audit: planted errors are found, outputs are whole and the same every time."""

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

from facemask.audit import suspects
from facemask.labels import fixes
from facemask.records import classes, tables
from facemask.runtime.errors import UserError
from facemask.scoring import predictions
from facemask.settings import loading, params
from stages import audit

pytestmark = pytest.mark.slow

MANIFEST = Path("build_manifest/labelled/manifest.csv")


def answer(wrong: dict[str, int] | None = None, *, photos: int | None = None) -> None:
    """Write what combine writes: each photo's true class at .8, or another one for some of them."""
    rows = tables.read(MANIFEST, tables.MANIFEST)
    about = {"eval_photos_used": False}
    for name, split in (("oof", "train"), ("holdout", "holdout")):
        part = rows[(rows["split"] == split) & (rows["status"] == "ok")].sort_values("photo").head(photos)
        shown = part["class"].to_numpy(copy=True)
        for place, photo in enumerate(part["photo"]):
            shown[place] = (wrong or {}).get(photo, shown[place])
        table = np.full((len(part), classes.COUNT), 0.2 / 17)
        table[np.arange(len(part)), shown] = 0.8
        people = pd.factorize(part["person"])[0].astype(np.int64)
        done = predictions.Predictions(part["photo"].tolist(), people, part["class"].to_numpy(), table)
        Path("combine").mkdir(exist_ok=True)
        predictions.write(Path(f"combine/{name}.csv"), done if len(part) else None, rows)
    Path("combine/about.json").write_text(json.dumps(about))


def run(cfg: params.Audit) -> pd.DataFrame:
    audit.run(
        cfg,
        engine="local",
        photo_table=Path("fix_labels/photos.csv"),
        about=Path("fix_labels/about"),
        faces=Path("face_crop"),
        manifest=Path("build_manifest"),
        combined=Path("combine"),
        out=Path("audit"),
    )
    return tables.read(Path("audit/suspects.csv"), suspects.TABLE)


def test_errors_come_first_and_the_rest_is_clean(
    pipeline: Any, contest_folder: Callable[..., Path], toy_yaml: dict[str, Any]
) -> None:
    # Noise around one colour has sharp grain and neither shape nor a face that could be alike.
    root = contest_folder(people=12, eval_people=3)
    folder = root / "train" / "images" / "000005_male_Asian_60"
    Image.fromarray(np.zeros((64, 48, 3), np.uint8)).save(folder / "mask4.jpg", quality=95)
    shutil.copy(root / "train" / "images" / "000002_female_Asian_19" / "normal.jpg", folder / "mask2.jpg")
    shutil.copy(folder / "mask5.jpg", next((root / "eval" / "images").iterdir()))
    toy_yaml["build_manifest"]["holdout"] = 0.25
    toy_yaml["audit"] |= {"small": 0.0, "blur": 0.0}
    cfg = loading.parse(toy_yaml, "toy")
    pipeline.prepare(cfg, root)
    rows = tables.read(MANIFEST, tables.MANIFEST)
    assert set(rows["split"]) == {"train", "holdout"}
    mine = rows[rows["person"] == "000001"].set_index("kind")
    held = rows[(rows["split"] == "holdout") & (rows["person"] != "000005")]["person"].iloc[0]
    wrong = {
        photo: (cls + 3) % 6 + cls // 6 * 6
        for photo, cls in rows[rows["person"] == held][["photo", "class"]].to_numpy()
    }
    wrong |= {
        mine.loc["normal", "photo"]: mine.loc["incorrect_mask", "class"],
        mine.loc["incorrect_mask", "photo"]: mine.loc["normal", "class"],
    }
    answer(wrong)

    found = run(cfg.audit)
    assert found["rank"].tolist() == list(range(1, len(found) + 1))
    told = {(one.person[:6], one.reason): one for one in found.itertuples()}
    assert ("000005", "blank photo") in told
    # What shares bytes trains in one fold, but their ages cannot both be right.
    pairs = found[found["reason"] == "same face, hash"]
    assert {one.split("/")[0] for one in pairs["other"]} == {"train", "eval"}
    fixable = found[found["field"] != ""]
    assert sorted(zip(fixable["id"], fixable["field"], strict=True)) == sorted(
        [("000001", "swap"), (held, "gender")]
    )
    assert set(fixable["dataset"]) == {cfg.fix_labels.dataset}
    listed = fixable[["dataset", "id", "field", "old", "new"]].assign(status="confirmed", source="t", note="")
    listed.to_csv("found.csv", index=False)
    assert len(fixes.load(Path("found.csv"))) == 2

    about = json.loads(Path("audit/about.json").read_text())
    assert about["people"] == about["people_predicted"] == 12
    assert sum(about["suspects"].values()) == len(found)
    assert about["noise"]["gender"]["labels"] == 12

    before = {path.name: path.read_bytes() for path in Path("audit").iterdir()}
    run(cfg.audit)
    assert {path.name: path.read_bytes() for path in Path("audit").iterdir()} == before


def test_only_people_with_an_honest_answer_are_looked_at(prepared: Any, toy_yaml: dict[str, Any]) -> None:
    answer(photos=14)
    run(loading.parse(toy_yaml, "toy").audit)
    about = json.loads(Path("audit/about.json").read_text())
    assert about["people"] == 12
    assert 0 < about["people_predicted"] < 12


@pytest.mark.parametrize("content", ["{}", "no", None])
def test_a_damaged_neighbour_is_told_in_one_line(
    prepared: Any, toy_yaml: dict[str, Any], content: str | None
) -> None:
    answer()
    path = Path("fix_labels/about/counts.json")
    path.unlink()
    if content is not None:
        path.write_text(content)
    with pytest.raises(UserError, match="fix_labels/about/counts.json.*dvc repro"):
        run(loading.parse(toy_yaml, "toy").audit)
    assert not Path("audit").exists()
