"""What a killed DVC leaves behind is mended; a sound state stays as it is."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import psutil
import pytest
import yaml
import zc.lockfile
from dvc.repo import Repo
from dvc.schema import COMPILED_LOCKFILE_SCHEMA
from dvc.utils.serialize import dumps_yaml

from facemask.commands import objects, repair

NAMES = ("check", "sample", "train@0", "train@1", "infer")
DAG = {"stages": {name.split("@")[0]: {"cmd": "x"} for name in NAMES}}


def entry(name: str, hashed: str) -> dict[str, Any]:
    def file(path: str) -> dict[str, Any]:
        return {"path": path, "hash": "md5", "md5": hashed * 32, "size": 12}

    outs = [file(f"data/{name}/one"), file(f"data/{name}/two") | {"md5": f"{hashed * 32}.dir", "nfiles": 2}]
    params = {"params.yaml": {"seed": 20, "train.lr": 3e-05}}
    return {"cmd": f"python -m stages.{name}", "deps": [file("a.py")], "params": params, "outs": outs}


def lock(hashed: dict[str, str]) -> bytes:
    stages = {name: entry(name, digit) for name, digit in hashed.items()}
    return dumps_yaml({"schema": "2.0", "stages": stages}).encode()


HEAD = lock(dict.fromkeys(NAMES, "a"))
# Since the commit two stages have run again, and one is new.
NEWER = lock({"check": "a", "sample": "b", "train@0": "b", "train@1": "a", "infer": "a", "new": "c"})


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_project: Callable[..., None]) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / ".dvc" / "tmp").mkdir(parents=True)
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    (tmp_path / "dvc.yaml").write_text(yaml.safe_dump(DAG))
    (tmp_path / "dvc.lock").write_bytes(HEAD)
    for command in (["init", "-q"], ["add", "dvc.yaml", "dvc.lock"], [*who, "commit", "-q", "-m", "start"]):
        subprocess.run(["git", *command], check=True)
    return tmp_path


def contents(folder: Path) -> dict[str, bytes]:
    files = (path for path in folder.rglob("*") if path.is_file() and ".git" not in path.parts)
    return {str(path): path.read_bytes() for path in files if path.name not in ("lock", "rwlock.lock")}


@pytest.mark.parametrize("content", [HEAD, NEWER])
def test_a_sound_project_stays_as_it_is(project: Path, content: bytes) -> None:
    (project / "dvc.lock").write_bytes(content)
    me = {"pid": os.getpid(), "cmd": "x " + " ".join(psutil.Process().cmdline()[1:])}
    (project / ".dvc/tmp/rwlock").write_text(json.dumps({"write": {"data/a": me}, "read": {"b": [me]}}))
    before = contents(project)
    assert repair.everything(Path()) == []
    assert contents(project) == before


@pytest.mark.slow
def test_wherever_the_lock_is_cut_dvc_can_read_it_again_and_nothing_in_it_is_untrue(project: Path) -> None:
    true = yaml.safe_load(HEAD)["stages"], yaml.safe_load(NEWER)["stages"]
    path = project / "dvc.lock"
    for end in range(0, len(NEWER), 23):
        path.write_bytes(NEWER[:end])
        repair.everything(Path())
        stages = COMPILED_LOCKFILE_SCHEMA(yaml.safe_load(path.read_bytes()))["stages"]
        for name, content in stages.items():
            # DVC looks for an output that the last entry has lost, and finds it in the run cache.
            assert any(name in one and content | {"outs": one[name]["outs"]} == one[name] for one in true), (
                end
            )
        assert set(NAMES) <= set(stages), end


@pytest.mark.parametrize(
    ("damage", "told"),
    [
        (b"", "was empty or missing: restored from git"),
        (None, "was empty or missing: restored from git"),
        (HEAD[:-500] + b"\n<<<<<<< x", "was cut short: restored from git"),
        (b"\x00" * 4096, "was cut short: restored from git"),
        (b"schema: '2.0'\n", "was cut short: restored from git"),
        (b"stages: {}\n", "was cut short: restored from git"),
    ],
)
def test_a_lock_that_cannot_be_read_is_that_of_the_last_commit(
    project: Path, damage: bytes | None, told: str
) -> None:
    path = project / "dvc.lock"
    path.unlink() if damage is None else path.write_bytes(damage)
    (line,) = repair.everything(Path())
    assert line == f"dvc.lock {told}; what ran since is in DVC's run cache"
    assert path.read_bytes() == HEAD
    kept = project / ".dvc/tmp/dvc.lock.damaged"
    assert (kept.read_bytes() if kept.exists() else b"") == (damage or b"")
    assert repair.everything(Path()) == []


def test_missing_stages_come_from_the_last_commit_and_newer_ones_stay(project: Path) -> None:
    path = project / "dvc.lock"
    path.write_bytes(lock({"check": "a", "sample": "b", "train@0": "b", "new": "c"}))
    (line,) = repair.everything(Path())
    # The last one may be cut as well, which nothing tells.
    assert line == "dvc.lock was cut short: infer, new, train@1 restored from git and DVC's run cache"
    assert path.read_bytes() == lock(
        {"check": "a", "sample": "b", "train@0": "b", "train@1": "a", "infer": "a"}
    )


def test_a_stage_that_dvc_yaml_has_no_more_is_not_missed(project: Path) -> None:
    del DAG["stages"]["infer"]
    try:
        (project / "dvc.yaml").write_text(yaml.safe_dump(DAG))
    finally:
        DAG["stages"]["infer"] = {"cmd": "x"}
    (project / "dvc.lock").write_bytes(lock(dict.fromkeys(NAMES[:-1], "a")))
    assert repair.everything(Path()) == []


def test_without_git_what_cannot_be_read_goes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    cut = HEAD[: HEAD.index(b"nfiles")]
    (tmp_path / "dvc.lock").write_bytes(cut + b"n")
    (line,) = repair.everything(Path())
    assert line.startswith("dvc.lock was cut short: removed; ")
    assert not (tmp_path / "dvc.lock").exists()
    assert (tmp_path / ".dvc/tmp/dvc.lock.damaged").read_bytes() == cut + b"n"


def test_without_git_whole_stages_stay(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    (tmp_path / ".dvc/tmp").mkdir(parents=True)
    (tmp_path / "dvc.lock").write_bytes(HEAD[: HEAD.index(b"sample/one")] + b"x\n    md5: abc\n")
    (line,) = repair.everything(Path())
    assert line == "dvc.lock was cut short: sample restored from DVC's run cache"
    assert (tmp_path / "dvc.lock").read_bytes() == lock({"check": "a"})


def test_a_cut_dvc_file_comes_from_the_last_commit(project: Path) -> None:
    whole = b"outs:\n- md5: " + b"a" * 32 + b".dir\n  size: 3\n  nfiles: 1\n  hash: md5\n  path: mine\n"
    (project / "data").mkdir()
    for name in ("mine.dvc", "new.dvc"):
        (project / "data" / name).write_bytes(whole)
    subprocess.run(["git", "add", "data/mine.dvc"], check=True)
    subprocess.run(["git", "-c", "user.name=t", "-c", "user.email=t@e.org", "commit", "-qm", "x"], check=True)
    assert repair.everything(Path()) == []
    for name in ("mine.dvc", "new.dvc"):
        (project / "data" / name).write_bytes(whole[:30])
    told = repair.everything(Path())
    assert [line.split(";")[0] for line in told] == [
        "data/mine.dvc was cut short by a kill: restored from git",
        "data/new.dvc was cut short by a kill: removed",
    ]
    assert told[1].endswith("dvc add data/new")
    assert (project / "data/mine.dvc").read_bytes() == whole
    assert not (project / "data/new.dvc").exists()


@pytest.fixture
def sleeper() -> Any:
    """A process that is not DVC."""
    process = subprocess.Popen([sys.executable, "-c", "import time; time.sleep(600)"])
    yield process
    process.kill()
    process.wait()


def test_a_lock_of_a_process_that_is_another_now_is_released(project: Path, sleeper: Any) -> None:
    path = project / ".dvc/tmp/rwlock"
    me = {"pid": os.getpid(), "cmd": "x " + " ".join(psutil.Process().cmdline()[1:])}
    other = {"pid": sleeper.pid, "cmd": "/bin/dvc repro"}
    gone = {"pid": 2**22 + 1, "cmd": "/bin/dvc repro"}
    path.write_text(json.dumps({"write": {"a": other, "b": me}, "read": {"c": [gone, me], "d": [other]}}))
    assert repair.everything(Path()) == [".dvc/tmp/rwlock held files for a DVC that was killed: released"]
    assert json.loads(path.read_text()) == {"write": {"b": me}, "read": {"c": [me]}}
    assert repair.everything(Path()) == []


def test_a_process_younger_than_the_lock_has_not_written_it(project: Path) -> None:
    """As after a restart of a container, where the same command often gets the same number."""
    path = project / ".dvc/tmp/rwlock"
    me = {"pid": os.getpid(), "cmd": "x " + " ".join(psutil.Process().cmdline()[1:])}
    path.write_text(json.dumps({"write": {"b": me}}))
    before = psutil.Process().create_time() - 60
    os.utime(path, (before, before))
    assert repair.everything(Path()) == [".dvc/tmp/rwlock held files for a DVC that was killed: released"]
    assert json.loads(path.read_text()) == {"write": {}, "read": {}}


@pytest.mark.parametrize(
    "content", ["", '{"write": {"a": {"pid": 1', "[1]", '{"write": {"a": {"pid": "x"}}}', "\x00" * 9]
)
def test_a_lock_that_cannot_be_read_goes(project: Path, content: str) -> None:
    path = project / ".dvc/tmp/rwlock"
    path.write_text(content)
    assert repair.everything(Path()) == [".dvc/tmp/rwlock was cut short by a kill: removed"]
    assert not path.exists()


def test_a_lock_file_that_nobody_holds_stops_nobody(project: Path) -> None:
    for name in ("lock", "rwlock.lock"):
        (project / ".dvc/tmp" / name).write_text("  1\n")
    (project / "dvc.lock").write_bytes(b"")
    assert len(repair.everything(Path())) == 1
    # Of the other kind, which DVC takes for held until its time, a year ahead.
    path = project / ".dvc/tmp/lock"
    path.write_text("/x/.dvc/tmp/0123.lock\n")
    ahead = time.time() + 365 * 86400
    os.utime(path, (ahead, ahead))
    assert repair.everything(Path()) == [".dvc/tmp/lock was left by a DVC that was killed: removed"]


def test_nothing_is_done_while_dvc_is_at_work(project: Path) -> None:
    (project / "dvc.lock").write_bytes(b"")
    (project / ".dvc/tmp/rwlock").write_text("")
    held = zc.lockfile.LockFile(str(project / ".dvc/tmp/lock"))
    try:
        assert repair.everything(Path()) == []
        assert (project / "dvc.lock").read_bytes() == b""
    finally:
        held.close()
    assert len(repair.everything(Path())) == 2


REAL = """\
stages:
  one:
    cmd: echo one >> runs; cp params.yaml one
    deps: [params.yaml]
    outs: [one]
  two:
    cmd: echo two >> runs; cp one two
    deps: [one]
    outs: [two]
  three:
    cmd: echo three >> runs; cp two three
    deps: [two]
    metrics:
      - three:
          cache: false
