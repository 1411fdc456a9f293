"""What a change makes run again, told by running it: photos, labels, data sets, code; and how an experiment is left."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import yaml
from dvc.utils.serialize import dump_yaml

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_stages")]

EVAL = {"fix_labels", "face_crop", "background_removal", "build_manifest", "infer", "audit", "report"}
LABELLED = {*EVAL, "train@0", "combine", "evaluate"}
ALL = {"check", "sample_data", "synthesise", *LABELLED}
LOSS = '''

class Halved(Config):
    """Half of nothing in particular."""

    kind: Literal["halved"]
'''


class Project:
    """The working tree under git, with params that take seconds, on a tiny contest folder."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str, columns: int = 80) -> str:
        ended = subprocess.run(
            command, cwd=self.folder, env=environment() | {"COLUMNS": str(columns)}, stdin=subprocess.DEVNULL,
            capture_output=True, text=True, check=False,
        )  # fmt: skip
        assert ended.returncode == 0, ended.stdout + ended.stderr
        return ended.stdout

    def repro(self) -> set[str]:
        """The stages that really ran."""
        return set(re.findall(r"^Running stage '(.+)':$", self.run("dvc", "repro"), re.MULTILINE))

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--allow-empty", "--message", message)

    def back(self) -> str:
        """Leave the experiment; the packages are there already."""
        return self.run("make", "--no-print-directory", "--old-file=venv", "back")

    def status(self) -> set[str]:
        """The stages that DVC finds changed, without those that follow."""
        return set(re.findall(r"^(\S+):$", self.run("dvc", "status"), re.MULTILINE))


def environment() -> dict[str, str]:
    who = {
        f"GIT_{role}_{what}": "t@localhost" for role in ("AUTHOR", "COMMITTER") for what in ("NAME", "EMAIL")
    }
    return os.environ | who


@pytest.fixture(scope="module")
def project(
    repository: Path, tmp_path_factory: pytest.TempPathFactory, write_contest: Callable[..., Path]
) -> Project:
    """A project in which all has run once and was committed."""
    folder = tmp_path_factory.mktemp("changes") / "project"
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = (
        subprocess.run(listed, cwd=repository, capture_output=True, check=True).stdout.decode().split("\0")
    )
    for name in filter(None, names):
        if (
            (repository / name).is_file()
            and not name.startswith(("metrics/", "tests/"))
            and name != "dvc.lock"
        ):
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(repository / name, folder / name)
    write_contest(folder / "data" / "mine", people=12, eval_people=2)
    images = pd.read_csv(folder / "data" / "mine" / "eval" / "info.csv")["ImageID"]
    known = pd.DataFrame({"ImageID": images, "ans": [number % 18 for number in range(len(images))]})
    known.to_csv(folder / "data" / "mine" / "eval" / "answers.csv", index=False)
    content: dict[str, Any] = yaml.safe_load((repository / "params.yaml").read_text())
    content["data"]["root"] = "data/mine"
    content["sample_data"] |= {"train_people": 8, "eval_people": 0}
    content["fix_labels"]["dataset"] = "mine"
    content["face_crop"] |= {"finder": {"kind": "fixed", "box": [0.2, 0.1, 0.8, 0.9]}, "size": [32, 24]}
    content["background_removal"]["matting"] = {"kind": "none"}
    content["build_manifest"] |= {"folds": 2, "holdout": 0.0}
    content["train"]["image"] |= {"size": [32, 24]}
    content["train"] |= {"epochs": 1, "batch_size": 8}
    content["evaluate"]["bootstrap"] = 20
    dump_yaml(folder / "params.yaml", content)
    made = Project(folder)
    made.run("git", "init", "--quiet", "--initial-branch=main")
    (folder / ".git" / "info" / "exclude").write_text("/data/mine\n")
    made.commit("as shipped")
    assert made.repro() == ALL
    made.commit("first run")
    return made


