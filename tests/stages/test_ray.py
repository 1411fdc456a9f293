"""The photo stages on a cluster of two machines: the bytes that one machine writes."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from facemask.runtime import actors
from facemask.runtime.errors import UserError
from facemask.sample import contest
from facemask.settings import loading

pytestmark = pytest.mark.slow

# Written by stages that are not run again.
ELSEWHERE = ("m/build_manifest.json", "m/fix_labels.json")
TASKS = ("_Look", "_Separate", "Answerer")


class Noted(actors.Worker):
    """Leaves a file a process and kind of work below ``who``; goes on only when two processes have."""

    def work(self, chunk: Sequence[Any]) -> Any:
        task = type(self._task).__name__
        Path("who", f"{task}-{os.getpid()}").touch()
        end = time.monotonic() + 60
        while len(list(Path("who").glob(f"{task}-*"))) < 2 and time.monotonic() < end:
            time.sleep(0.05)
        return super().work(chunk)


def written() -> dict[str, bytes]:
    folders = ("face_crop", "background_removal", "infer", "m", "p")
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
    contest.write(cfg.sample_data, root, Path("sample_truth"))
    pipeline.prepare(cfg, root)
    pipeline.fit(cfg)
    pipeline.answer(cfg)
    local = written()
    assert {"face_crop/crops.zip", "background_removal/mattes.zip", "infer/probabilities.csv"} <= set(local)
    for folder in ("face_crop", "background_removal", "infer", "m"):
        shutil.rmtree(folder)
    Path("who").mkdir()
    monkeypatch.setenv("FACEMASK_MEMO", "0")
    monkeypatch.setattr(actors, "Worker", Noted)
    pipeline.engine = "ray"
    pipeline.photograph(cfg, root)
    pipeline.answer(cfg)
    again = written()
    assert {name for name in local if local[name] != again.get(name)} == set(ELSEWHERE)
    for task in TASKS:
        assert len(list(Path("who").glob(f"{task}-*"))) == 2, task
    assert not list(Path("who").glob(f"*-{os.getpid()}"))

    photo = next((root / "train" / "images").rglob("*.jpg"))
    photo.write_bytes(photo.read_bytes() + b"!")
    with pytest.raises(UserError, match=f"{photo.name}: changed since it was indexed"):
        pipeline.photograph(cfg, root)
