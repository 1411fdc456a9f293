"""A stage that is killed and started again: no half output, no lock left, no stray process, and no photo paid twice."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml

from facemask.mattes import mattes
from facemask.photos import memo, photos
from facemask.records import tables
from facemask.runtime import hardware, launch
from facemask.settings import loading
from stages import background_removal, fix_labels

PATIENCE = 240.0
WRITTEN = {"out": Path("out")}
# Two workers, each with two chunks of sixteen photos under way or done and waiting for their turn.
UNDER_WAY = 2 * 2 * 16
# Python imports this first, in workers too. It notes which photos are read. So that the moment of a kill does not hang
# on how fast the machine is, it halts every process that would read one more than PHOTOS while the gate is there, or
# kills the one that is about to give something the name RENAMED.
WATCH = """\
import os, signal, sys, time

log, root = os.environ["LOG"], os.environ["ROOT"] + os.sep
photos, renamed = int(os.environ["PHOTOS"]), os.environ["RENAMED"]
if hasattr(os, "sched_setaffinity"):
    os.sched_setaffinity(0, sorted(os.sched_getaffinity(0))[:2])


def watch(event, arguments):
    if event == "open" and str(arguments[0]).startswith(root):
        with open(log, "a+b") as file:
            file.seek(0)
            while len(file.readlines()) >= photos and os.path.exists(log + ".gate"):
                time.sleep(0.05)
                file.seek(0)
            file.write(str(arguments[0]).removeprefix(root).encode() + b"\\n")
    if event == "os.rename" and str(arguments[1]) == renamed:
        os.kill(os.getpid(), signal.SIGKILL)


sys.addaudithook(watch)
"""
# Killed while the transaction is open, after some entries of both kinds, in the data base and in files of their own.
PUT = """\
import os, pathlib, signal, sys
from facemask.photos import memo

def entries():
    yield from [("a", b"1"), ("b", bytes(100_000))]
    os.kill(os.getpid(), signal.SIGKILL)

memo.Memo(pathlib.Path(sys.argv[1])).put(entries())
"""


class Project:
    """Labels of 224 photos, and background_removal run on them in processes and folders of its own."""

    def __init__(self, folder: Path, root: Path, content: dict[str, Any], repository: Path) -> None:
        self.folder, self.root, self.repository = folder, root, repository
        content["data"] |= {"root": str(root), "extra": str(folder / "extra")}
        self.content = yaml.safe_dump(content)
        self.running: list[subprocess.Popen[bytes]] = []
        for name in ("extra", "synthesise/train", "watch"):
            (folder / name).mkdir(parents=True)
        (folder / "watch" / "sitecustomize.py").write_text(WATCH)
        (folder / "synthesise/train/train.csv").write_text("id,gender,race,age,path\n")
        (folder / "fixes.csv").write_text("dataset,id,field,old,new,status,source,note\n")
        cfg = loading.parse(content, "toy")
        places = {"root": root, "extra": folder / "extra", "synthetic": folder / "synthesise"}
        fix_labels.run(cfg.fix_labels, label_fixes=folder / "fixes.csv", out=folder / "labels", **places)
        listed = folder / "labels" / "photos.csv"
        by_set = photos.by_set(tables.read(listed, tables.PHOTOS), suffix=".png")
        self.photos = [photo for some in by_set.values() for photo in some]
        keys = photos.keys(self.photos, mattes.build(cfg.background_removal.matting).fingerprint())
        self.keys = {photo.key: key for photo, key in zip(self.photos, keys, strict=True)}
        self.cfg = cfg.background_removal
        self.places = places | {"photo_table": listed}

    def start(
        self, work: str, *, photos: int = 10**9, renamed: str = "", **environment: str
    ) -> subprocess.Popen[bytes]:
        """Start the stage in the folder ``work``, to be halted after so many photos or killed at a new name."""
        here = self.folder / work
        here.mkdir(exist_ok=True)
        (here / "params.yaml").write_text(self.content)
        (here / "log").write_text("")
        (here / "log.gate").touch()
        # Where the user's own folders are, the stage reads in params.yaml.
        places = {n: p for n, p in self.places.items() if n not in launch.FOLDERS} | WRITTEN
        watched = {
            "LOG": str(here / "log"),
            "ROOT": str(self.root),
            "PHOTOS": str(photos),
            "RENAMED": renamed,
            "DVC_ROOT": str(self.folder),
            "PYTHONPATH": f"{self.folder / 'watch'}{os.pathsep}{self.repository}",
        }
        options = [
            text for name, path in places.items() for text in (f"--{name.replace('_', '-')}", str(path))
        ]
        with (here / "said").open("wb") as said:
            process = subprocess.Popen(
                [sys.executable, "-m", "stages.background_removal", *options],
                cwd=here,
                env=os.environ | watched | environment,
                stdin=subprocess.DEVNULL,
                stdout=said,
                stderr=said,
                start_new_session=True,
            )
        self.running.append(process)
        return process

    def finish(self, work: str, **options: Any) -> dict[str, bytes]:
        """Run the stage to its end; what it wrote."""
        return self.ended(self.start(work, **options), work)

    def ended(self, process: subprocess.Popen[bytes], work: str) -> dict[str, bytes]:
        """Wait for the stage's end; what it wrote."""
        assert process.wait(PATIENCE) == 0, (self.folder / work / "said").read_text()
        return self.written(work)

    def written(self, work: str) -> dict[str, bytes]:
        """Bytes of the outputs, by their path."""
        out = self.folder / work / "out"
        files = [path for path in out.rglob("*") if path.is_file()]
        return {path.relative_to(out).as_posix(): path.read_bytes() for path in files}

    def read(self, work: str) -> list[str]:
        """Keys of the photos that were read in the last run, in order."""
        return (self.folder / work / "log").read_text().splitlines()

    def held(self) -> set[str]:
        """Keys of the photos whose matte the memo holds."""
        folder = self.folder / ".cache" / "facemask" / "background_removal"
        if not (folder / "cache.db").exists():
            return set()
        kept = memo.Memo(folder)
        found = {photo for photo, key in self.keys.items() if key in kept}
        kept.close()
        return found