def test_a_reviewer_reads_the_scores_at_a_glance(project: Project) -> None:
    """In 120 columns and four lines; a change in fourteen rows; an experiment in a table with the scores first."""
    project.run("dvc", "exp", "run", "--name", "slower", "-S", "train.lr=0.001", "-S", "train.epochs=2")
    changed = {line[3:] for line in project.run("git", "status", "--porcelain").splitlines()}
    curves = {f"metrics/train/fold0/{name}.csv" for name in ("loss", "scores")}
    charts = {f"metrics/evaluate/{name}.csv" for name in ("f1", "reliability")}
    scores = {"metrics/oof.json", "metrics/eval.json"}
    assert {"params.yaml", "dvc.lock"} < changed <= {"params.yaml", "dvc.lock"} | curves | charts | scores
    diff = project.run("git", "diff", "--unified=0", "params.yaml").splitlines()[5:]
    assert [line.split(":")[0] for line in diff if line[0] in "+-"] == [
        "-  lr",
        "+  lr",
        "-  epochs",
        "+  epochs",
    ]
    shown = project.run("dvc", "metrics", "show").splitlines()
    assert len(shown) <= 4
    assert max(map(len, shown)) <= 120
    keys = {"f1", "f1_lo", "f1_hi", "mask", "gender", "age", "log_loss", "ece", "eval"}
    assert set(shown[0].split()) == {"Path", *keys}
    rows = project.run("dvc", "metrics", "diff").splitlines()
    assert 2 <= len(rows) <= 15
    assert max(map(len, rows)) <= 110
    table = project.run("dvc", "exp", "show", "--only-changed", "--no-pager", columns=160).splitlines()
    assert max(map(len, table)) <= 160
    heads = table[1].split()
    # DVC's own order; what is cut off are hashes.
    assert heads[:2] == ["Experiment", "Created"]
    assert set(heads[2:]) >= keys - {"eval"} | {"train.lr", "train.epochs"}
    assert heads.index("train.lr") > max(heads.index(key) for key in keys & set(heads))
    assert any("slower" in line and " 0.001 " in line for line in table)
    project.back()


def photos(project: Project) -> Path:
    return project.folder / "data" / "mine"


def test_one_more_eval_photo_runs_what_answers_and_nothing_that_learns(project: Project) -> None:
    images = photos(project) / "eval" / "images"
    shutil.copy(photos(project) / "train/images/000001_male_Asian_19/mask1.jpg", images / "one_more.jpg")
    with (photos(project) / "eval" / "info.csv").open("a") as listed:
        listed.write("one_more.jpg,0\n")
    assert project.repro() == EVAL
    assert "one_more.jpg" in (project.folder / "data/infer/submission.csv").read_text()


def test_one_more_person_runs_all_that_learns(project: Project) -> None:
    before = {name: folder_bytes(project, name, "eval") for name in ("face_crop", "build_manifest")}
    home = photos(project) / "train" / "images"
    shutil.copytree(home / "000001_male_Asian_19", home / "000099_male_Asian_25")
    for photo in (home / "000099_male_Asian_25").iterdir():
        # Other bytes, the same picture.
        photo.write_bytes(photo.read_bytes() + b"\0")
    with (photos(project) / "train" / "train.csv").open("a") as listed:
        listed.write("000099,male,Asian,25,000099_male_Asian_25\n")
    assert project.repro() == LABELLED
    assert before == {name: folder_bytes(project, name, "eval") for name in before}


def folder_bytes(project: Project, stage: str, name: str) -> dict[str, bytes]:
    return {path.name: path.read_bytes() for path in (project.folder / "data" / stage / name).iterdir()}


def test_a_label_fix_runs_all_that_learns_unless_it_is_another_data_sets(project: Project) -> None:
    fixes = project.folder / "data" / "label_fixes.csv"
    with fixes.open("a") as listed:
        listed.write("theirs,000001,gender,male,female,confirmed,them,\n")
    # The report tells which rows were not used; the audit finds the name of the data set in the same folder.
    assert project.repro() == {"check", "fix_labels", "audit", "report"}
    with fixes.open("a") as listed:
        listed.write("mine,000001,gender,male,female,confirmed,me,\n")
    assert project.repro() == {"check", *LABELLED}


