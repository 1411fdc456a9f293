"""Vectors of faces from a face network in an ONNX file: those of one person are alike."""

from __future__ import annotations

import functools
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import cv2
import numpy as np
import onnxruntime

from facemask.runtime import files
from facemask.runtime.arrays import Floats32, Pixels
from facemask.runtime.errors import UserError
from facemask.runtime.refusals import REFUSALS
from facemask.settings import params

# Numbers in a vector, at most.
LENGTH: Final = 512


def require(cfg: params.FaceNetworkFile) -> None:
    """Check that the network can be loaded and gives one vector a face.

    Raises
    ------
    UserError
        If the file is missing, another one, or no such network.
    """
    vectors(cfg, [np.zeros((8, 8, 3), np.uint8)])


def vectors(cfg: params.FaceNetworkFile, faces: Sequence[Pixels]) -> list[bytes]:
    """Embed faces.

    A map of features (C, H, W) keeps its places, where a face's parts are. On 420 people, SFace's so compared puts the
    median pair of photos of one person at a cosine of .65 and the closest of two people at .59; averaged over the
    places, at .76 and .85. What is longer than :data:`LENGTH` is brought there by a fixed random projection, which
    keeps cosines to a few hundredths.

    Parameters
    ----------
    faces
        (H, W, 3) RGB of any sizes.

    Returns
    -------
    list of bytes
        One float32 vector of length 1 a face.

    Raises
    ------
    UserError
        As for :func:`require`.
    """
    session, name, (high, wide) = _session(cfg)
    batch = np.stack([cv2.resize(face, (wide, high), interpolation=cv2.INTER_AREA) for face in faces])
    scaled = ((batch.astype(np.float32) - np.float32(cfg.mean)) / np.float32(cfg.std)).transpose(0, 3, 1, 2)
    try:
        features = np.concatenate([session.run(None, {name: one[None]})[0] for one in scaled])
    except (*REFUSALS, IndexError, TypeError, ValueError) as error:
        raise _unfit(cfg, error) from None
    if features.ndim < 2 or len(features) != len(faces) or features.dtype.kind != "f":
        raise _unfit(cfg, f"its output for {len(faces)} faces is {features.shape} of {features.dtype}")
    flat = features.reshape(len(features), -1)
    if flat.shape[1] > LENGTH:
        flat = flat @ _projection(flat.shape[1])
    length = np.linalg.norm(flat, axis=1, keepdims=True)
    return [row.astype(np.float32).tobytes() for row in flat / np.maximum(length, 1e-12)]


@functools.lru_cache(maxsize=1)
def _projection(size: int) -> Floats32:
    """(size, LENGTH) Gaussian numbers, the same every time."""
    return np.random.default_rng(0).standard_normal((size, LENGTH), dtype=np.float32)


@functools.lru_cache(maxsize=1)
def _session(cfg: params.FaceNetworkFile) -> tuple[Any, str, tuple[int, int]]:
    """Load the network once a process: session, name of its input, height and width."""
    fetch = f"put the ONNX file there, or set {cfg.keys}kind to none"
    content = files.checked(Path(cfg.path), cfg.sha256, keys=cfg.keys, fetch=fetch)
    options = onnxruntime.SessionOptions()
    # Processes share the cores, and one thread means one result on any machine.
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.log_severity_level = 4
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except REFUSALS as error:
        raise _unfit(cfg, error) from None
    shapes = [one.shape for one in session.get_inputs()]
    if len(shapes) != 1 or len(shapes[0]) != 4 or not all(isinstance(side, int) for side in shapes[0][2:]):
        raise _unfit(cfg, f"its inputs are {shapes}")
    return session, session.get_inputs()[0].name, (shapes[0][2], shapes[0][3])


def _unfit(cfg: params.FaceNetworkFile, reason: object) -> UserError:
    told = " ".join(str(reason).split())[:200]
    return UserError(
        f"{cfg.keys}path: {cfg.path} is no network from (N, 3, H, W) to vectors ({told}); name another file"
    )
