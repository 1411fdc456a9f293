"""The scripts of ``make torture``: what they count, that their cases can be repeated, and that the page shows them."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml

from benchmarks.torture import __main__ as command
from benchmarks.torture import fuzz, kills, mutations, project, runs, text_inputs
from facemask.pixels.codec import UnreadableImage
from facemask.runtime.errors import UserError


def test_the_page_shows_what_was_counted() -> None:
    text = command.PAGE.read_text(encoding="utf-8")
    assert command.page(text, json.loads(command.JSON.read_text())) == text
    assert all(mark in text for mark in command.MARKS)


def test_every_stage_is_killed_at_every_kind_of_moment(repository: Path) -> None:
    stages = yaml.safe_load((repository / "dvc.yaml").read_text())["stages"]
    assert {stage.split("@")[0] for stage in runs.STAGES} == set(stages)
    points = runs.points(runs.STAGES, signals=True)
    for stage in runs.STAGES:
        moments = {point.moment for point in points if point.stage == stage and point.how == signal.SIGKILL}
        assert moments >= {"begin", "middle", "commit", "lock"}
    assert {"epoch 1", f"epoch {project.EPOCHS}"} <= {point.moment for point in points}
    sent = {(point.how, point.group) for point in points if point.how != signal.SIGKILL}
    assert sent == {(how, group) for how in (signal.SIGTERM, signal.SIGINT) for group in (True, False)}


def test_a_kill_aimed_at_the_lock_hits_who_writes_it(tmp_path: Path) -> None:
    (tmp_path / "sitecustomize.py").write_text(runs.AIM)
    code = "import time; open('dvc.lock'); open('dvc.lock', 'w'); time.sleep(60)"
    (tmp_path / "dvc.lock").write_text("whole")

    def start() -> subprocess.Popen[bytes]:
        more = {"PYTHONPATH": str(tmp_path), "AIM": str(tmp_path / "aim")}
        return subprocess.Popen(
            [sys.executable, "-c", code], cwd=tmp_path, env=os.environ | more, start_new_session=True
        )

    (tmp_path / "aim").write_text("0")
    assert start().wait(60) == -signal.SIGKILL
    assert (tmp_path / "dvc.lock").read_bytes() == b""


def test_what_differs_of_a_run_that_ended_early() -> None:
    def lock(*names: str) -> bytes:
        entries = {name: {"cmd": name, "outs": [{"path": f"data/{name}"}]} for name in names}
        return yaml.safe_dump({"stages": entries}).encode()

    whole = {"dvc.lock": lock("a", "b"), "data/a/x": b"1", "data/b/x": b"2"}
    assert kills._differing(whole, whole) == []
    early = {"dvc.lock": lock("a"), "data/a/x": b"1"}
    assert kills._differing(whole, early) == []
    assert kills._differing(whole, early | {"data/a/x": b"2"}) == ["data/a/x"]
    assert kills._differing(whole, early | {"data/a/y": b""}) == ["data/a/y"]
    assert kills._differing(whole, {"dvc.lock": lock("a")}) == ["data/a/x"]


def raising(error: Exception) -> text_inputs.Try:
    def attempt(rng: np.random.Generator) -> None:
        raise error

    return attempt


@pytest.mark.parametrize(
    ("attempt", "became"),
    [
        (lambda rng: None, "read"),
        (raising(UserError("one line")), "refused"),
        (raising(UnreadableImage("two\nlines")), "tracebacks"),
        (raising(KeyError("x")), "tracebacks"),
        (raising(text_inputs.Altered("x")), "altered"),
    ],
)
def test_what_becomes_of_an_input(attempt: text_inputs.Try, became: str) -> None:
    assert fuzz.one(attempt, "train.csv", 3, 1)[0] == became


def test_a_case_can_be_repeated() -> None:
    content = b"id,gender\n000001,male\n" * 9
    drawn = [[mutations.data(content, np.random.default_rng([1, n])) for n in range(40)] for _ in range(2)]
    assert drawn[0] == drawn[1]
    assert len(set(drawn[0])) > 30


@pytest.mark.parametrize(
    "kind", ["train.csv", "tables of other programs", "label_fixes.csv", "names of photos"]
)
def test_some_inputs_of_the_cheap_kinds(kind: str, tmp_path: Path) -> None:
    attempt = text_inputs.PARTS[kind][0](tmp_path)
    became = [fuzz.one(attempt, kind, case, 2) for case in range(15)]
    assert {name for name, _ in became} <= {"read", "refused"}, became


def test_altered_rows_are_noticed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    attempt = text_inputs.PARTS["tables of other programs"][0](tmp_path)
    real = text_inputs.csvfile.text
    monkeypatch.setattr(text_inputs.csvfile, "text", lambda *given: real(*given).iloc[:-1])
    assert fuzz.one(attempt, "x", 0, 1)[0] == "altered"


def test_every_kind_has_its_module() -> None:
    """Without importing those that need torch."""
    for kind, module in fuzz.MODULES.items():
        source = (Path(fuzz.__file__).parent / f"{module}.py").read_text()
        assert f'"{kind}": (' in source.split("PARTS: Final")[1]
