"""The stages as modules, without DVC: a training on the device and on the CPU, after a kill, and in two processes."""

from __future__ import annotations

import contextlib
import importlib
import os
import shlex
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Final
from unittest import mock

import yaml

from benchmarks.device import plan as plans
from benchmarks.device.plan import Figures, Plan
from benchmarks.speed.outcome import HERE
from facemask.records import tables
from facemask.runtime import hardware
from facemask.scoring import metrics, predictions

BEFORE: Final = (
    "sample_data",
    "synthesise",
    "fix_labels",
    "face_crop",
    "background_removal",
    "build_manifest",
)
MADE: Final = Path("models/train/fold0")
TORCHRUN: Final = ("-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2")


def measure(plan: Plan) -> Figures:
    """Scores of one recipe on the device and on the CPU, what a killed training does, and what two processes do."""
    found: Figures = {}
    with tempfile.TemporaryDirectory(prefix="facemask-gpu-") as folder, contextlib.chdir(folder):
        _project(plan)
        start = time.monotonic()
        for name in BEFORE if plans.root(plan) is None else BEFORE[1:]:
            # Starting worker processes takes longer than a rehearsal's few photos.
            with mock.patch.object(hardware, "cores", lambda: 1) if plan.tiny else contextlib.nullcontext():
                _stage(name)
        found["stages_before_s"] = round(time.monotonic() - start, 1)
        ends = start + plan.seconds
        found["after_a_kill"] = _killed(ends)
        if not plan.tiny:
            found["whole"] = _trained(ends)
        if plan.device != "cpu":
            found["on_the_cpu"] = _trained(ends, environment={"CUDA_VISIBLE_DEVICES": ""})
        found["two_processes"] = _trained(ends, starter=TORCHRUN)
    return {"trainings": found}


def _project(plan: Plan) -> None:
    """What a stage finds in its folder: params.yaml, and lists without entries."""
    data = {"data": {"root": str(plans.root(plan))}} if plan.root else {}
    size = [64, 64] if plan.tiny else [224, 192]
    network = {"name": "test_resnet", "options": {}} if plan.tiny else {}
    cfg = plans.shipped(
        "realfaces",
        sample_data={"train_people": 8 if plan.tiny else 420, "eval_people": 1},
        face_crop={"finder": {"kind": "fixed", "box": [0.167, 0.1875, 0.833, 0.8125]}},
        background_removal={"matting": {"kind": "none"}},
        build_manifest={"folds": 2 if plan.tiny else 4},
        train={"folds": [0], "epochs": 4 if plan.tiny else 2, "batch_size": 8 if plan.tiny else 32},
        **data,
    ).model_dump(mode="json")
    cfg["train"]["image"]["size"] = size
    cfg["train"]["backbone"] |= network
    Path("params.yaml").write_text(yaml.safe_dump(cfg, sort_keys=False), encoding="utf-8")
    Path("data/extra").mkdir(parents=True)
    for name in ("faces/faces.csv", "label_fixes.csv"):
        head = (HERE / "data" / name).read_text(encoding="utf-8").splitlines()[0]
        Path("data", name).parent.mkdir(exist_ok=True)
        Path("data", name).write_text(f"{head}\n", encoding="utf-8")


def command(name: str) -> list[str]:
    """A stage's command line in dvc.yaml, of fold 0, behind ``python``."""
    stages = yaml.safe_load((HERE / "dvc.yaml").read_text(encoding="utf-8"))["stages"]
    return shlex.split(stages[name]["cmd"].replace("${item.fold}", "0"))[1:]


def _stage(name: str) -> None:
    _, module, *options = command(name)
    with mock.patch.object(sys, "argv", [module, *options]):
        importlib.import_module(module).main()


def _start(starter: Sequence[str], environment: dict[str, str]) -> subprocess.Popen[str]:
    path = os.pathsep.join(filter(None, [str(HERE), os.environ.get("PYTHONPATH", "")]))
    return subprocess.Popen(
        [sys.executable, *starter, *command("train")],
        env=os.environ | {"PYTHONPATH": path} | environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def _trained(
    ends: float, *, starter: Sequence[str] = (), environment: dict[str, str] | None = None
) -> Figures:
    """Train once; scores, or the last line that was told."""
    start = time.monotonic()
    process = _start(starter, environment or {})
    try:
        told, _ = process.communicate(timeout=max(1.0, ends - start))
    except subprocess.TimeoutExpired:
        _end(process)
        return {"error": "time did not suffice"}
    if process.returncode:
        last = [line for line in told.splitlines() if line.startswith("error")] or told.splitlines()[-1:]
        return {"exit_code": process.returncode, "error": " ".join(last)[:200]}
    resumed = [line for line in told.splitlines() if line.startswith("resumed")]
    return (
        {"seconds": round(time.monotonic() - start, 1)}
        | _scores()
        | ({"told": resumed[0]} if resumed else {})
    )


def _killed(ends: float) -> Figures:
    """Kill a training when its first epoch is kept, and train again."""
    process = _start((), {})
    try:
        while process.poll() is None and time.monotonic() < ends:
            if list(Path(".cache/resume").glob("fold0/*/*.ckpt")):
                break
            time.sleep(0.01)
    finally:
        alive = process.poll() is None
        _end(process)
    return {"killed": alive} | _trained(ends)


def _end(process: subprocess.Popen[str]) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.communicate()


def _scores() -> Figures:
    """What the fold says of people it has not seen."""
    table = tables.read(MADE / "oof.csv", tables.PROBABILITIES)
    found = metrics.score(table[predictions.COLUMNS].to_numpy(), table["class"].to_numpy())
    return {name: round(found[name], 4) for name in ("macro_f1", "log_loss")}
