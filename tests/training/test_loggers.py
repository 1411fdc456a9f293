"""Loggers: what they are told, that nothing is sent, and that the network stays the same to the byte."""

from __future__ import annotations

import socket
import sqlite3
import struct
import subprocess
import sys
import warnings
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import torch
from dvc.repo import Repo

from facemask.runtime import launch
from facemask.runtime.errors import UserError
from facemask.settings import loading, recipes
from facemask.training import loggers
from facemask.training.batches import Side
from facemask.training.fit import fit

pytestmark = pytest.mark.slow

EPOCHS = 2
CHOSEN = {
    "tensorboard": {"kind": "tensorboard", "folder": "logs/tensorboard"},
    "wandb": {"kind": "wandb", "folder": "logs", "project": "tests", "mode": "offline"},
    "mlflow": {"kind": "mlflow", "folder": "logs/mlflow", "experiment": "tests", "uri": None},
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    """A git and DVC repository with a commit, as DVCLive asks for."""
    found = tmp_path_factory.mktemp("repository")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "start"]):
        subprocess.run(["git", *command], check=True, cwd=found)
    Repo.init(str(found)).close()
    return found


@pytest.fixture
def here(folder, monkeypatch) -> Path:
    """The repository, of an experiment named ``cut``, on a machine without a network."""

    def refused(self, address):
        if self.family != socket.AF_UNIX and address[0] not in ("127.0.0.1", "::1", "localhost"):
            pytest.fail(f"connects to {address}")
        return connect(self, address)

    connect = socket.socket.connect
    monkeypatch.setattr(socket.socket, "connect", refused)
    monkeypatch.chdir(folder)
    for name, value in {"DVC_ROOT": str(folder), "DVC_EXP_NAME": "cut", "HOME": str(folder)}.items():
        monkeypatch.setenv(name, value)
    return folder


def side(photos: int, seed: int) -> Side:
    labels = np.arange(photos) % 18
    pixels = np.random.default_rng(seed).integers(0, 256, (photos, 32, 24, 3), dtype=np.uint8)
    return Side(pixels, labels, np.full(photos, 40), labels, np.ones(photos, np.int64))


def trained(toy_yaml: dict, where: Path, **logger: object) -> dict[str, torch.Tensor]:
    toy_yaml["train"] |= {"epochs": EPOCHS, "logger": logger}
    whole = loading.parse(toy_yaml, "toy")
    recipe = launch.view(whole, recipes.Recipe)
    watched = launch.view(whole, recipes.Logging)
    with warnings.catch_warnings():
        # Of the loggers' own libraries.
        warnings.simplefilter("ignore")
        sides = {"seed": 1, "curves": where / "curves", "live": where / "live" / "fold0"}
        found = fit(recipe, side(36, 1), side(36, 2), **sides, logger=watched.logger)
    return found.model.state_dict()


@pytest.fixture(scope="module")
def plain() -> dict[str, dict[str, torch.Tensor]]:
    """Weights of a training without a logger, once made."""
    return {}


@pytest.mark.parametrize("kind", CHOSEN)
def test_a_logger_is_told_everything_and_changes_no_weight(here, kind, plain, toy_yaml, tmp_path):
    if not plain:
        plain["weights"] = trained(toy_yaml, tmp_path / "plain", kind="none")
        assert not (here / "logs").exists()
    weights = trained(toy_yaml, tmp_path / kind, **CHOSEN[kind])
    assert all(torch.equal(value, weights[name]) for name, value in plain["weights"].items())
    told = SEEN[kind](here)
    assert told == {"scores": EPOCHS, "pictures": EPOCHS, "name": "cut-fold0", "params": True}


def tensorboard(here: Path) -> dict[str, object]:
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    (run,) = (here / "logs" / "tensorboard").iterdir()
    found = EventAccumulator(str(run)).Reload()
    return {
        "scores": len(found.Scalars("val/macro_f1")),
        "pictures": len(found.Images(loggers.PICTURE)),
        "name": run.name[:9],
        "params": "batch_size: 8" in (run / "hparams.yaml").read_text(),
    }


def records(raw: bytes) -> Iterator[bytes]:
    """Records of a log in LevelDB's form: blocks of 32 KiB, parts with checksum, length and whether more follow."""
    place, whole = 7, b""
    while place < len(raw):
        if (left := 32768 - place % 32768) < 7:
            place += left
            continue
        length, part = struct.unpack_from("<HB", raw, place + 4)
        whole += raw[place + 7 : place + 7 + length]
        place += 7 + length
        if part in (1, 4):
            yield whole
            whole = b""


def wandb(here: Path) -> dict[str, object]:
    from wandb.proto.wandb_internal_pb2 import Record

    (run,) = (here / "logs" / "wandb").glob("offline-run-*")
    rows = [Record.FromString(one) for one in records(next(run.glob("*.wandb")).read_bytes())]
    keys = [{item.key or "/".join(item.nested_key) for item in row.history.item} for row in rows]
    (name,) = {row.run.display_name for row in rows if row.HasField("run")}
    return {
        "scores": sum("val/macro_f1" in one for one in keys),
        "pictures": len(list(run.rglob("media/images/*.png"))),
        "name": name[:9],
        "params": any("batch_size" in str(row) for row in rows),
    }


def mlflow(here: Path) -> dict[str, object]:
    with sqlite3.connect(here / "logs" / "mlflow" / "mlflow.db") as base:
        one = lambda text: base.execute(text).fetchone()[0]  # noqa: E731
        return {
            "scores": one("select count(*) from metrics where key = 'val/macro_f1'"),
            "pictures": len(list((here / "logs" / "mlflow" / "artifacts").rglob("images/*.png"))),
            "name": one("select name from runs")[:9],
            "params": one("select value from params where key = 'train/batch_size'") == "8",
        }


SEEN = {"tensorboard": tensorboard, "wandb": wandb, "mlflow": mlflow}


def test_a_logger_that_is_not_installed_is_named(here, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    with pytest.raises(UserError, match=r"^train\.logger: wandb is not installed"):
        loggers.Run(recipes.Wandb(**CHOSEN["wandb"]), "fold0", {})


def test_no_logger_is_imported_unless_chosen(repository):
    """In a process of its own: others of this one's tests have imported them."""
    code = "import sys, stages.train; print(*{'wandb', 'mlflow', 'tensorboard'} & set(sys.modules))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=repository, capture_output=True, text=True, check=True
    )
    assert done.stdout.strip() == ""
