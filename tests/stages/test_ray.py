"""The photo stages on a cluster of two machines: the bytes that one machine writes."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from facemask.runtime import cluster
from facemask.runtime.errors import UserError
from facemask.sample import contest
from facemask.settings import loading

pytestmark = pytest.mark.slow

TASKS = ("_Detect", "_Separate", "Answerer")


def noted(folder: str, held: Sequence[Any], chunk: Sequence[Any]) -> Any:
    """Leave a file a process and kind of work below ``who``; go on only when two processes have."""
    os.chdir(folder)
    task = type(cluster._task(held[0])).__name__
    Path("who", f"{task}-{os.getpid()}").touch()
    end = time.monotonic() + 60
    while len(list(Path("who").glob(f"{task}-*"))) < 2 and time.monotonic() < end:
        time.sleep(0.05)
    return cluster._work(folder, held, chunk)


def written() -> dict[str, bytes]:
    folders = ("face_crop", "background_removal", "infer")
    files = [path for folder in folders for path in sorted(Path(folder).rglob("*")) if path.is_file()]
    return {path.as_posix(): path.read_bytes() for path in files}


def test_a_cluster_writes_what_one_machine_writes(
    pipeline: Any,
    machines: Any,
    toy_yaml: dict[str, Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    toy_yaml["face_crop"]["finder"] = {"kind": "mtcnn", "min_face": 56.12, "thresholds": [0.6, 0.7, 0.7]}
    toy_yaml["background_removal"]["matting"] = {"kind": "grabcut", "iterations": 1, "height": 64}
    toy_yaml["train"]["image"]["background"] = "mean"
    toy_yaml["infer"]["batch_size"] = 2
    toy_yaml["sample_data"] |= {"train_people": 8, "eval_people": 2}
    cfg, root = loading.parse(toy_yaml, "toy"), Path("sample")
    contest.write(cfg.sample_data, root)
    pipeline.prepare(cfg, root)
    pipeline.fit(cfg)
    pipeline.answer(cfg)
    local = written()
    assert {
        "face_crop/labelled/crops.zip",
        "background_removal/eval/mattes.zip",
        "infer/probabilities.csv",
    } <= set(local)
    for folder in ("face_crop", "background_removal", "infer"):
        shutil.rmtree(folder)
    Path("who").mkdir()
    monkeypatch.setenv("FACEMASK_MEMO", "0")
    monkeypatch.setattr(cluster, "_work", noted)
    pipeline.engine = "ray"
    pipeline.photograph(cfg, root)
    pipeline.answer(cfg)
    again = written()
    assert {name for name in local if local[name] != again.get(name)} == set()
    for task in TASKS:
        assert len(list(Path("who").glob(f"{task}-*"))) == 2, task
    assert not list(Path("who").glob(f"*-{os.getpid()}"))

    photo = next((root / "train" / "images").rglob("*.jpg"))
    photo.write_bytes(photo.read_bytes() + b"!")
    with pytest.raises(UserError, match=f"{photo.name}: changed since it was indexed"):
        pipeline.photograph(cfg, root)
