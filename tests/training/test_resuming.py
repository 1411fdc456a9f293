"""A training that is killed goes on from its last whole epoch, to the same bytes."""

from __future__ import annotations

import multiprocessing
import os
import shutil
import signal
import subprocess
import sys
import traceback
from collections.abc import Callable, Iterator
from functools import partial
from multiprocessing.connection import Connection
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
import torch
import yaml
from dvc.repo import Repo

from facemask.runtime import launch
from facemask.runtime.errors import UserError
from facemask.settings import loading, recipes
from facemask.training import resuming
from facemask.training.batches import Side
from facemask.training.fit import fit
from facemask.training.task import Task

pytestmark = pytest.mark.slow

EPOCHS = 4
# 24 photos in batches of 8.
BATCHES = 3


@pytest.fixture(scope="module")
def empty_repository(tmp_path_factory) -> Path:
    """A git and DVC repository with a commit, as DVCLive asks for."""
    folder = tmp_path_factory.mktemp("repository")
    who = ["-c", "user.name=t", "-c", "user.email=t@example.org"]
    for command in (["init", "-q"], [*who, "commit", "-q", "--allow-empty", "-m", "start"]):
        subprocess.run(["git", *command], check=True, cwd=folder)
    Repo.init(str(folder)).close()
    return folder


@pytest.fixture
def repo(empty_repository, tmp_path: Path, monkeypatch) -> Path:
    folder = tmp_path / "repository"
    shutil.copytree(empty_repository, folder)
    monkeypatch.chdir(folder)
    monkeypatch.setenv("DVC_ROOT", str(folder))
    monkeypatch.delenv("FACEMASK_RESUME", raising=False)
    return folder


def side(photos: int, seed: int) -> Side:
    """Photos whose colour tells the class, four classes."""
    rng = np.random.default_rng(seed)
    labels = np.arange(photos) % 4 * 5
    colour = np.stack([labels * 10, 150 - labels * 10, labels * 0], 1)[:, None, None]
    pixels = (rng.integers(0, 60, (photos, 32, 24, 3)) + colour).astype(np.uint8)
    ages = np.array([20, 60, 45, 25])[np.arange(photos) % 4]
    return Side(pixels, labels, ages, labels, np.ones(photos, np.int64))


class Training:
    """One training, run anew as often as wanted."""

    def __init__(self, toy_yaml: dict, changes: dict) -> None:
        toy_yaml["train"] |= {"epochs": EPOCHS, "lr": 0.01} | changes
        cfg = launch.view(loading.parse(toy_yaml, "toy"), recipes.Recipe)
        assert isinstance(cfg, recipes.Recipe)
        self.recipe = cfg

    def __call__(self, where: Path, checkpoints: Path | None) -> dict[str, object]:
        """Everything that the training gives: weights, chosen epoch, score, tables."""
        wanted = not isinstance(self.recipe.unlabelled, recipes.Nothing)
        fitted = fit(
            self.recipe,
            side(8 * BATCHES, 0),
            side(8, 1),
            seed=1,
            curves=where / "curves",
            live=where / "live",
            unlabelled=side(12, 2).pixels if wanted else None,
            checkpoints=checkpoints,
        )
        assert fitted is not None
        weights = {name: value.numpy().tobytes() for name, value in fitted.model.state_dict().items()}
        tables = {path.name: path.read_bytes() for path in (where / "curves").iterdir()}
        live = {path.name: lines(path) for path in (where / "live").rglob("*.tsv")}
        return {"epoch": fitted.epoch, "score": fitted.macro_f1} | weights | tables | live


def lines(path: Path) -> list[str]:
    """Values of one of DVCLive's curves, without their times."""
    return [line.split("\t")[-1] for line in path.read_text().splitlines()[1:]]