@pytest.fixture
def project(
    tmp_path: Path,
    contest_folder: Callable[..., Path],
    toy_yaml: dict[str, Any],
    repository: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Project]:
    """224 photos and GrabCut; whatever was left running is ended."""
    monkeypatch.delenv("FACEMASK_MEMO", raising=False)
    toy_yaml["background_removal"]["matting"] = {"kind": "grabcut", "iterations": 1, "height": 48}
    root = contest_folder(people=20, eval_people=12)
    found = Project(tmp_path / "project", root, toy_yaml, repository)
    yield found
    for process in found.running:
        # Its workers too, which outlive it if they are what is broken.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()


def until(reached: Callable[[], bool], *processes: subprocess.Popen[bytes]) -> None:
    end = time.monotonic() + PATIENCE
    while not reached():
        assert all(process.poll() is None for process in processes), "the stage ended too early"
        assert time.monotonic() < end, "it took too long"
        time.sleep(0.05)


def alive(process: psutil.Process) -> bool:
    try:
        return bool(process.status() != psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return False


@pytest.mark.slow
def test_a_killed_stage_goes_on_where_it_was(project: Project) -> None:
    undisturbed = project.finish("alone", FACEMASK_MEMO="0")
    assert not project.held()
    here = project.folder / "killed"
    for _ in range(2):
        known = project.held()
        process = project.start("killed", photos=100)
        until(lambda: len(project.read("killed")) >= 100, process)
        assert not known & set(project.read("killed")), "paid twice"
        until(lambda known=known: len(project.held()) >= len(known) + 100 - UNDER_WAY, process)  # type: ignore[misc]
        workers = psutil.Process(process.pid).children(recursive=True)
        process.kill()
        assert process.wait() == -signal.SIGKILL
        until(lambda workers=workers: not any(map(alive, workers)))  # type: ignore[misc]
        assert len(set(project.read("killed")) - project.held()) <= UNDER_WAY
        assert not (here / "out").exists()
    # At the last moment, before the folder gets its name; the contact sheet has then read some photos again.
    known = project.held()
    process = project.start("killed", renamed="out")
    assert process.wait(PATIENCE) == -signal.SIGKILL, (here / "said").read_text()
    assert project.held() == set(project.keys)
    assert set(project.read("killed")) >= set(project.keys) - known
    assert not (here / "out").exists()
    assert project.finish("killed") == undisturbed
    assert len(project.read("killed")) < UNDER_WAY, "only the contact sheet is drawn from photos"
    shutil.rmtree(project.folder / ".cache")
    assert project.finish("killed") == undisturbed


@pytest.mark.slow
def test_two_processes_share_a_memo(project: Project) -> None:
    undisturbed = project.finish("alone", FACEMASK_MEMO="0")
    both = {work: project.start(work, photos=100) for work in ("one", "other")}
    until(lambda: all(len(project.read(work)) >= 100 for work in both), *both.values())
    for work in both:
        (project.folder / work / "log.gate").unlink()
    for work, process in both.items():
        assert project.ended(process, work) == undisturbed
    assert project.held() == set(project.keys)


@pytest.mark.slow
def test_a_memo_too_small_for_all_changes_no_byte(project: Project, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hardware, "cores", lambda: 1)
    monkeypatch.setattr(memo, "LIMIT", 100_000)
    monkeypatch.setenv("DVC_ROOT", str(project.folder))

    def run(work: str) -> dict[str, bytes]:
        written = {name: project.folder / work / path for name, path in WRITTEN.items()}
        background_removal.run(project.cfg, engine="local", **project.places, **written)
        return project.written(work)

    with monkeypatch.context() as patch:
        patch.setenv("FACEMASK_MEMO", "0")
        undisturbed = run("alone")
    assert run("first") == undisturbed
    held = project.held()
    assert held < set(project.keys), "all of it fits"
    assert project.photos[-1].key in held
    assert project.photos[0].key not in held, "the oldest has to go first"
    # What is held at the start is pushed out before its turn comes.
    assert run("second") == undisturbed
    assert held - project.held()


def test_a_kill_in_the_middle_of_writing_leaves_the_memo_usable(tmp_path: Path, repository: Path) -> None:
    folder = tmp_path / "memo"
    kept = memo.Memo(folder)
    kept.put([("old", b"0")])
    killed = subprocess.run([sys.executable, "-c", PUT, str(folder)], cwd=repository, check=False)
    assert killed.returncode == -signal.SIGKILL
    assert [kept.get(key) for key in ("old", "a", "b")] == [b"0", None, None]
    kept.put([("b", b"1")])
    assert kept.get("b") == b"1"
    kept.close()
