"""``dvc.yaml`` against the code: stages, dependencies, params, and what a changed param makes run again."""

from __future__ import annotations

import contextlib
import copy
import inspect
import re
import shlex
import typing
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import grimp
import pytest
import yaml
from dvc.repo import Repo, lock_repo
from dvc.stage.cache import _get_cache_hash
from fsspec.implementations.memory import MemoryFileSystem

from facemask.runtime import launch
from facemask.settings import config, loading, params, recipes

STAGES = [
    "check",
    "sample_data",
    "synthesise",
    "fix_labels",
    "face_crop",
    "background_removal",
    "build_manifest",
    "train@0",
    "combine",
    "evaluate",
    "infer",
    "audit",
    "report",
]
ANSWERS = {"combine", "evaluate", "infer", "audit", "report"}
TRAINING = {"train@0", *ANSWERS}
FROM_MANIFEST = {"build_manifest", *TRAINING}
FROM_LABELS = {"fix_labels", "face_crop", "background_removal", *FROM_MANIFEST}
DRAWING = {"sample_data", "synthesise", *FROM_LABELS}

# Views of the params that no stage lists: the file itself, and what changes no result.
UNLISTED = (params.Params, recipes.Logging)

# Keys that name a folder: another one that exists.
ELSEWHERE = dict.fromkeys(("data.root", "data.extra", "data.faces"), "elsewhere") | {"train.pool": "eval"}

# Every room -> exactly the stages that run again when something in it is edited. None stands for settings.
ROOMS: dict[str, set[str]] = {
    "runtime": DRAWING,
    "records": DRAWING - {"sample_data"},
    "pixels": DRAWING - {"sample_data"},
    "photos": {"face_crop", "background_removal", *FROM_MANIFEST},
    "detectors": {"synthesise", *FROM_LABELS},
    "masks": DRAWING,
    "scoring": TRAINING,
    "recognition": {"evaluate", "infer", "audit", "report"},
    "network": TRAINING,
    "sample": {"sample_data", *FROM_LABELS},
    "synthesis": {"synthesise", *FROM_LABELS},
    "labels": FROM_LABELS,
    "faces": {"face_crop", *FROM_MANIFEST},
    "mattes": {"background_removal", *FROM_MANIFEST},
    "manifest": FROM_MANIFEST,
    "training": TRAINING,
    "ensemble": ANSWERS,
    "evaluation": {"evaluate", "report"},
    "submission": {"infer", "report"},
    "audit": {"audit"},
    "report": {"report"},
    "serving": set(),
    "settings": set(),
    "commands": set(),
    "comparison": set(),
    "search": set(),
    "review": set(),
    "web": set(),
}

