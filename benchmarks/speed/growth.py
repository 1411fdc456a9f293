"""How the stages grow: seconds and memory of each at several numbers of photos, as commands of their own.

Every size is a project of its own: this one's code and params, one epoch of one fold, an empty memo, and as many
photos as the size says, with two thirds as many to answer. A stage runs with the command line of ``dvc.yaml``, without
DVC around it.

Exponent of growth: t(n) - t(n0) is taken to grow as (n - n0)^k, where n0 are a few photos, at which a stage does
little but start; k is the slope of a straight line through the logarithms. 1 is linear.
"""

from __future__ import annotations

import math
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import yaml
from dvc.repo import Repo

from benchmarks.speed import copies, material, watch
from benchmarks.speed.outcome import HERE, Effort, Outcome, skipped, tell
from benchmarks.speed.watch import Spent
from facemask.runtime import hardware
from facemask.settings import presets

STAGES: Final = (
    "fix_labels",
    "face_crop",
    "background_removal",
    "build_manifest",
    "train",
    "combine",
    "evaluate",
    "infer",
)
START: Final = 70
_STARTS: Final = 3
FLAT: Final = 1.3
# Growth that tells something: so many times what starts of the stage differ by, and so many seconds.
_TIMES: Final = 2.0
_LEAST: Final = 0.5
_COUNTS: Final = 2.0
_NOBODY: Final = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
_PHOTOS: Final = "data/photos"
Runs = dict[int, dict[str, Spent]]


def measure(effort: Effort) -> Outcome:
    """Run all stages at each size, the largest last."""
    if not watch.possible():
        return skipped("memory is read from Linux's /proc/<pid>/smaps_rollup")
    chosen = [copies.sizes(labelled) for labelled in sorted({START, *effort.sizes})]
    if len(chosen) < 3:
        return skipped(f"at least two sizes above {START} photos are needed")
    runs: Runs = {}
    with tempfile.TemporaryDirectory(prefix="facemask-bench-") as folder:
        whole = Path(folder) / "whole"
        tell(f"writing {chosen[-1].photos:,} photos")
        what = copies.write(whole, chosen[-1])
        few = [_once(whole, Path(folder) / f"start{k}", chosen[0]) for k in range(_STARTS)]
        runs[chosen[0].labelled] = over(few, statistics.median)
        for size in chosen[1:]:
            project = Path(folder) / f"project{size.labelled}"
            runs[size.labelled] = _once(whole, project, size)
            if size == chosen[len(chosen) // 2]:
                middle = size
                _params(project, epochs=2)
                two = _run(project, ("train",), size)["train"]
            if size == chosen[-1]:
                per_photo = _bytes(project, size)
            shutil.rmtree(project)
    once = runs[middle.labelled]["train"]
    starts = over(few, _spread)
    exponents = {stage: exponent(_column(runs, stage, "wall"), starts[stage].wall) for stage in STAGES}
    grown = {
        stage: runs[chosen[-1].labelled][stage].wall - runs[chosen[0].labelled][stage].wall
        for stage in STAGES
    }
    counted = [stage for stage in STAGES if exponents[stage] is not None and grown[stage] >= _COUNTS]
    first, last = chosen[1].labelled, chosen[-1].labelled
    memory = {stage: runs[last][stage].own / runs[first][stage].own for stage in STAGES}
    worst = max(memory, key=lambda stage: memory[stage])
    return Outcome(
        max((exponents[stage] or 0 for stage in counted), default=None),
        figures={
            "growth_exponent": {s: _rounded(exponents[s]) for s in STAGES},
            "by_stage": {
                stage: _row(runs, stage, starts[stage], exponents[stage], memory[stage]) for stage in STAGES
            },
            "counted": counted,
            "labelled_photos": [size.labelled for size in chosen],
            "photos_to_answer": [size.answers for size in chosen],
            "own_memory_flat": {"worst_ratio": round(memory[worst], 3), "stage": worst, "wanted": FLAT},
            "epoch_cpu_ms_per_labelled_photo": round(1000 * (two.cpu - once.cpu) / middle.labelled, 3),
            "bytes_per_photo": per_photo,
            "network": "{name} at {size}, 1 epoch, 1 fold".format(**_network()),
            "matting": material.MODEL.name if material.MODEL.is_file() else "as shipped",
            "processes": hardware.cores(),
            "faces": what,
        },
        note=f"the ratio is the greatest exponent of a stage that takes {_COUNTS:g} s more for the largest size than "
        f"for {START} photos (the median of {_STARTS} starts), without sizes that take less than {_TIMES:g} times more "
        f"than what starts differ by, or than {_LEAST:g} s; memory is what all processes of a stage have filled "
        "themselves at most, files mapped into memory apart, its ratio the largest size against "
        f"{first:,} labelled photos",
    )


def make(project: Path) -> None:
    """Copy this project's code and params, without data; stages that need none of their inputs find empty ones."""
    for name in ("facemask", "stages"):
        shutil.copytree(HERE / name, project / name, ignore=shutil.ignore_patterns("__pycache__"))
    for path in ("dvc.yaml", "params.yaml", ".dvcignore", ".gitignore", ".dvc/config"):
        (project / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(HERE / path, project / path)
    (project / "data" / "extra").mkdir(parents=True)
    header = (HERE / "data" / "label_fixes.csv").read_text().splitlines()[0]
    (project / "data" / "label_fixes.csv").write_text(f"{header}\n")
    drawn = project / "data" / "synthesise" / "train"
    drawn.mkdir(parents=True)
    (drawn / "train.csv").write_text("id,gender,race,age,path\n")
    _params(project, epochs=1)
    # DVCLive wants a commit.
    for command in (["init", "-q"], [*_NOBODY, "commit", "-q", "--allow-empty", "-m", "start"]):
        subprocess.run(["git", *command], cwd=project, check=True)


def commands(project: Path) -> dict[str, str]:
    """Command line of every stage, as DVC would run it."""
    with Repo(str(project)) as repo:
        return {stage.name.partition("@")[0]: stage.cmd for stage in repo.index.stages}


def over(
    several: Sequence[Mapping[str, Spent]], summary: Callable[[Sequence[float]], float]
) -> dict[str, Spent]:
    """Summarise several runs stage by stage, figure by figure: a first run also waits for the disk."""
    return {
        stage: Spent(*map(summary, zip(*(one[stage] for one in several), strict=True)))
        for stage in several[0]
    }


def exponent(seconds: Mapping[int, float], noise: float) -> float | None:
    """Fit the exponent of growth.

    Parameters
    ----------
    seconds
        Photos -> seconds; the fewest photos are taken for what it takes to start.
    noise
        Seconds that starts differ by.

    Returns
    -------
    float or None
        None where fewer than two sizes take visibly longer than the start.
    """
    fewest = min(seconds)
    points = [
        (math.log(photos - fewest), math.log(taken - seconds[fewest]))
        for photos, taken in seconds.items()
        if photos > fewest and taken - seconds[fewest] >= max(_TIMES * noise, _LEAST)
    ]
    if len(points) < 2:
        return None
    return statistics.linear_regression(*zip(*points, strict=True)).slope


def _once(whole: Path, project: Path, size: copies.Sizes) -> dict[str, Spent]:
    """Run every stage in a new project with a part of the photos."""
    make(project)
    copies.part(whole, project / _PHOTOS, size)
    return _run(project, STAGES, size)


def _run(project: Path, stages: tuple[str, ...], size: copies.Sizes) -> dict[str, Spent]:
    lines = commands(project)
    env = {name: value for name, value in os.environ.items() if not name.startswith("FACEMASK_")}
    env |= {
        "DVC_ROOT": str(project),
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]]),
    }
    spent = {}
    for stage in stages:
        taken = spent[stage] = watch.run(lines[stage], project, env)
        tell(
            f"{size.labelled:,} labelled photos, {size.answers:,} to answer: {stage} {taken.wall:.1f} s, "
            f"{taken.cpu:.1f} s on cores, {taken.own:.0f} MiB own, {taken.mapped:.0f} MiB mapped"
        )
    return spent