def serve(asked: Connection) -> None:
    """Fork for everything that is asked for, and tell how it ended: 77 after Ctrl-C, 99 after an error."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    while True:
        try:
            folder, environment, run = asked.recv()
        except EOFError:
            return
        child = os.fork()
        if not child:
            code = 99
            try:
                with Path(folder).with_name("said").open("w") as said:
                    os.dup2(said.fileno(), 1)
                    os.dup2(said.fileno(), 2)
                os.chdir(folder)
                os.environ.update(environment)
                run()
                code = 0
            except KeyboardInterrupt:
                code = 77
            except SystemExit as error:
                code = error.code
            except BaseException:
                traceback.print_exc()
            finally:
                sys.stdout.flush()
                os._exit(code)
        asked.send(os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))


@pytest.fixture(scope="module")
def apart() -> Iterator[Callable[[Callable[[], object]], tuple[int, str]]]:
    """Runs what can be pickled in a process of its own: the code that it ends with, and what it printed.

    Not forked from here: where a test before has made autograd start threads, no child could train.
    """
    spawn = multiprocessing.get_context("spawn")
    here, there = spawn.Pipe()
    server = spawn.Process(target=serve, args=(there,), daemon=True)
    server.start()
    there.close()

    def ended(run: Callable[[], object]) -> tuple[int, str]:
        here.send((str(Path.cwd()), {"DVC_ROOT": os.environ["DVC_ROOT"]}, run))
        return here.recv(), Path.cwd().with_name("said").read_text()

    yield ended
    here.close()
    server.join(60)
    assert server.exitcode == 0


def killed(call: int, train: Training, where: Path, checkpoints: Path) -> None:
    """Train until the n-th batch begins, which ends the process."""
    step, calls = Task.training_step, iter(range(call))

    def deadly(task: Task, batch: object, index: int) -> object:
        if next(calls, None) is None:
            os.kill(os.getpid(), signal.SIGKILL)
        return step(task, batch, index)

    Task.training_step = deadly
    train(where, checkpoints)


PLATEAU = {"kind": "plateau", "warmup_steps": 1, "patience": 0, "factor": 0.5, "min_lr": 0.0001}
STEP = {"kind": "step", "warmup_steps": 2, "every_epochs": 1.5, "factor": 0.5}
RESTARTS = {
    "kind": "cosine_restarts", "warmup_steps": 2, "period_epochs": 1.5, "multiply": 2.0, "min_lr": 0.0
}  # fmt: skip
SGD = {"kind": "sgd", "weight_decay": 0.01, "momentum": 0.9, "nesterov": True}
REFIT = {"kind": "logistic", "c": 1.0, "smote": None}
SELF_TRAINING = {"kind": "self_training", "rounds": 1, "threshold": 0.0, "per_class": None}
UDA = {"kind": "uda", "weight": 1.0, "ratio": 1, "temperature": 0.5, "threshold": 0.0}
VARIANTS = {
    "one_cycle": {},
    "ema": {"average": {"kind": "ema", "decay": 0.7}},
    "swa-step": {"average": {"kind": "swa", "start": 0.3}, "schedule": STEP},
    "gradual-plateau": {"freeze": {"kind": "gradual", "every": 1}, "schedule": PLATEAU},
    "accumulate-restarts": {"accumulate": 2, "schedule": RESTARTS, "optimiser": SGD},
    "uda-mixup": {"unlabelled": UDA, "mixing": {"kind": "mixup", "alpha": 1.0, "p": 0.5}},
    "patience": {"patience": 1, "lr": 1e-9},
}


@pytest.mark.parametrize("name", VARIANTS)
def test_a_killed_training_gives_the_same_bytes(repo, toy_yaml, capfd, apart, name) -> None:
    """Killed in the second batch of the third epoch, then in that of the fourth, or at its end if it stops before."""
    train = Training(toy_yaml, VARIANTS[name])
    undisturbed = train(repo / "undisturbed", None)
    there = repo / "checkpoints"
    stops = VARIANTS[name].get("patience")
    first = 2 * BATCHES - 1 if stops else 2 * BATCHES + 1
    code, said = apart(partial(killed, first, train, repo / "killed", there))
    assert code == -signal.SIGKILL, said
    if not stops:
        code, said = apart(partial(killed, BATCHES + 1, train, repo / "killed", there))
        assert code == -signal.SIGKILL, said
        assert "resumed at epoch 3\n" in said
    capfd.readouterr()
    assert train(repo / "killed", there) == undisturbed
    said = capfd.readouterr().out
    assert f"resumed at epoch {2 if stops else 4}\n" in said
    assert ("epoch   1/4" in said) is False
    # After its end it is not trained a second time.
    again = Training(toy_yaml, VARIANTS[name])(repo / "again", there)
    assert again == undisturbed
    assert "trained already" in capfd.readouterr().out


def test_a_training_killed_in_its_second_round_keeps_the_first(repo, toy_yaml, capfd, apart) -> None:
    train = Training(toy_yaml, {"unlabelled": SELF_TRAINING, "epochs": 2, "refit": REFIT})
    undisturbed = train(repo / "undisturbed", None)
    there = repo / "checkpoints"
    # The first round is six batches, the second, with the unlabelled photos, five an epoch.
    code, said = apart(partial(killed, 2 * BATCHES + 7, train, repo / "killed", there))
    assert code == -signal.SIGKILL, said
    capfd.readouterr()
    assert train(repo / "killed", there) == undisturbed
    said = capfd.readouterr().out
    assert (
        said.index("trained already, 2 epochs")
        < said.index("12 of 12 unlabelled")
        < said.index("resumed at epoch 2")
    )


@pytest.mark.parametrize("damage", ["cut", "empty", "flipped", "other"])
def test_a_damaged_checkpoint_is_told_in_a_line_and_passed_over(repo, toy_yaml, capfd, damage) -> None:
    train = Training(toy_yaml, {"epochs": 2})
    there = repo / "checkpoints"
    undisturbed = train(repo / "undisturbed", there)
    (path,) = there.iterdir()
    content = path.read_bytes()
    place = len(content) // 2
    path.write_bytes(
        {
            "cut": content[:place],
            "empty": b"",
            "flipped": content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :],
            "other": b"PK\x03\x04 something else",
        }[damage]
    )
    capfd.readouterr()
    assert train(repo / "again", there) == undisturbed
    said = capfd.readouterr()
    (told,) = [line for line in said.out.splitlines() if "damaged" in line]
    assert told.startswith(f"the checkpoint {path} is damaged (")
    assert "epoch   1/2" in said.out
    assert said.err == ""


def test_a_checkpoint_runs_no_code(repo, toy_yaml, capfd) -> None:
    class Trap:
        def __reduce__(self) -> tuple[object, ...]:
            return os.mkdir, (str(repo / "sprung"),)

    there = repo / "checkpoints"
    there.mkdir()
    torch.save({"resume": Trap()}, there / "round0-batch8.ckpt")
    Training(toy_yaml, {"epochs": 1})(repo / "one", there)
    assert "is damaged" in capfd.readouterr().out
    assert not (repo / "sprung").exists()


def test_without_room_the_training_goes_on_and_says_so_once(repo, toy_yaml, capfd, monkeypatch) -> None:
    train = Training(toy_yaml, {"epochs": 3})
    undisturbed = train(repo / "undisturbed", None)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(torch, "save", full)
    capfd.readouterr()
    assert train(repo / "full", repo / "checkpoints") == undisturbed
    assert capfd.readouterr().out.count("cannot be written ([Errno 28] No space left on device)") == 1
    assert list((repo / "checkpoints").iterdir()) == []


def keep(fold: int, data: Path, **settings: object) -> Path:
    """Leave a checkpoint behind as a killed training does."""
    with pytest.raises(InterruptedError), resuming.opened(fold, settings, [data]) as folder:
        assert folder is not None
        (folder / "round0.ckpt").parent.mkdir(parents=True, exist_ok=True)
        (folder / "round0.ckpt").write_text("weights")
        raise InterruptedError
    return folder


@pytest.fixture
def data(repo) -> Path:
    (repo / "data").mkdir()
    (repo / "data" / "table.csv").write_text("a\n")
    return repo / "data"


def test_checkpoints_of_other_inputs_are_not_taken_and_go(data, monkeypatch) -> None:
    home = data.parent / ".cache" / "resume"
    first, other = keep(0, data, lr=1.0), keep(1, data, lr=1.0)
    assert keep(0, data, lr=1.0) == first
    assert other.exists()
    changed = [keep(0, data, lr=2.0)]
    (data / "table.csv").write_text("b\n")
    changed.append(keep(0, data, lr=2.0))
    (data / "table.csv").rename(data / "renamed.csv")
    changed.append(keep(0, data, lr=2.0))
    monkeypatch.setattr(resuming, "_PACKAGES", ("torch",))
    changed.append(keep(0, data, lr=2.0))
    assert len({first, *changed}) == 5
    assert [path for path in (home / "fold0").iterdir() if path.is_dir()] == changed[-1:]
    assert other.exists()


def test_they_go_when_the_fold_is_done(data) -> None:
    folder = keep(0, data)
    with resuming.opened(0, {}, [data]) as again:
        assert again == folder
        assert (folder / "round0.ckpt").exists()
    assert list((data.parent / ".cache" / "resume" / "fold0").iterdir()) == []


def test_what_another_training_uses_is_left_alone(data) -> None:
    with resuming.opened(0, {"lr": 1}, [data]) as one:
        assert one is not None
        one.mkdir(parents=True)
        with resuming.opened(0, {"lr": 2}, [data]) as other, resuming.opened(0, {"lr": 1}, [data]) as same:
            assert other not in (None, one)
            assert same is None
        assert one.exists()


def test_switched_off_nothing_is_kept(data, monkeypatch) -> None:
    monkeypatch.setenv("FACEMASK_RESUME", "0")
    with resuming.opened(0, {}, [data]) as folder:
        assert folder is None
    assert not (data.parent / ".cache").exists()


def test_the_key_holds_the_code_that_dvc_hashes(repository) -> None:
    deps = yaml.safe_load((repository / "dvc.yaml").read_text())["stages"]["train"]["deps"]
    assert [dep.removeprefix("facemask/") for dep in deps if dep.startswith("facemask/")] == list(
        resuming.ROOMS
    )


def test_processes_that_see_different_checkpoints_are_told() -> None:
    resume = resuming.Resume(None)
    elsewhere = SimpleNamespace(strategy=SimpleNamespace(broadcast=lambda epochs: epochs + 3))
    with pytest.raises(UserError, match="see different checkpoints; remove .cache/resume"):
        resume.setup(elsewhere, None, "fit")


def told(by: signal.Signals, train: Training, where: Path, checkpoints: Path) -> None:
    """Train; the signal comes in the second epoch."""
    step = Task.training_step

    def signalled(task: Task, batch: object, index: int) -> object:
        if task.current_epoch:
            os.kill(os.getpid(), by)
        return step(task, batch, index)

    Task.training_step = signalled
    train(where, checkpoints)


@pytest.mark.parametrize(("by", "code"), [(signal.SIGINT, 77), (signal.SIGTERM, 143)])
def test_a_training_that_is_told_to_stop_has_not_succeeded(repo, toy_yaml, apart, by, code) -> None:
    """Lightning alone would end after SIGTERM with the code of success."""
    train = Training(toy_yaml, {"epochs": 2})
    ended, said = apart(partial(told, by, train, repo / "told", repo / "checkpoints"))
    assert ended == code, said
    assert [path.name for path in (repo / "checkpoints").iterdir()] == ["round0-batch8.ckpt"]


def test_where_memory_does_not_suffice_the_result_is_that_of_the_smaller_batch(
    repo, toy_yaml, monkeypatch
) -> None:
    """As if half the batch, accumulated, had been asked for; it is resumed apart from the whole one."""
    given = Training(toy_yaml, {"epochs": 2, "batch_size": 4, "accumulate": 2})(repo / "given", None)
    step = Task.training_step

    def tight(task: Task, batch: object, index: int) -> object:
        if len(batch.photos) > 4:
            raise RuntimeError(
                "[enforce fail at alloc_cpu.cpp:127] DefaultCPUAllocator: can't allocate memory"
            )
        return step(task, batch, index)

    monkeypatch.setattr(Task, "training_step", tight)
    found = Training(toy_yaml, {"epochs": 2, "batch_size": 8, "accumulate": 1, "fit_memory": True})
    assert found(repo / "found", repo / "checkpoints") == given
    assert [path.name for path in (repo / "checkpoints").iterdir()] == ["round0-batch4.ckpt"]
