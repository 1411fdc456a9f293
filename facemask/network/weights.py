"""Files of pretrained weights: the one that was meant, read as tensors only."""

from __future__ import annotations

import pickle
import struct
from pathlib import Path

import requests
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor

from facemask.runtime import files
from facemask.settings import recipes

# What readers raise for a file that is cut short or no such file at all: its bytes are commands to an unpickler.
BROKEN = (
    AttributeError,
    EOFError,
    LookupError,
    RuntimeError,
    SafetensorError,
    TypeError,
    ValueError,
    pickle.UnpicklingError,
    struct.error,
)


def checked(cfg: recipes.WeightsFile, name: str) -> Path:
    """Path of the file with the weights of ``name``, after a look at its hash.

    Raises
    ------
    UserError
        If there is no such file or it is another one.
    """
    path = Path(cfg.path)
    fetch = f"put the weights of {name} there or name another file"
    files.checked(path, cfg.sha256, keys="train.backbone.weights.", fetch=fetch)
    return path


def read(path: Path) -> dict[str, Tensor]:
    """Named tensors of a ``.safetensors`` file, or of what ``torch.save`` made of a state dict; no code is run.

    Raises
    ------
    ValueError
        If it holds anything else; the message is the reason.
    """
    try:
        if path.suffix == ".safetensors":
            return load_file(path)
        content = torch.load(path, map_location="cpu", weights_only=True)
    except BROKEN as error:
        raise ValueError(" ".join(repr(error).split())[:200]) from None
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not all(isinstance(value, Tensor) for value in content.values()):
        raise ValueError("not a state dict of tensors")
    return content


def reachable(url: str) -> bool:
    """Whether the server of ``url`` answers within seconds; libraries retry for minutes."""
    try:
        requests.head(url, timeout=5, allow_redirects=True)
    except requests.RequestException:
        return False
    return True
