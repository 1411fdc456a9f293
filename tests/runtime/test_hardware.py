"""What the machine offers, and how threads wait on it."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from facemask.runtime import hardware

POLICY = "OMP_WAIT_POLICY"


@pytest.fixture
def machine(monkeypatch):
    """Four cores, two of them this process's, nothing else at work."""
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(hardware, "cores", lambda: 2)
    monkeypatch.setattr(hardware, "crowded", lambda: False)
    # What is taken away here is put back at the end, whatever the test set in between.
    for name in (POLICY, "GOMP_SPINCOUNT"):
        monkeypatch.setenv(name, "")
        monkeypatch.delenv(name)
    return monkeypatch


@pytest.mark.parametrize(("running", "expected"), [(1, False), (3, False), (4, True), (9, True)])
def test_a_machine_is_crowded_where_others_run_on_our_cores(running, expected, tmp_path, monkeypatch):
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(hardware, "cores", lambda: 2)
    stat = tmp_path / "stat"
    stat.write_text(f"cpu  1 2 3\nctxt 99\nprocesses 12345\nprocs_running {running}\nprocs_blocked 7\n")
    assert hardware.crowded(stat) is expected


def test_one_moment_s_work_is_not_a_crowd(machine, tmp_path):
    machine.undo()
    looks = iter([8, 1, 1, 8, 1])
    machine.setattr(os, "cpu_count", lambda: 2)
    machine.setattr(hardware, "cores", lambda: 2)
    machine.setattr(Path, "read_text", lambda path: f"procs_running {next(looks)}\n")
    assert not hardware.crowded(tmp_path)


def test_a_system_that_does_not_tell_is_not_crowded(tmp_path):
    assert not hardware.crowded(tmp_path / "none")


def test_threads_spin_alone_and_sleep_in_a_crowd(machine):
    hardware.set_wait()
    assert POLICY not in os.environ
    machine.setattr(hardware, "crowded", lambda: True)
    hardware.set_wait()
    assert os.environ[POLICY] == "PASSIVE"


def test_threads_sleep_beside_the_loader_s_workers(machine):
    machine.setattr(hardware, "cores", lambda: 8)
    hardware.set_wait()
    assert os.environ[POLICY] == "PASSIVE"


@pytest.mark.parametrize(("name", "value"), [(POLICY, "ACTIVE"), ("GOMP_SPINCOUNT", "5000")])
def test_the_environment_s_word_stands(name, value, machine):
    machine.setattr(hardware, "crowded", lambda: True)
    machine.setenv(name, value)
    hardware.set_wait()
    assert os.environ[name] == value
    assert (POLICY in os.environ) is (name == POLICY)


@pytest.mark.parametrize("module", ["stages.train", "stages.infer", "facemask.training.augment"])
def test_the_choice_comes_before_torch(module):
    program = f"""
import sys
from unittest import mock
with mock.patch("os.cpu_count", return_value=0):
    import facemask
    assert "torch" not in sys.modules
import {module}, os
assert "torch" in sys.modules
print(os.environ["OMP_WAIT_POLICY"])
"""
    alone = {name: value for name, value in os.environ.items() if name not in (POLICY, "GOMP_SPINCOUNT")}
    ended = subprocess.run(
        [sys.executable, "-c", program], env=alone, capture_output=True, text=True, check=True
    )
    assert ended.stdout.strip() == "PASSIVE"


@pytest.mark.parametrize(
    ("started", "expected"),
    [
        ({}, ("auto", 1)),
        ({"LOCAL_WORLD_SIZE": "2", "WORLD_SIZE": "6"}, (2, 3)),
        ({"SLURM_NTASKS": "8", "SLURM_NNODES": "2", "SLURM_NTASKS_PER_NODE": "4"}, (4, 2)),
        ({"SLURM_NTASKS": "1", "SLURM_JOB_NAME": "interactive"}, ("auto", 1)),
    ],
)
def test_training_takes_the_processes_that_were_started(started, expected, monkeypatch):
    for name in ("LOCAL_WORLD_SIZE", "WORLD_SIZE", "SLURM_NTASKS", "SLURM_NNODES", "SLURM_JOB_NAME"):
        monkeypatch.delenv(name, raising=False)
    for name, value in started.items():
        monkeypatch.setenv(name, value)
    assert hardware.processes() == expected
