"""A copy of this repository with params so small that its whole pipeline runs in a minute."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any, Final

import psutil  # type: ignore[import-untyped]
import yaml

from benchmarks.speed.outcome import HERE
from facemask.settings import presets

EPOCHS: Final = 4
SMALL: Final[dict[str, Any]] = {
    "sample_data": {"train_people": 8, "eval_people": 1},
    "face_crop": {"finder": {"kind": "fixed", "box": [0.2, 0.1, 0.8, 0.9]}, "size": [32, 24]},
    "background_removal": {"matting": {"kind": "grabcut", "iterations": 1, "height": 48}},
    "build_manifest": {"folds": 2, "holdout": 0.0},
    "train": {"image": {"size": [32, 24]}, "epochs": EPOCHS, "batch_size": 8, "precision": "32"},
    "evaluate": {"bootstrap": 20},
    "audit": {"hash_distance": 0},
}
# Left out of comparisons of names: git's files, DVC's locks and the memo, which others bound.
_OTHERS: Final = (".git/", ".dvc/tmp", ".cache/facemask")


def create(folder: Path) -> Path:
    """Make ``folder`` a repository of its own with the working tree as it is, small params and nothing of a run."""
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = subprocess.run(listed, cwd=HERE, capture_output=True, check=True).stdout.decode().split("\0")
    for name in filter(None, names):
        if (
            (HERE / name).is_file()
            and not name.startswith(("metrics/", "tests/", "docs/"))
            and name != "dvc.lock"
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(HERE / name, folder / name)
    whole = yaml.safe_load((HERE / "params.yaml").read_text())
    (folder / "params.yaml").write_text(yaml.safe_dump(presets.merge(whole, SMALL), sort_keys=False))
    for command in (["init", "-q", "-b", "main"], ["add", "--all"], ["commit", "-q", "-m", "as shipped"]):
        subprocess.run(["git", *command], cwd=folder, env=environment(folder), check=True)
    return folder


def environment(folder: Path) -> dict[str, str]:
    """Variables for commands in a copy: this Python first, a ``TMPDIR`` of the copy's own, one thread."""
    tmp = folder.with_name(f"{folder.name}.tmp")
    tmp.mkdir(exist_ok=True)
    who = {
        f"GIT_{role}_{key}": "torture@localhost"
        for role in ("AUTHOR", "COMMITTER")
        for key in ("NAME", "EMAIL")
    }
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    plain = {"DVC_NO_ANALYTICS": "true", "OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1", "PYTHONHASHSEED": "0"}
    return os.environ | who | plain | {"PATH": path, "TMPDIR": str(tmp)}


def run(folder: Path, *command: str, limit: float | None = None) -> subprocess.CompletedProcess[str]:
    """Run a command in a copy, to its end."""
    return subprocess.run(
        command,
        cwd=folder,
        env=environment(folder),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=limit,
    )


def results(folder: Path) -> dict[str, bytes]:
    """Content of ``dvc.lock`` and of all that the stages in it wrote, by path."""
    lock = folder / "dvc.lock"
    outs = [
        folder / out["path"]
        for entry in yaml.safe_load(lock.read_bytes())["stages"].values()
        for out in entry["outs"]
    ]
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for top in (lock, *outs)
        for path in ([top] if top.is_file() else sorted(top.rglob("*")))
        if path.is_file()
    }


def files(folder: Path) -> set[str]:
    """Names of all files and folders of a copy and of its ``TMPDIR``, but for git's, the memo's and DVC's own notes."""
    tmp = folder.with_name(f"{folder.name}.tmp")
    found = {f"TMPDIR/{path.relative_to(tmp)}" for path in tmp.rglob("*")}
    found |= {path.relative_to(folder).as_posix() for path in folder.rglob("*")}
    return {name for name in found if not name.startswith(_OTHERS) and "__pycache__" not in name}


def inside(folder: Path) -> list[psutil.Process]:
    """Processes whose current folder is a copy, or below it."""
    found = []
    for process in psutil.process_iter(["cwd", "status"]):
        cwd = process.info["cwd"]
        if cwd and process.info["status"] != psutil.STATUS_ZOMBIE and Path(cwd).is_relative_to(folder):
            found.append(process)
    return found
