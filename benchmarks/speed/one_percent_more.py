"""Adding photos to a data set whose faces were found before: what one per cent more costs of the whole stage."""

from __future__ import annotations

import functools
import os
import statistics
import time
from pathlib import Path

import pandas as pd

from benchmarks.speed import material
from benchmarks.speed.material import Material
from benchmarks.speed.outcome import Effort, Outcome
from facemask.faces import finders
from facemask.photos import memo, photos
from facemask.records import tables
from facemask.runtime import executor, hardware
from stages import face_crop, fix_labels


def measure(effort: Effort) -> Outcome:
    """Run the stage on all photos but one per cent, then on all; and on one photo, which is what starting costs."""
    more = max(1, round(effort.photos / 101))
    with material.contest_photos(effort.photos) as given:
        os.chdir(given.work)
        os.environ["DVC_ROOT"] = str(given.work)
        keys = [photo.key for photo in given.photos]
        # The last photos of a sorted list are one person's; every so many-th is anybody's.
        new = set(keys[:: len(keys) // more][:more])
        whole = _indexed(given)
        lists = {
            "all": _only(whole, given.work / "all.csv", set(keys)),
            "before": _only(whole, given.work / "before.csv", set(keys) - new),
            "one": _only(whole, given.work / "one.csv", {keys[0]}),
        }
        # Imports and the fork server are set up.
        _stage(given, lists["all"], "warm")
        seconds: dict[str, list[float]] = {"start": [], "full": [], "more": []}
        search: dict[str, list[float]] = {"full": [], "more": []}
        for turn in range(effort.rounds):
            seconds["start"].append(_stage(given, lists["one"], f"start{turn}"))
            seconds["full"].append(_stage(given, lists["before"], f"round{turn}"))
            seconds["more"].append(_stage(given, lists["all"], f"round{turn}"))
            search["full"].append(_search(given, lists["before"], f"search{turn}"))
            search["more"].append(_search(given, lists["all"], f"search{turn}"))
    taken = {name: statistics.median(values) for name, values in seconds.items()}
    found = {name: statistics.median(values) for name, values in search.items()}
    return Outcome(
        (taken["more"] - taken["start"]) / (taken["full"] - taken["start"]),
        figures={
            "photos_added": more,
            "stage_seconds": {name: round(value, 3) for name, value in taken.items()},
            "search_seconds": {name: round(value, 3) for name, value in found.items()},
            "search_share": round(found["more"] / found["full"], 4),
            "share_of_photos": round(more / (len(keys) - more), 4),
            "processes": hardware.cores(),
            "faces": given.what,
        },
        note="the whole stage, crops and contact sheet included, less what it takes on one photo; search_share is of "
        "the networks' part alone, which the memo saves",
    )


def _indexed(given: Material) -> pd.DataFrame:
    """Run fix_labels on the photos and return its table."""
    fixes = given.work / "fixes.csv"
    fixes.write_text("dataset,id,field,old,new,status,source,note\n")
    given.where.extra.mkdir(exist_ok=True)
    (given.where.synthetic / "train").mkdir(parents=True, exist_ok=True)
    (given.where.synthetic / "train" / "train.csv").write_text("id,gender,race,age,path\n")
    out = given.work / "fix_labels"
    fix_labels.run(
        material.shipped().fix_labels,
        root=given.where.main,
        extra=given.where.extra,
        synthetic=given.where.synthetic,
        label_fixes=fixes,
        out=out,
    )
    return tables.read(out / tables.PHOTOS.name, tables.PHOTOS)


def _only(whole: pd.DataFrame, out: Path, keys: set[str]) -> Path:
    """Write the table ``whole`` with ``keys`` alone."""
    tables.write(out, whole[whole["photo"].isin(keys)], tables.PHOTOS)
    return out


def _stage(given: Material, listed: Path, name: str) -> float:
    """Seconds of the stage with the memo ``name``."""
    os.environ["DVC_ROOT"] = str(given.work / name)
    start = time.perf_counter()
    face_crop.run(
        material.shipped().face_crop.model_copy(update={"finder": material.mtcnn()}),
        engine="local",
        photo_table=listed,
        root=given.where.main,
        extra=given.where.extra,
        synthetic=given.where.synthetic,
        out=given.work / "face_crop",
    )
    return time.perf_counter() - start


def _search(given: Material, listed: Path, name: str) -> float:
    """Seconds of finding the faces alone, with the memo ``name``."""
    some = photos.by_set(tables.read(listed, tables.PHOTOS), suffix=".jpg")["labelled"]
    finder = finders.MtcnnFinder(material.mtcnn())
    start = time.perf_counter()
    kept = memo.Memo(given.work / name)
    pool = functools.partial(executor.processes, workers=hardware.cores())
    for _ in finders.survey(finder, some, given.where, kept, pool):
        pass
    kept.close()
    return time.perf_counter() - start