def _params(project: Path, epochs: int) -> None:
    changes: dict[str, Any] = {"data": {"root": _PHOTOS}, "train": {"folds": [0], "epochs": epochs}}
    if material.MODEL.is_file():
        changes["background_removal"] = {"matting": material.matting().model_dump()}
    whole = presets.merge(yaml.safe_load((HERE / "params.yaml").read_text()), changes)
    (project / "params.yaml").write_text(yaml.safe_dump(whole, sort_keys=False))


def _network() -> dict[str, str]:
    train = material.shipped().train
    return {
        "name": getattr(train.backbone, "name", train.backbone.kind),
        "size": "x".join(map(str, train.image.size)),
    }


def _bytes(project: Path, size: copies.Sizes) -> dict[str, int]:
    """Bytes on disk, per photo, of the photos, of what is kept between stages and of training's decoded store."""

    def each(path: str) -> int:
        files = [one for one in (project / path).rglob("*") if one.is_file()]
        return round(sum(one.stat().st_size for one in files) / size.photos)

    height, width = material.shipped().train.image.size
    return {
        "photos": each(_PHOTOS),
        "face_crop": each("data/face_crop"),
        "background_removal": each("data/background_removal"),
        "memo": each(".cache"),
        "tables": each("data/fix_labels") + each("data/build_manifest"),
        "decoded_store": 3 * height * width,
    }


def _column(runs: Runs, stage: str, name: str) -> dict[int, float]:
    return {size: getattr(found[stage], name) for size, found in runs.items()}


def _spread(values: Sequence[float]) -> float:
    return max(values) - min(values)


def _row(runs: Runs, stage: str, starts: Spent, slope: float | None, memory: float) -> dict[str, Any]:
    """One stage's line of the table: exponents, memory ratio, then seconds and MiB at each size."""
    row: dict[str, Any] = {
        "exponent": _rounded(slope),
        "exponent_cpu": _rounded(exponent(_column(runs, stage, "cpu"), starts.cpu)),
        "starts_differ_by_s": round(starts.wall, 2),
        "memory_ratio": round(memory, 3),
    }
    for name, unit in (("wall", "s"), ("cpu", "cpu_s"), ("own", "own_mib"), ("mapped", "mapped_mib")):
        for size, value in _column(runs, stage, name).items():
            row[f"{unit}_{size}"] = round(value, 2 if name in ("wall", "cpu") else None)
    return row


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
