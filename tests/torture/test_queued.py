"""The script that puts many experiments through a queue sees what is lost or wrong."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from benchmarks.torture import project, queued

# Writes what it was told, but at 23 what another value gives.
COMMAND = (
    "import json, yaml, sys; k = yaml.safe_load(open('params.yaml'))['evaluate']['bootstrap']; "
    "json.dump({'lower': 0 if k == 23 and 'exps' in __import__('os').getcwd() else k}, open('metrics/oof.json', 'w'))"
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A repository with one stage, and experiments of two values."""
    folder = tmp_path_factory.mktemp("queued") / "copy"
    (folder / "metrics").mkdir(parents=True)
    (folder / "stage.py").write_text(COMMAND)
    stage = {
        "cmd": f"{sys.executable} stage.py",
        "params": ["evaluate"],
        "metrics": [{"metrics/oof.json": {"cache": False}}],
    }
    (folder / "dvc.yaml").write_text(yaml.safe_dump({"stages": {"evaluate": stage}}))
    (folder / "params.yaml").write_text("evaluate:\n  bootstrap: 20\n")
    for command in (
        "git init -q", "dvc init -q", "dvc repro", "git add --all", "git commit -q -m start",
        "dvc exp run --temp -n try-21 -S evaluate.bootstrap=21",
        "dvc exp run --temp -n try-22 -S evaluate.bootstrap=24",
        "dvc exp run --temp -n try-23 -S evaluate.bootstrap=23",
    ):  # fmt: skip
        done = project.run(folder, *command.split())
        assert done.returncode == 0, done.stdout
    return folder


@pytest.mark.slow
def test_what_is_lost_or_wrong_is_seen(folder: Path) -> None:
    counts = queued.Counts(4)
    wanted = {f"try-{value}": value for value in (21, 22, 23, 24)}
    queued._compare(folder, wanted, counts)
    assert (counts.lost, counts.wrong) == (1, 1)
    assert counts.told == ["try-22: another value", "lost: try-24"]
    queued._by_hand(folder, {"try-21": 21}, counts)
    assert counts.wrong == 1
    queued._by_hand(folder, {"try-23": 23}, counts)
    assert counts.told[-1] == "try-23: other scores than by hand"
    assert counts.wrong == 2


@pytest.mark.slow
def test_memory_is_that_of_the_workers_alone(tmp_path: Path, monkeypatch) -> None:
    """A worker that grows is seen, whatever the stages beside it take."""
    monkeypatch.setattr(queued, "_EVERY", 0.05)
    code = "import sys, time; held = b''\nfor _ in range(20): held += bytes(4 << 20); time.sleep(0.05)"
    started = [
        subprocess.Popen([sys.executable, "-c", code, name], cwd=tmp_path, env=os.environ)
        for name in ("queue-worker", "a-stage")
    ]
    counts = queued.Counts(2)
    queued._watch(tmp_path, counts)
    assert [each.wait() for each in started] == [0, 0]
    first, last = counts.worker_mib
    assert last > first + 20
    assert counts.peak_mib > 1.5 * last
