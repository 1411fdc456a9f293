"""``dvc repro`` with nothing to do, against an empty project whose stages hang together and declare params likewise.

The second has as many stages, dependencies, outputs and files, all tiny, and the same params.yaml: it says what DVC
itself asks for. What the first takes beyond it is owed to this project's templates and to sizes. A third, without
params, tells what those cost. The project is a copy of this one, its outputs taken as they lie and for up to date; one
that is not there is stood in for by a small file.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import yaml
from dvc.dependency import ParamsDependency
from dvc.repo import Repo

from benchmarks.speed import turns
from benchmarks.speed.outcome import HERE, Effort, Outcome


def measure(effort: Effort) -> Outcome:
    """Time both, each as a command of its own."""
    with tempfile.TemporaryDirectory(prefix="facemask-bench-") as folder:
        copy, empty, bare = (Path(folder) / name for name in ("copy", "empty", "bare"))
        absent = _copy(copy)
        shape = _as_large(copy, empty, params=True)
        _as_large(copy, bare, params=False)
        for project in (copy, empty, bare):
            told = _dvc(project, "repro")
            if "Running stage" in told:
                raise RuntimeError(f"{project.name}: something was left to do:\n{told}")
        spent: dict[str, list[float]] = {
            name: [] for name in ("ours", "empty", "without_params", "dvc_version")
        }

        def side(name: str, project: Path, *command: str) -> turns.Side:
            def work() -> None:
                before = _children()
                _dvc(project, *command)
                spent[name].append(_children() - before)

            return turns.timed(work)

        taken = turns.alternate(
            {
                "ours": side("ours", copy, "repro"),
                "empty": side("empty", empty, "repro"),
                "without_params": side("without_params", bare, "repro"),
                "dvc_version": side("dvc_version", empty, "--version"),
            },
            effort.rounds,
        )
    cpu = {name: statistics.median(seconds) for name, seconds in spent.items()}
    return Outcome(
        turns.ratio(taken, "ours", "empty"),
        figures={
            "seconds": {name: round(value, 3) for name, value in turns.medians(taken).items()},
            "cpu_seconds": {name: round(value, 3) for name, value in cpu.items()},
            "ratio_by_cpu_time": round(cpu["ours"] / cpu["empty"], 4),
            "project": shape | {"absent_outputs": absent},
            "start_of_a_stage": _starts(),
        },
        note="start_of_a_stage is the CPU seconds that each stage takes to be imported, once",
    )


def _copy(copy: Path) -> int:
    """Copy what git lists and what the stages wrote, and take it for up to date; count outputs that are absent."""
    listed = subprocess.run(
        ["git", "ls-files", "-z"], cwd=HERE, capture_output=True, text=True, check=True
    ).stdout
    for name in filter(None, listed.split("\0")):
        _take(Path(name), copy)
    with Repo(str(HERE)) as repo:
        stages = repo.index.stages
        outs = sorted({Path(out.fs_path).relative_to(HERE) for stage in stages for out in stage.outs})
    absent = 0
    for out in outs:
        if not _take(out, copy):
            absent += 1
            file = copy / out if out.suffix else copy / out / "stand_in"
            file.parent.mkdir(parents=True, exist_ok=True)
            file.write_text(f"{out}\n")
    _take(Path(".dvc/plots/offline.html"), copy)
    _prepared(copy)
    return absent


def _take(path: Path, copy: Path) -> bool:
    """Copy a file or folder of this project, if it is there."""
    if (HERE / path).is_dir():
        shutil.copytree(HERE / path, copy / path, dirs_exist_ok=True)
    elif (HERE / path).is_file():
        (copy / path).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy2(HERE / path, copy / path)
    else:
        return False
    return True


def _prepared(project: Path) -> None:
    subprocess.run(["git", "init", "-q"], cwd=project, check=True)
    if not (project / ".dvc" / "config").exists():
        _dvc(project, "init", "-q")
        shutil.copy2(HERE / ".dvc" / "config", project / ".dvc" / "config")
    _dvc(project, "commit", "--force", "--quiet")


def _as_large(copy: Path, empty: Path, *, params: bool) -> dict[str, int]:
    """Make a project with the same graph and as many files, one byte or two each; return its counts."""
    names: dict[str, str] = {}
    files = 0

    def stand_in(path: str) -> str:
        nonlocal files
        if path in names:
            return names[path]
        name = names[path] = f"f{len(names)}"
        if Path(path).is_dir():
            inside = sum(one.is_file() for one in Path(path).rglob("*"))
            (empty / name).mkdir()
            for number in range(inside):
                (empty / name / f"{number}").write_text(str(number))
            files += inside
        else:
            (empty / name).write_text(name)
            files += 1
        return name

    empty.mkdir()
    stages: dict[str, Any] = {}
    dependencies = outputs = keys = 0
    with Repo(str(copy)) as repo:
        for number, stage in enumerate(repo.index.stages):
            deps = [dep for dep in stage.deps if not isinstance(dep, ParamsDependency)]
            read = [key for dep in stage.deps if isinstance(dep, ParamsDependency) for key in dep.params]
            stages[f"s{number}"] = {
                "cmd": "true",
                "deps": sorted({stand_in(dep.fs_path) for dep in deps}),
                "outs": [{stand_in(out.fs_path): {"cache": bool(out.use_cache)}} for out in stage.outs],
                **({"params": sorted(read)} if params and read else {}),
            }
            keys += len(read)
            dependencies += len(deps)
            outputs += len(stage.outs)
    (empty / "dvc.yaml").write_text(yaml.safe_dump({"stages": stages}, sort_keys=False))
    if params:
        shutil.copy2(copy / "params.yaml", empty / "params.yaml")
    _prepared(empty)
    counts = {"stages": len(stages), "dependencies": dependencies, "outputs": outputs, "files": files}
    return counts | {"params": keys}


def _starts() -> dict[str, float]:
    starts = {}
    for path in sorted((HERE / "stages").glob("[a-z]*.py")):
        before = _children()
        subprocess.run([sys.executable, "-c", f"import stages.{path.stem}"], cwd=HERE, check=True)
        starts[path.stem] = round(_children() - before, 2)
    return starts


def _children() -> float:
    """CPU seconds of all ended child processes."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def _dvc(project: Path, *arguments: str) -> str:
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ended = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=project,
        env=os.environ | {"PATH": path, "DVC_NO_ANALYTICS": "true"},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"dvc {' '.join(arguments)}: {ended.stderr or ended.stdout}")
    return ended.stdout