# Every key of params.yaml, or the section it stands in -> exactly the stages that run again when it changes, besides
# check, which looks at all of them.
AFFECTS: dict[str, set[str]] = {
    "seed": FROM_MANIFEST,
    # Where work is done changes no result.
    "engine": set(),
    "data.root": {"sample_data", *FROM_LABELS},
    "data.extra": FROM_LABELS,
    "data.faces": {"synthesise", *FROM_LABELS},
    "synthesise": {"synthesise", *FROM_LABELS},
    "sample_data.train_people": {"sample_data", *FROM_LABELS},
    "sample_data.eval_people": {"sample_data", *FROM_LABELS},
    "sample_data.seed": {"sample_data", *FROM_LABELS},
    "fix_labels.dataset": FROM_LABELS,
    "fix_labels.trust": FROM_LABELS,
    "fix_labels.tolerate": FROM_LABELS,
    "face_crop.finder": {"face_crop", *FROM_MANIFEST},
    "face_crop.choose": {"face_crop", *FROM_MANIFEST},
    "face_crop.fallback": {"face_crop", *FROM_MANIFEST},
    "face_crop.margin": {"face_crop", *FROM_MANIFEST},
    "face_crop.align": {"face_crop", *FROM_MANIFEST},
    "face_crop.size": {"face_crop", *FROM_MANIFEST},
    "background_removal.matting": {"background_removal", *FROM_MANIFEST},
    "build_manifest.folds": FROM_MANIFEST,
    "build_manifest.holdout": FROM_MANIFEST,
    "build_manifest.balance": FROM_MANIFEST,
    # A fold that was trained before stays as it is.
    "train.folds": {"train@1", *ANSWERS},
    "train.young_cut": FROM_MANIFEST,
    "train.age_cut": FROM_MANIFEST,
    "train.image": TRAINING,
    "train.augment": TRAINING,
    "train.swap": TRAINING,
    "train.mixing": TRAINING,
    "train.sampler": TRAINING,
    "train.backbone": TRAINING,
    "train.head": TRAINING,
    "train.loss": TRAINING,
    "train.class_weights": TRAINING,
    "train.logit_adjustment": TRAINING,
    "train.optimiser": TRAINING,
    "train.lr": TRAINING,
    "train.layer_decay": TRAINING,
    "train.schedule": TRAINING,
    "train.epochs": TRAINING,
    "train.batch_size": TRAINING,
    "train.accumulate": TRAINING,
    "train.clip": TRAINING,
    "train.average": TRAINING,
    "train.freeze": TRAINING,
    "train.unlabelled": TRAINING,
    "train.pool": TRAINING,
    "train.refit": TRAINING,
    "train.probe": TRAINING,
    "train.precision": TRAINING,
    "train.channels_last": TRAINING,
    "train.patience": TRAINING,
    "train.fit_memory": TRAINING,
    # Where a training is watched changes no result.
    "train.logger": set(),
    "combine.members": ANSWERS,
    "combine.how": ANSWERS,
    "combine.adjust": ANSWERS,
    "combine.calibrate": ANSWERS,
    "evaluate.bootstrap": {"evaluate", "report"},
    "evaluate.confidence": {"evaluate", "report"},
    "evaluate.calibration_bins": {"evaluate", "report"},
    "infer.views": {"infer", "report"},
    "infer.average": {"infer", "report"},
    "infer.batch_size": {"infer", "report"},
    "infer.precision": {"infer", "report"},
    "infer.log": {"infer", "report"},
    "infer.compile": {"infer", "report"},
    "infer.consensus": {"evaluate", "infer", "report"},
    "audit": {"audit"},
    "report": {"report"},
}


