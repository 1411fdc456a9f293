"""The whole pipeline in fresh copies of the repository: what runs, what does not, and that it runs alike twice."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import boto3
import psutil
import pytest
import yaml
from moto.server import ThreadedMotoServer

from facemask.records import classes, tables

pytestmark = [pytest.mark.slow, pytest.mark.usefixtures("quick_stages")]

S3 = {"AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1"}
ANSWERS = {"combine", "evaluate", "infer", "audit", "report"}
ALL = {
    "check",
    "sample_data",
    "synthesise",
    "fix_labels",
    "face_crop",
    "background_removal",
    "build_manifest",
    "train@0",
    *ANSWERS,
}


class Project:
    """A folder under git in which commands can be run."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder

    def run(self, *command: str) -> str:
        environment = os.environ | {
            "GIT_AUTHOR_NAME": "test",
            "GIT_AUTHOR_EMAIL": "test@localhost",
            "GIT_COMMITTER_NAME": "test",
            "GIT_COMMITTER_EMAIL": "test@localhost",
            "DVC_NO_ANALYTICS": "true",
        }
        ended = subprocess.run(
            command,
            cwd=self.folder,
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert ended.returncode == 0, ended.stdout
        return ended.stdout

    def commit(self, message: str) -> None:
        self.run("git", "add", "--all")
        self.run("git", "commit", "--quiet", "--message", message)

    def dvc(self, *arguments: str) -> set[str]:
        """Run DVC; the stages that it really ran."""
        return set(re.findall(r"^Running stage '(.+)':$", self.run("dvc", *arguments), re.MULTILINE))

    def results(self) -> dict[str, bytes]:
        """What git keeps of a run: the lock, metrics and plot data."""
        listed = self.run(
            "git", "ls-files", "--cached", "--others", "--exclude-standard", "dvc.lock", "metrics"
        )
        return {name: (self.folder / name).read_bytes() for name in sorted(listed.split())}


@pytest.fixture(scope="module")
def small(repository: Path) -> dict[str, Any]:
    """The shipped params with few people and one short epoch; the real face finder and mattes."""
    content: dict[str, Any] = yaml.safe_load((repository / "params.yaml").read_text())
    content["data"]["root"] = "data/sample"
    content["sample_data"] |= {"train_people": 12, "eval_people": 4}
    content["build_manifest"] |= {"folds": 2, "holdout": 0.2, "balance": {"kind": "none"}}
    content["train"]["image"] |= {"size": [48, 36]}
    content["train"] |= {"folds": [0], "young_cut": 30, "age_cut": 60, "epochs": 2, "batch_size": 8}
    content["evaluate"]["bootstrap"] = 20
    return content


@pytest.fixture(scope="module")
def clone(
    repository: Path, small: dict[str, Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[], Project]:
    """Factory of fresh clones of the working tree as it is now, without what a run of the pipeline leaves in git."""
    origin = Project(tmp_path_factory.mktemp("origin"))
    listed = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    names = (
        subprocess.run(listed, cwd=repository, capture_output=True, check=True).stdout.decode().split("\0")
    )
    for name in filter(None, names):
        if (repository / name).is_file() and not name.startswith("metrics/") and name != "dvc.lock":
            (origin.folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(repository / name, origin.folder / name)
    (origin.folder / "params.yaml").write_text(yaml.safe_dump(small, sort_keys=False))
    origin.run("git", "init", "--quiet", "--initial-branch=main")
    origin.commit("as shipped")

    def make() -> Project:
        project = Project(tmp_path_factory.mktemp("clone"))
        project.run("git", "clone", "--quiet", str(origin.folder), ".")
        return project

    return make


@pytest.fixture(scope="module")
def finished(clone: Callable[[], Project]) -> Project:
    """A copy in which all has run once and was committed."""
    project = clone()
    assert project.dvc("repro") == ALL
    changed = {line[3:].split("/")[0] for line in project.run("git", "status", "--porcelain").splitlines()}
    assert changed == {"dvc.lock", "metrics"}, "a run leaves files that are neither ignored nor its results"
    project.commit("first run")
    return project


def test_a_second_run_does_nothing(finished: Project) -> None:
    assert finished.dvc("repro") == set()
    assert "up to date" in finished.run("dvc", "status")
    assert finished.run("git", "status", "--porcelain") == ""


def test_every_eval_photo_is_answered_once(finished: Project) -> None:
    lines = (finished.folder / "data" / "infer" / "submission.csv").read_text().splitlines()
    asked = (finished.folder / "data" / "sample" / "eval" / "info.csv").read_text().splitlines()
    assert [line.split(",")[0] for line in lines] == [line.split(",")[0] for line in asked]
    assert all(0 <= int(line.split(",")[1]) < classes.COUNT for line in lines[1:])


def test_the_scores_can_be_shown_and_the_plots_drawn(finished: Project) -> None:
    assert "macro-F1" in finished.run("python", "-m", "facemask", "scores")
    finished.run("python", "-m", "facemask", "page")
    finished.run("dvc", "plots", "show")
    page = (finished.folder / "dvc_plots" / "index.html").read_text()
    assert not re.findall(r"<(?:script|link)[^>]+(?:src|href)=.?http", page)
    assert finished.run("git", "status", "--porcelain") == ""


def test_experiments_run_only_what_they_change(finished: Project) -> None:
    """Overrides of each kind, one after the other, each on top of the one before, as on the command line."""

    def ran(*arguments: str) -> set[str]:
        # check looks at every change of params.yaml.
        return finished.dvc(*arguments) - {"check"}

    from_manifest = {"build_manifest", "train@0", *ANSWERS}
    # With so few people there may be none whose band moves at 58: then the manifest, and all after it, would stay.
    labels = tables.read(finished.folder / "data" / "fix_labels" / "photos.csv", tables.PHOTOS)
    cut = labels["age"][labels["age"] < 60].max()
    assert ran("exp", "run", "-S", f"train.age_cut={cut}") == from_manifest
    assert ran("exp", "run", "-S", "train.age_cut=60") == set(), "the run cache did not restore the first run"
    assert ran("exp", "run", "--name", "slow", "-S", "train.lr=3e-5") == {"train@0", *ANSWERS}
    # A past experiment answers beside this one, read out of DVC's cache.
    together = ["-S", "train.lr=4e-3", "-S", "combine.members=[slow]"]
    assert ran("exp", "run", *together) == ANSWERS
    shares = json.loads((finished.folder / "data" / "combine" / "about.json").read_text())["members"]
    assert set(shares) == {"this", "slow"}
    alone = ["-S", "train.lr=3e-5", "-S", "combine.members=[]"]
    assert ran("exp", "run", *alone) == set()
    assert ran("exp", "run", "-S", "train.folds=[0,1]") == {"train@1", *ANSWERS}
    used = yaml.safe_load((finished.folder / "params.yaml").read_text())["train"]
    assert (float(used["lr"]), used["folds"]) == (3e-5, [0, 1])
    assert len(finished.run("dvc", "exp", "list", "--name-only").split()) == 6


def test_two_fresh_copies_give_the_same_bytes(
    clone: Callable[[], Project], finished: Project, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Experiments have gone on from there: back to what the first run left.
    finished.run("git", "checkout", "--quiet", "--force", "main")
    finished.run("git", "clean", "--quiet", "--force", "-d")
    first = finished.results()
    project = clone()
    # In processes that import all for themselves, as everywhere but in tests.
    monkeypatch.setenv("PATH", os.environ["PATH"].partition(os.pathsep)[2])
    project.dvc("repro")
    second = project.results()
    assert set(second) == set(first)
    assert [name for name in first if first[name] != second[name]] == []


def test_two_workers_empty_the_queue(finished: Project) -> None:
    finished.run("git", "checkout", "--quiet", "--force", "main")
    finished.run("git", "clean", "--quiet", "--force", "-d")
    before = finished.run("git", "rev-parse", "HEAD"), finished.results()
    sweep = ["-S", "evaluate.confidence=0.5,0.8", "-S", "infer.average=logits"]
    finished.run("dvc", "exp", "run", "--queue", *sweep)
    queued = _tasks(finished)
    assert list(queued.values()) == ["Queued", "Queued"]
    try:
        assert "Started '2' new" in finished.run("dvc", "queue", "start", "-j", "2")
        end = time.monotonic() + 300
        while set(_tasks(finished).values()) & {"Queued", "Running"} and time.monotonic() < end:
            time.sleep(1)
        logs = [finished.run("dvc", "queue", "logs", name) for name in queued]
        assert _tasks(finished) == dict.fromkeys(queued, "Success"), "\n".join(logs)
    finally:
        finished.run("dvc", "queue", "stop", "--kill")
        finished.run("dvc", "queue", "remove", "--all")
    for log in logs:
        assert set(re.findall(r"^Running stage '(.+)':$", log, re.MULTILINE)) == {
            "check",
            "evaluate",
            "infer",
            "report",
        }
    shown = json.loads(finished.run("dvc", "exp", "show", "--json"))
    experiments = [one["revs"][0]["data"] for state in shown for one in state["experiments"] or []]
    used = {
        one["params"]["params.yaml"]["data"]["evaluate"]["confidence"]: json.dumps(
            one["metrics"]["metrics/oof.json"]["data"]
        )
        for one in experiments
        if one["params"]["params.yaml"]["data"]["infer"]["average"] == "logits"
    }
    assert set(used) == {0.5, 0.8}
    assert used[0.5] != used[0.8]
    assert (finished.run("git", "rev-parse", "HEAD"), finished.results()) == before
    assert finished.run("git", "status", "--porcelain") == ""
    end = time.monotonic() + 60
    while (left := _inside(finished.folder)) and time.monotonic() < end:
        time.sleep(0.5)
    assert not left, "something of the queue goes on running"


def test_the_workflow_comments_on_a_pull_request(
    clone: Callable[[], Project], finished: Project, repository: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each step of experiment.yml that a shell runs, in a clone; the forge's own command is a stand-in."""
    (job,) = yaml.safe_load((repository / ".github/workflows/experiment.yml").read_text())["jobs"].values()
    project = clone()
    # What ran once comes out of the first copy's cache.
    project.run("dvc", "cache", "dir", "--local", str(finished.folder / ".dvc" / "cache"))
    (project.folder / ".venv").symlink_to(sys.prefix)
    base = project.run("git", "rev-parse", "HEAD").strip()
    params = project.folder / "params.yaml"
    params.write_text(re.sub(r"(?m)^  bootstrap: .*$", "  bootstrap: 30", params.read_text()))
    project.commit("thirty draws")
    head = project.run("git", "rev-parse", "HEAD").strip()
    given = {"BASE": base, "HEAD": head, "NUMBER": "7", "GH_TOKEN": "none"}
    assert set(job["env"]) == set(given)
    tools, summary = project.folder.with_name("tools"), project.folder.with_name("summary.md")
    tools.mkdir()
    (tools / "gh").write_text('#!/bin/sh\necho "$@" > ../asked\n')
    (tools / "gh").chmod(0o755)
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    monkeypatch.setenv("GITHUB_STEP_SUMMARY", str(summary))
    monkeypatch.setenv("PATH", os.pathsep.join([str(tools), os.environ["PATH"]]))
    # The packages are there.
    monkeypatch.setenv("MAKEFLAGS", "--old-file=venv")
    assert job["defaults"]["run"]["shell"] == "bash"
    for step in job["steps"]:
        if "run" in step:
            project.run("bash", "--noprofile", "--norc", "-e", "-o", "pipefail", "-c", step["run"])
    assert project.folder.with_name("asked").read_text().split() == [
        *("pr", "comment", "7", "--edit-last", "--create-if-none", "--body-file", "comment.md"),
    ]
    comment = (project.folder / "comment.md").read_text()
    assert summary.read_text() == comment
    assert re.match(r"### change \([0-9a-f]{7}\) against base \([0-9a-f]{7}\)\n", comment)
    assert "| evaluate.bootstrap | 20 | 30 |" in comment


def _tasks(project: Project) -> dict[str, str]:
    """Tasks of the queue: id and status."""
    rows = re.findall(
        r"^([0-9a-f]{7})\b.*\b(Queued|Running|Success|Failed)", project.run("dvc", "queue", "status"), re.M
    )
    return dict(sorted(rows))


def _inside(folder: Path) -> list[list[str]]:
    """Command lines of the processes whose folder is this one or one below it."""
    return [
        process.info["cmdline"]
        for process in psutil.process_iter(["cwd", "cmdline"])
        if process.info["cwd"] and Path(process.info["cwd"]).is_relative_to(folder)
    ]


@pytest.fixture(scope="module")
def bucket() -> Iterator[Any]:
    """An empty bucket of an S3-compatible server on this machine, as boto3 gives it."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in S3.items():
            patch.setenv(name, value)
        server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
        server.start()
        host, port = server.get_host_and_port()
        try:
            yield boto3.resource("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="facemask")
        finally:
            server.stop()


def test_a_second_clone_gets_all_from_the_remote_and_runs_nothing(
    finished: Project, bucket: Any, tmp_path: Path
) -> None:
    """Outputs and an experiment through S3; what is corrupt or missing there is found and made anew."""
    finished.run("git", "checkout", "--quiet", "--force", "main")
    finished.run("git", "clean", "--quiet", "--force", "-d")
    finished.run("dvc", "checkout", "--quiet", "--force")
    endpoint = bucket.meta.client.meta.endpoint_url
    for words in (
        ("add", "--default", "shared", f"s3://{bucket.name}/store"),
        ("modify", "shared", "endpointurl", endpoint),
        ("modify", "shared", "verify", "true"),
    ):
        finished.run("dvc", "remote", *words)
    finished.commit("a remote")
    finished.run("dvc", "exp", "run", "--name", "sure", "-S", "evaluate.confidence=0.5")
    wanted = {
        name: (finished.folder / name).read_bytes()
        for name in ("params.yaml", "metrics/oof.json", "dvc.lock")
    }
    finished.run("git", "checkout", "--quiet", "--force", "main")
    finished.run("dvc", "checkout", "--quiet", "--force")
    finished.run("dvc", "push", "--quiet")
    server = Project(tmp_path / "server")
    server.folder.mkdir()
    server.run("git", "init", "--quiet", "--bare", "--initial-branch=main")
    finished.run("git", "remote", "set-url", "origin", str(server.folder))
    finished.run("git", "push", "--quiet", "origin", "main")
    finished.run("dvc", "exp", "push", "--quiet", "origin", "sure")

    def clone(name: str) -> Project:
        project = Project(tmp_path / name)
        project.folder.mkdir()
        project.run("git", "clone", "--quiet", str(server.folder), ".")
        return project

    second = clone("second")
    second.run("dvc", "pull", "--quiet")
    assert second.dvc("repro") == set()
    assert second.results() == finished.results()
    second.run("dvc", "exp", "pull", "--quiet", "origin", "sure")
    second.run("python", "-m", "facemask", "apply", "sure")
    assert {name: (second.folder / name).read_bytes() for name in wanted} == wanted
    assert second.dvc("repro") == set()

    # One object is corrupt, one is missing, of two stages; those before and after them are restored.
    inside: dict[str, list[str]] = {}
    for stage, entry in yaml.safe_load((finished.folder / "dvc.lock").read_text())["stages"].items():
        for md5 in (out["md5"] for out in entry.get("outs", []) if out["md5"].endswith(".dir")):
            tree = bucket.Object(f"store/files/md5/{md5[:2]}/{md5[2:]}")
            inside.setdefault(stage, []).extend(one["md5"] for one in json.loads(tree.get()["Body"].read()))
    for stage, harm in (("combine", "corrupt"), ("infer", "missing")):
        # An object that two stages share would be lacking in both.
        others = {md5 for other, some in inside.items() if other != stage for md5 in some}
        md5 = next(md5 for md5 in inside[stage] if md5 not in others)
        file = bucket.Object(f"store/files/md5/{md5[:2]}/{md5[2:]}")
        if harm == "corrupt":
            file.put(Body=file.get()["Body"].read()[:-1] + b"x")
        else:
            file.delete()
    third = clone("third")
    with pytest.raises(AssertionError, match="failed to pull data from the cloud"):
        third.run("dvc", "pull")
    with pytest.raises(AssertionError, match="Is your cache up to date"):
        third.run("dvc", "checkout")
    assert third.dvc("repro") == {"combine", "infer"}
    assert third.results() == finished.results()
    assert "up to date" in third.run("dvc", "status")
