"""Go on with a training that was killed, from its last whole epoch.

The checkpoints lie below ``.cache/resume`` of the main checkout (``DVC_ROOT``), since DVC removes a stage's outputs
before it runs it. They are a cache: deleting them, or switching them off (``FACEMASK_RESUME=0``), changes no output.
"""

from __future__ import annotations

import contextlib
import hashlib
import importlib.metadata
import json
import os
import pickle
import shutil
import sys
import zipfile
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import lightning as L
import torch
from filelock import FileLock, Timeout
from lightning.pytorch.callbacks import Callback
from lightning.pytorch.plugins.io import CheckpointIO

import facemask
from facemask.runtime import files, hardware
from facemask.runtime.errors import UserError

# The rooms that dvc.yaml lists for train; a test compares them.
ROOMS: Final = ("runtime", "records", "pixels", "photos", "scoring", "network", "training")
# What the stored state of optimisers and schedules depends on besides.
_PACKAGES: Final = ("torch", "lightning", "timm")
_STATE: Final = "resume"


def key(settings: Mapping[str, Any], paths: Sequence[Path]) -> str:
    """Hash all that a training depends on, as DVC would.

    Parameters
    ----------
    settings
        Params, seed and fold.
    paths
        Files and folders that are read; this package's rooms are added.
    """
    house = Path(facemask.__file__).parent
    sources = [path for room in ROOMS for path in sorted((house / room).glob("*.py"))]
    whole = {
        "settings": settings,
        "sources": {path.relative_to(house).as_posix(): files.sha256(path) for path in sources},
        "packages": {package: importlib.metadata.version(package) for package in _PACKAGES},
        "data": [
            [str(path.relative_to(above)), files.sha256(path)]
            for above in paths
            for path in ([above] if above.is_file() else sorted(above.rglob("*")))
            if path.is_file()
        ],
    }
    return hashlib.sha256(json.dumps(whole, sort_keys=True).encode()).hexdigest()


@contextlib.contextmanager
def opened(fold: int, settings: Mapping[str, Any], paths: Sequence[Path]) -> Iterator[Path | None]:
    """Yield the folder for the checkpoints of one training; it goes when the block has succeeded.

    A fold has one such folder: those of other params, code or data are removed, but for what a training beside this one
    is using. None where the same training runs already, or if ``FACEMASK_RESUME=0``.

    Parameters
    ----------
    fold
        Which fold.
    settings, paths
        See :func:`key`.
    """
    if os.environ.get("FACEMASK_RESUME") == "0":
        yield None
        return
    home = Path(os.environ.get("DVC_ROOT") or ".") / ".cache" / "resume" / f"fold{fold}"
    folder = home / key({**settings, "fold": fold}, paths)[:32]
    if not hardware.is_first_process():
        yield folder
        return
    home.mkdir(parents=True, exist_ok=True)
    for other in home.glob("*.lock"):
        if other.stem != folder.name:
            _remove(other.with_suffix(""))
    lock = FileLock(f"{folder}.lock", blocking=False)
    try:
        lock.acquire()
    except Timeout:
        yield None
        return
    with lock:
        yield folder
        shutil.rmtree(folder, ignore_errors=True)
        Path(lock.lock_file).unlink(missing_ok=True)


def _remove(folder: Path) -> None:
    """Remove another training's folder, unless that is running."""
    with contextlib.suppress(Timeout), FileLock(f"{folder}.lock", blocking=False) as lock:
        shutil.rmtree(folder, ignore_errors=True)
        Path(lock.lock_file).unlink(missing_ok=True)