@pytest.fixture(scope="module")
def dag(repository: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((repository / "dvc.yaml").read_text())
    return content["stages"]


def leaves(content: dict[str, Any], prefix: str = "") -> Iterator[str]:
    for key, value in content.items():
        if isinstance(value, dict) and value:
            yield from leaves(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}"


def test_stages_are_the_dag(repository: Path, dag: dict[str, Any]) -> None:
    files = {path.stem for path in (repository / "stages").glob("*.py")} - {"__init__"}
    assert files == set(dag)
    assert {name.split("@")[0] for name in STAGES} == set(dag)


def is_code(dep: str) -> bool:
    return dep.split("/", 1)[0] in ("facemask", "stages")


def test_code_dependencies_are_the_rooms_that_are_imported(
    repository: Path, dag: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Imports inside functions count; settings, which can change no result, do not."""
    monkeypatch.syspath_prepend(repository)
    graph = grimp.build_graph("facemask", "stages", exclude_type_checking_imports=True, cache_dir=None)
    # What check writes is always the same: no code can change it.
    for name in set(dag) - {"check"}:
        modules = graph.find_upstream_modules(f"stages.{name}")
        rooms = {module.split(".")[1] for module in modules if module.startswith("facemask.")} - {"settings"}
        assert {module for module in modules if module.startswith("stages.")} == set()
        listed = [dep for dep in dag[name]["deps"] if is_code(dep)]
        assert listed[-1] == f"stages/{name}.py"
        assert sorted(listed[:-1]) == sorted(f"facemask/{room}" for room in rooms), name


def downstream(direct: set[str], repo: Repo) -> set[str]:
    """``direct`` and all stages that depend on them, but not through check, whose output is always the same."""
    consumers: dict[str, set[str]] = {stage.addressing: set() for stage in repo.index.graph}
    for consumer, producer in repo.index.graph.edges:
        consumers[producer.addressing].add(consumer.addressing)
    todo, found = list(direct), set()
    while todo:
        name = todo.pop()
        if name not in found:
            found.add(name)
            todo += consumers[name] if name != "check" else ()
    return found


def test_an_edit_in_a_room_reruns_exactly_its_stages(
    repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(repository)
    rooms = {path.parent.name for path in (repository / "facemask").glob("*/__init__.py")}
    assert rooms == set(ROOMS)
    with Repo() as repo:
        used: dict[str, set[str]] = {room: set() for room in rooms}
        for stage in repo.index.stages:
            for dep in stage.deps:
                path = Path(dep.fs_path)
                if path.parent == repository / "facemask":
                    used[path.name].add(stage.addressing)
        # The shipped params train one fold.
        assert {room: downstream(direct, repo) for room, direct in used.items()} == ROOMS


def asked(run: Callable[..., None]) -> set[str]:
    """The params that a stage's signature asks for and that may change its result: not ``engine`` and loggers."""
    sections = {name: field.annotation for name, field in params.Params.model_fields.items()}
    wanted = set()
    hints = typing.get_type_hints(run)
    for name, kind in hints.items():
        if name == "seed":
            wanted.add("seed")
        elif name in launch.FOLDERS and params.Params not in hints.values():
            wanted.add(f"data.{launch.FOLDERS[name]}")
        # Who asks for all depends on the file itself.
        elif isinstance(kind, type) and issubclass(kind, config.Config) and kind not in UNLISTED:
            whole = [section for section, config in sections.items() if config is kind]
            if whole:
                wanted |= listed(whole[0], kind)
            else:
                wanted |= {
                    name
                    for key, field in kind.model_fields.items()
                    for name in listed(f"{launch.VIEWS.get(kind, 'train')}.{key}", field.annotation)
                }
    return wanted


def listed(name: str, kind: Any) -> set[str]:
    """``name``, or each of its keys if one is of those that DVC's run cache leaves out inside a section."""
    if isinstance(kind, type) and issubclass(kind, config.Config) and loading.UNSEEN & set(kind.model_fields):
        return {f"{name}.{key}" for key in kind.model_fields}
    return {name}


@pytest.mark.parametrize("name", [name.split("@")[0] for name in STAGES])
def test_params_and_paths_are_the_signature(name: str, dag: dict[str, Any]) -> None:
    run = import_module(f"stages.{name}").run
    declared = dag[name].get("params", [])
    assert len(declared) == len(set(declared))
    assert set(declared) == asked(run)
    assert all(key.split(".")[1] in params.Train.model_fields for key in declared if key.startswith("train."))
    # A param in a shell line would be read by the shell.
    assert set(re.findall(r"\$\{(.*?)\}", dag[name]["cmd"])) <= {"item.fold"}
    words = shlex.split(dag[name]["cmd"])
    assert words[:3] == ["python", "-m", f"stages.{name}"]
    hints = typing.get_type_hints(run)
    options = {
        n
        for n in inspect.signature(run).parameters
        if (hints[n] is Path and n not in launch.FOLDERS) or (hints[n] is int and n != "seed")
    }
    given = dict(zip(words[3::2], words[4::2], strict=True))
    assert set(given) == {f"--{option.replace('_', '-')}" for option in options}
    paths = " ".join(
        str(part) for kind in ("deps", "outs", "metrics", "plots") for part in dag[name].get(kind, [])
    )
    for option, path in given.items():
        # The photos themselves are a dependency of fix_labels alone; DVCLive's folder is for watching.
        if option in ("--fold", "--live") or (option in ("--synthetic", "--sample") and name != "fix_labels"):
            continue
        assert path in paths, f"{name}: {option} {path} is neither a dependency nor an output"
        written = {str(out) for kind in ("outs", "metrics", "plots") for out in dag[name].get(kind, [])}
        is_read = option.removeprefix("--").replace("-", "_") not in launch.WRITTEN
        assert is_read == (not any(path in out for out in written)), f"{name}: {option}"


@pytest.fixture(scope="module")
def finished(repository: Path, dag: dict[str, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A project in which DVC believes that all stages have run, with files of a few bytes."""
    folder = tmp_path_factory.mktemp("project")
    content = yaml.safe_load((repository / "params.yaml").read_text())
    content["train"]["folds"] = [0]
    content["data"]["root"] = "data/sample"
    (folder / "params.yaml").write_text(yaml.safe_dump(content))
    stages = yaml.safe_load((repository / "dvc.yaml").read_text())
    for stage in stages["stages"].values():
        # Sources depend on no param; without them this takes seconds.
        stage["deps"] = [dep for dep in stage["deps"] if not is_code(dep)]
    (folder / "dvc.yaml").write_text(yaml.safe_dump(stages, sort_keys=False))
    (folder / "elsewhere").mkdir()
    (folder / "elsewhere" / "photo").write_text("other")
    with contextlib.chdir(folder):
        repo = Repo.init(no_scm=True)
        for stage in repo.index.stages:
            for path in [
                Path(part.fs_path) for part in [*stage.deps, *stage.outs] if part.protocol == "local"
            ]:
                if path.name != "params.yaml" and not path.exists():
                    target = path if path.suffix else path / "content"
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(path.name)
        repo.commit(force=True)
        assert repo.status() == {}
    return folder


def rerun() -> set[str]:
    """Stages that DVC would run again: those it finds changed, and all that depend on them."""
    # DVC keeps in memory what it has hashed, and looks through all of it for each file.
    MemoryFileSystem.store.clear()
    # Under one lock both questions are answered from one reading of the files.
    with Repo() as repo, lock_repo(repo):
        return downstream(set(repo.status()), repo)


def another(value: Any) -> Any:
    """A value that differs."""
    match value:
        case bool():
            return not value
        case int() | float():
            return value + 1
        case str():
            return value + "x"
        case list():
            return [*value, 1]
        case _:
            return 1


@pytest.mark.parametrize("name", [name.split("@")[0] for name in STAGES[1:]])
def test_the_run_cache_tells_all_params_apart(
    name: str, dag: dict[str, Any], params_yaml: dict[str, Any]
) -> None:
    keys = dag[name]["params"]

    # Otherwise `dvc repro` would bring back an old result for a new param.
    def key(content: dict[str, Any]) -> str:
        declared = {full: value(content, full) for full in keys}
        return str(_get_cache_hash({"cmd": "x", "params": {"params.yaml": declared}}, key=True))

    plain = key(params_yaml)
    ours = [leaf for leaf in leaves(params_yaml) if any(f"{leaf}.".startswith(f"{full}.") for full in keys)]
    assert ours
    for leaf in ours:
        changed = copy.deepcopy(params_yaml)
        *parents, last = leaf.split(".")
        section = value(changed, ".".join(parents)) if parents else changed
        section[last] = another(section[last])
        assert key(changed) != plain, leaf


def value(content: dict[str, Any], full: str) -> Any:
    for part in full.split("."):
        content = content[part]
    return content


@pytest.mark.slow
def test_each_param_reruns_exactly_its_stages(
    finished: Path, params_yaml: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = finished / "params.yaml"
    before = path.read_text()
    content = yaml.safe_load(before)
    monkeypatch.chdir(finished)
    assert rerun() == set()
    used = set()
    for leaf in leaves(params_yaml):
        (entry,) = [key for key in AFFECTS if leaf == key or leaf.startswith(f"{key}.")]
        if entry in used:
            # DVC compares a choice as a whole: one of its knobs stands for all.
            continue
        used.add(entry)
        *parents, last = leaf.split(".")
        section = content
        for part in parents:
            section = section[part]
        old = section[last]
        section[last] = ELSEWHERE.get(leaf, another(old))
        path.write_text(yaml.safe_dump(content))
        try:
            assert rerun() == {"check", *AFFECTS[entry]}, leaf
        finally:
            section[last] = old
            path.write_text(before)
    assert used == set(AFFECTS), "keys that params.yaml does not have"
