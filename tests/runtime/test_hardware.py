"""What the machine offers."""

from __future__ import annotations

import pytest

from facemask.runtime import hardware


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