def test_an_extra_data_set_runs_all_that_learns(project: Project, write_contest: Callable[..., Path]) -> None:
    write_contest(project.folder / "data" / "extra" / "more", people=2, eval_people=0, seed=5)
    # What is answered changes with the networks, not with the manifest.
    assert project.repro() == LABELLED


def test_a_new_loss_class_makes_train_stale_and_nothing_before_it(project: Project) -> None:
    schema, code = (
        project.folder / "facemask" / name for name in ("settings/recipes.py", "training/losses.py")
    )
    before = {path: path.read_text() for path in (schema, code)}
    schema.write_text(before[schema].replace("\nPlainLoss =", f"{LOSS}\n\nPlainLoss ="))
    assert project.status() == set()
    code.write_text(before[code] + '\n\ndef halved() -> None:\n    """Half of nothing in particular."""\n')
    assert project.status() == {"train@0"}
    for path, text in before.items():
        path.write_text(text)
    assert project.status() == set()


def test_what_lies_in_a_room_beside_its_code_changes_nothing(project: Project) -> None:
    room = project.folder / "facemask" / "pixels"
    (room / "__pycache__").mkdir(exist_ok=True)
    strays = [
        "README.md",
        "codec.py~",
        ".codec.py.swp",
        ".#codec.py",
        "#codec.py#",
        "codec.py.orig",
        ".DS_Store",
    ]
    strays.append("__pycache__/codec.cpython-311.pyc")
    for name in strays:
        (room / name).write_text("beside the code")
    assert project.status() == set()
    for name in strays:
        (room / name).unlink()


@pytest.mark.parametrize(
    "override", ["train.age_cut=sixty", "train.backbone.name=resnet1", "combine.members=[nobody]"]
)
def test_params_that_cannot_work_are_refused_before_any_output_is_touched(
    project: Project, override: str
) -> None:
    def outputs() -> dict[str, bytes]:
        kept = [path for part in ("data", "models", "metrics") for path in (project.folder / part).rglob("*")]
        return {str(path): path.read_bytes() for path in kept if path.is_file()}

    project.commit("as it is")
    before = outputs()
    ended = subprocess.run(
        ["dvc", "exp", "run", "-S", override], cwd=project.folder, env=environment(), capture_output=True, text=True,
        check=False,
    )  # fmt: skip
    assert ended.returncode != 0
    assert re.findall(r"^error: .*(?:age_cut|resnet1|nobody)", ended.stderr + ended.stdout, re.MULTILINE)
    after = outputs()
    assert {path for path in before if after.get(path) != before[path]} <= {
        str(project.folder / "data" / "check.txt")
    }
    project.back()
    assert project.status() == set()


def test_back_leaves_an_experiment_that_was_killed_in_mid_run(project: Project) -> None:
    project.commit("as it is")
    kept = [path for part in ("data", "models", "metrics") for path in (project.folder / part).rglob("*")]
    before = {path: path.read_bytes() for path in kept if path.is_file()}
    command = ["dvc", "exp", "run", "-S", "train.epochs=100000"]
    piped = {"stdout": subprocess.PIPE, "stderr": subprocess.STDOUT, "text": True, "start_new_session": True}
    with subprocess.Popen(command, cwd=project.folder, env=environment(), **piped) as running:
        next(line for line in running.stdout if line.startswith("epoch "))
        os.killpg(running.pid, signal.SIGTERM)
    assert not (project.folder / "models/train/fold0").exists()
    assert "+  epochs: 100000" in project.back()
    assert project.run("git", "status", "--porcelain") == ""
    assert {path: path.read_bytes() for path in before if path.exists()} == before
    assert project.status() == set()
