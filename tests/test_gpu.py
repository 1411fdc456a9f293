"""The GPU's measurements rehearsed on a CPU, without DVC; what they tell as tables."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from benchmarks import gpu
from benchmarks.device import plan, stages


@pytest.mark.slow
def test_all_parts_run_without_dvc(
    repository: Path, tmp_path: Path, contest_folder: Callable[..., Path]
) -> None:
    """As on a machine that has torch and no DVC: both packages are made to fail when they are imported."""
    for name in ("dvc", "dvclive"):
        (tmp_path / name).mkdir()
        (tmp_path / name / "__init__.py").write_text("raise ImportError('not here')\n")
    page = tmp_path / "gpu.md"
    page.write_text(f"before\n{gpu.MARKS[0]}\noutdated\n{gpu.MARKS[1]}\nafter\n")
    options = ["--results", str(tmp_path / "gpu.json"), "--page", str(page), "--root", str(contest_folder())]
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.gpu", "--device", "cpu", "--tiny", *options],
        cwd=repository,
        env=os.environ | {"PYTHONPATH": str(tmp_path)},
        capture_output=True,
        text=True,
    )
    assert ended.returncode == 0, ended.stderr
    found = json.loads((tmp_path / "gpu.json").read_text())
    assert set(found["parts"]) == set(gpu.PARTS)
    assert found["tiny"] and "rehearsal" in found["machine"]["device"]
    parts = found["parts"]
    network = parts["networks"]["by_preset"][plan.LARGE]
    assert network["images_per_second"] > 0 and network["finite"] and network["peak_gib"] is None
    (loop,) = parts["loop"]["by_case"].values()
    assert loop["ratio"] > 0.3
    trained = parts["stages"]["trainings"]
    assert trained["after_a_kill"]["killed"] and "resumed at epoch" in trained["after_a_kill"]["told"]
    assert trained["two_processes"]["log_loss"] == pytest.approx(trained["after_a_kill"]["log_loss"], abs=1)
    assert parts["packages"]["mtcnn"]["photos_per_second"] > 0
    told = page.read_text()
    assert told.startswith("before\n") and told.endswith("after\n") and "outdated" not in told
    assert "| after a kill |" in told


def test_stages_are_called_as_in_dvc_yaml(repository: Path) -> None:
    known = yaml.safe_load((repository / "dvc.yaml").read_text())["stages"]
    assert set(stages.BEFORE) | {"train"} <= set(known)
    train = stages.command("train")
    assert train[:4] == ["-m", "stages.train", "--fold", "0"] and str(stages.MADE) in train
    assert not any("$" in word for name in stages.BEFORE for word in stages.command(name))


def test_limits_stay_within_eight_minutes_and_figures_become_tables() -> None:
    assert sum(gpu.PARTS.values()) <= 8 * 60
    part = {
        "by_case": {"4 workers": {"ratio": 0.9, "peak_gib": None}, "8 workers": {"error": "a|b"}},
        "seconds": 3,
    }
    about = {"date": "d", "device": "card", "machine": "m", "versions": {"torch": "2"}}
    told = list(gpu.lines({"machine": about, "parts": {"loop": part}}))
    assert "| 4 workers | 0.9 |  |  |" in told
    assert "| 8 workers |  |  | a/b |" in told
