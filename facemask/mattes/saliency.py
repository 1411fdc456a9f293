"""rembg's networks: which can be named, where their weights lie, and a session that gives mattes.

References
----------
Qin et al.: U2-Net: Going Deeper with Nested U-Structure for Salient Object Detection, 2020.
https://arxiv.org/abs/2005.09007
"""

from __future__ import annotations

import contextlib
import difflib
import os
import warnings
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnxruntime
import requests
from PIL import Image
from rembg import new_session
from rembg.sessions import sessions
from rembg.sessions.base import BaseSession

from facemask.runtime import files
from facemask.runtime.arrays import Pixels
from facemask.runtime.errors import UserError
from facemask.runtime.refusals import REFUSALS

_ORIGIN: Final = "https://github.com/danielgatis/rembg/releases"
# These want a prompt or give several mattes.
_UNFIT: Final = frozenset({"sam", "u2net_cloth_seg"})


def names() -> list[str]:
    """Models that can be named: those that run here and give one matte a photo."""
    return sorted(name for name, kind in sessions.items() if kind.is_local() and name not in _UNFIT)


def weights(model: str, path: str | None, sha256: str | None) -> Path:
    """Find the file with a model's weights, and fetch it if it can be fetched.

    Parameters
    ----------
    model
        One of :func:`names`.
    path, sha256
        ONNX file of a ``*_custom`` model and its hash; None for the others.

    Raises
    ------
    UserError
        If there is no such model (the nearest names are told); if ``path`` is missing, not wanted or another file; if
        the weights are not on this machine and cannot be fetched: tells what to put where.
    """
    if model not in names():
        near = difflib.get_close_matches(model, names(), n=3, cutoff=0.3)
        hint = f"did you mean {' or '.join(near)}? " if near else ""
        known = ", ".join(names())
        raise UserError(f"background_removal.matting.model: no model {model!r}; {hint}(known: {known})")
    if model.endswith("_custom"):
        return _own(model, path, sha256)
    if path is not None or sha256 is not None:
        raise UserError(
            f"background_removal.matting.path: {model} has its own weights; set path and sha256 to null"
        )
    kind = sessions[model]
    existing = kind.resolve_existing(f"{model}.onnx")
    return Path(existing) if existing else _fetched(kind, model)


def _own(model: str, path: str | None, sha256: str | None) -> Path:
    if path is None or sha256 is None:
        raise UserError(
            f"background_removal.matting.path: {model} needs an ONNX file; name it here and its SHA-256 in sha256"
        )
    file = Path(path).expanduser().resolve()
    files.checked(file, sha256, keys="background_removal.matting.", fetch="put the ONNX file there")
    return file


def _fetched(kind: type[BaseSession], model: str) -> Path:
    target = Path(kind.model_dir()) / f"{model}.onnx"
    remedy = (
        f"fetch {model}.onnx from {_ORIGIN} on a machine with a network and put it at {target} "
        f"(or anywhere, with U2NET_HOME set to its folder), or set background_removal.matting.kind to grabcut"
    )
    try:
        # Asked first: without a network the download itself may hang in retries.
        requests.head(_ORIGIN, timeout=3)
        return Path(kind.download_models())
    except (requests.RequestException, OSError, ValueError) as error:
        reason = "no network" if isinstance(error, requests.ConnectionError) else " ".join(str(error).split())
        raise UserError(
            f"{model}: no weights on this machine, and they cannot be fetched ({reason}): {remedy}"
        ) from None


class Network:
    """One rembg session, kept for the life of a process; one thread on CPU, CUDA where onnxruntime has it.

    Parameters
    ----------
    model, file
        A model's name and its weights, from :func:`weights`.

    Raises
    ------
    UserError
        If the file is no ONNX network of the kind that the model wants.
    """

    def __init__(self, model: str, file: Path) -> None:
        options = onnxruntime.SessionOptions()
        # Processes share the cores; more threads in each are slower and not repeatable.
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        self._file = file
        own: dict[str, Any] = {"model_path": str(file)} if model.endswith("_custom") else {}
        try:
            with _home(file.parent) if own else contextlib.nullcontext():
                self._session = new_session(model, options, providers=providers(), **own)
        except REFUSALS as error:
            raise _refused(file, error) from None

    def matte(self, photo: Pixels) -> Pixels:
        """Return the (H, W) matte of an (H, W, 3) photo; all 0 where the network sees nothing.

        Raises
        ------
        UserError
            If the network's input or output is not what the model's code expects.
        """
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            # A constant output is stretched by 0/0; it arrives here as an empty matte.
            warnings.simplefilter("ignore", RuntimeWarning)
            try:
                found = self._session.predict(Image.fromarray(photo))[0]
            except (*REFUSALS, IndexError, TypeError, ValueError) as error:
                raise _refused(self._file, error) from None
        return np.array(found, dtype=np.uint8)


@contextlib.contextmanager
def _home(folder: Path) -> Iterator[None]:
    """Make ``folder`` rembg's own: it refuses a file outside."""
    before = os.environ.get("U2NET_HOME")
    os.environ["U2NET_HOME"] = str(folder)
    try:
        yield
    finally:
        if before is None:
            del os.environ["U2NET_HOME"]
        else:
            os.environ["U2NET_HOME"] = before


def _refused(file: Path, error: Exception) -> UserError:
    reason = " ".join(str(error).split())[:200]
    return UserError(f"{file}: onnxruntime cannot run it as this model ({reason}); replace the file")


def providers() -> list[str]:
    """List the execution providers of onnxruntime to use, CUDA first where present."""
    cuda = "CUDAExecutionProvider"
    return [*([cuda] if cuda in onnxruntime.get_available_providers() else []), "CPUExecutionProvider"]