"""


@pytest.mark.slow
def test_a_flipped_bit_in_dvcs_cache_is_found_and_made_anew(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_project: Callable[..., None]
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("a: 1\n")
    start_project(
        "stages:\n  one:\n    cmd: echo one >> runs; mkdir -p one; cp params.yaml one\n    deps: [params.yaml]\n"
        "    outs: [one]\n",
        "runs\n/one\n",
    )
    with Repo() as repo:
        repo.reproduce()
    assert objects.verify(Path()).endswith("2 objects, all whole")
    for name in (r"[0-9a-f]*.dir", "[0-9a-f]*[0-9a-f]"):
        (harmed,) = [path for path in Path(".dvc/cache/files/md5").glob(f"??/{name}") if path.is_file()]
        content = harmed.read_bytes()
        harmed.chmod(0o644)
        harmed.write_bytes(bytes([content[0] ^ 1]) + content[1:])
        assert "of 2 objects 1 damaged, removed; `dvc repro`" in objects.verify(Path())
        assert not harmed.exists()
        with Repo() as repo:
            repo.reproduce()
        assert harmed.read_bytes() == content
    assert Path("one/params.yaml").read_text() == "a: 1\n"
    assert objects.verify(Path()).endswith("2 objects, all whole")


@pytest.mark.slow
def test_after_a_repair_dvc_goes_on_and_runs_nothing_twice(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, start_project: Callable[..., None]
) -> None:
    """The stages have run again since the commit: what is true of them is in the run cache alone."""
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text("a: 1\n")
    start_project(REAL, "runs\n/one\n/two\n")

    def reproduce() -> None:
        with Repo() as repo:
            repo.reproduce()

    reproduce()
    subprocess.run(["git", "add", "."], check=True)
    subprocess.run(["git", "commit", "-qm", "ran"], check=True)
    Path("params.yaml").write_text("a: 2\n")
    reproduce()
    sound, runs = Path("dvc.lock").read_bytes(), Path("runs").read_text()
    assert runs.split() == ["one", "two", "three"] * 2
    for end in (0, len(sound) // 4, len(sound) // 2, len(sound) - 30):
        Path("dvc.lock").write_bytes(sound[:end])
        if end < len(sound) - 30:
            Path("three").unlink()
        repair.everything(Path())
        reproduce()
        assert yaml.safe_load(Path("dvc.lock").read_bytes()) == yaml.safe_load(sound), end
        assert Path("runs").read_text() == runs, end
        assert Path("three").read_text() == "a: 2\n"