class Resume(Callback):
    """Save the training after every epoch, and begin it where it was saved.

    What is saved is Lightning's checkpoint (weights, optimiser, schedules, averages, patience, the state of the other
    callbacks) at the start of the next epoch, when everything that belongs to an epoch is done, the schedules that wait
    for its score among them. Nothing random is in it: each epoch draws from a seed of its own. Lightning's own record
    of its loops is left out, since that is made for checkpoints within an epoch and would skip a plateau's step.

    Stands before the averages in the list of callbacks, which replace the weights in the end.

    Parameters
    ----------
    path
        The checkpoint; None for none.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path
        self._epochs, self._steps, self._finished = 0, 0, False
        self.files = Files()

    def found(self) -> str | None:
        """Path of a checkpoint to begin with; one that is damaged is told and passed over."""
        if self._path is None or not self._path.is_file():
            return None
        try:
            self.files.loaded = _read(self._path)
        except _DAMAGE as error:
            told = " ".join(str(error).split())[:100] or type(error).__name__
            sys.stdout.write(f"the checkpoint {self._path} is damaged ({told}); training from the start\n")
            return None
        return str(self._path)

    def setup(self, trainer: L.Trainer, task: L.LightningModule, stage: str) -> None:
        """Let all processes begin at the same epoch."""
        ours = self.files.epochs()
        first = trainer.strategy.broadcast(ours)
        if first != ours:
            raise UserError(
                "the processes of this training see different checkpoints; remove .cache/resume on all machines"
            )

    def on_load_checkpoint(
        self, trainer: L.Trainer, task: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Note how far it had come."""
        self._epochs, self._steps, self._finished = (
            checkpoint[_STATE][name] for name in ("epochs", "steps", "finished")
        )

    def on_save_checkpoint(
        self, trainer: L.Trainer, task: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Put how far it has come in the place of the loops' record."""
        del checkpoint["loops"]
        checkpoint[_STATE] = {
            "epochs": trainer.current_epoch,
            "steps": trainer.global_step,
            "finished": self._finished,
        }

    def on_fit_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Set the counters of Lightning's loops."""
        if not self._epochs:
            return
        loop = trainer.fit_loop
        done = dict.fromkeys(("ready", "started", "processed", "completed"), self._epochs)
        loop.epoch_progress.load_state_dict({"total": done, "current": done})
        steps = loop.epoch_loop.automatic_optimization.optim_progress.optimizer.step.total
        steps.ready = steps.completed = self._steps
        trainer.should_stop = self._finished
        task.print(
            f"trained already, {self._epochs} epochs"
            if self._finished
            else f"resumed at epoch {self._epochs + 1}",
            flush=True,
        )

    def on_train_epoch_start(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Save what the epochs before this one did."""
        if self._path is not None and trainer.current_epoch > self._epochs:
            trainer.save_checkpoint(self._path)

    def on_train_end(self, trainer: L.Trainer, task: L.LightningModule) -> None:
        """Save the end, after which scores and tables are still to be made."""
        self._finished = True
        if self._path is not None:
            trainer.save_checkpoint(self._path)


class Files(CheckpointIO):
    """Checkpoints as files that are whole: torch's format, tensors and plain values only.

    Attributes
    ----------
    loaded
        What Lightning is given when it asks for a checkpoint.
    """

    def __init__(self) -> None:
        self.loaded: dict[str, Any] = {}
        self._told = False

    def epochs(self) -> int:
        """Epochs that the loaded checkpoint has behind it."""
        return int(self.loaded[_STATE]["epochs"]) if self.loaded else 0

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
        """Replace the file at ``path``; without room the training goes on, and cannot be resumed."""
        try:
            with files.replacing(Path(path)) as temporary:
                torch.save(checkpoint, temporary)
        # torch's writer says so of a full disk.
        except (OSError, RuntimeError) as error:
            if not self._told:
                told = " ".join(str(error).split())[:150]
                sys.stdout.write(
                    f"{path} cannot be written ({told}); without it a killed training starts anew\n"
                )
            self._told = True

    def load_checkpoint(
        self, path: Any, map_location: Any = None, weights_only: bool | None = None
    ) -> dict[str, Any]:
        """Hand over what was read."""
        whole, self.loaded = self.loaded, {}
        return whole

    def remove_checkpoint(self, path: Any) -> None:
        """Delete the file at ``path``."""
        Path(path).unlink(missing_ok=True)


# What zipfile and torch raise over files that are cut off or altered.
_DAMAGE: Final = (
    AssertionError, AttributeError, EOFError, IndexError, KeyError, NotImplementedError, OSError, OverflowError,
    RuntimeError, TypeError, ValueError, pickle.UnpicklingError, zipfile.BadZipFile,
)  # fmt: skip


def _read(path: Path) -> dict[str, Any]:
    # torch does not look at the checksums.
    with zipfile.ZipFile(path) as parts:
        if bad := parts.testzip():
            raise zipfile.BadZipFile(f"{bad} is altered")
    whole: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
    for name in ("epochs", "steps", "finished"):
        whole[_STATE][name]
    return whole
