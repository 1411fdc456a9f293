"""The catalogue of timm's networks: parameters, native size, weights on this machine, speed on this machine."""

from __future__ import annotations

import difflib
import importlib.metadata
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import torch

from facemask.commands.weights import FOLDER
from facemask.network import backbones
from facemask.network.libraries import timm
from facemask.runtime import files
from facemask.runtime.errors import UserError
from facemask.settings import recipes

# Numbers of parameters, once counted: a network takes a second or more to be laid out.
COUNTS: Final = Path(".cache/backbones.json")
_BATCH: Final = 16
_SECONDS: Final = 1.0


@dataclass(frozen=True)
class Asked:
    """What is listed.

    Attributes
    ----------
    pattern
        Part of the name, or a pattern with ``*``; empty for all.
    here
        Whether only networks whose weights are on this machine are listed.
    speed
        Whether images a second are measured.
    size
        Height and width at which they are, pixels; None for the native size of each.
    """

    pattern: str
    here: bool
    speed: bool
    size: Sequence[int] | None


def listed(asked: Asked, folder: Path = FOLDER, counts: Path = COUNTS) -> Iterator[str]:
    """Yield a heading and a line a network, as soon as each is known.

    Parameters without the classifier are counted if a pattern, ``here`` or ``speed`` narrow the list; else only those
    counted before are told.

    Raises
    ------
    UserError
        If no network has such a name.
    """
    names = _names(asked.pattern)
    where = {name: _weights(name, folder) for name in names}
    if asked.here:
        names = [name for name in names if where[name]]
    if not names:
        raise UserError(
            f"no weights of such a network are in {folder}/ or in the hub's cache; leave --here out"
        )
    width = max(map(len, names))
    speed = "  images/s" if asked.speed else ""
    yield f"{'network':{width}}  parameters  native size{speed}  weights here"
    narrowed, known = bool(asked.pattern or asked.here or asked.speed), _known(counts)
    try:
        for name in names:
            yield _line(name, width, where[name], asked, known, count=narrowed)
    finally:
        counts.parent.mkdir(parents=True, exist_ok=True)
        files.write_json(counts, {_version(): known})
    if not narrowed:
        yield f"{len(names)} networks; parameters are counted where a FILTER is given"


def _line(name: str, width: int, where: str, asked: Asked, known: dict[str, int], *, count: bool) -> str:
    base = name.split(".")[0]
    if count and base not in known:
        with torch.device("meta"):
            network = backbones.build(_config(name), _size(name), pretrained=False)
        known[base] = sum(weight.numel() for weight in network.parameters())
    told = f"{known[base] / 1e6:.1f} M" if base in known else "-"
    height, across = _size(name)
    rate = f"  {_rate(name, asked.size):>8}" if asked.speed else ""
    return f"{name:{width}}  {told:>10}  {f'{height} x {across}':>11}{rate}  {where}".rstrip()


def _names(pattern: str) -> list[str]:
    """Names with a tag for each file of weights, and those without any weights."""
    wanted = pattern if "*" in pattern else f"*{pattern}*"
    tagged = timm.list_models(wanted, pretrained=True)
    plain = set(timm.list_models(wanted)) - {name.split(".")[0] for name in tagged}
    if found := sorted({*tagged, *plain}):
        return found
    near = difflib.get_close_matches(pattern.split(".")[0], timm.list_models(), n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise UserError(f"timm {_version()} has no network {pattern!r}{hint}")


def _weights(name: str, folder: Path) -> str:
    """Where weights of a network are: a file whose name begins with that of the network, or the hub's cache."""
    base = name.split(".")[0]
    own = sorted(
        path
        for path in folder.glob(f"{base}*")
        if path.suffix in (".safetensors", ".pth", ".bin") and _longest(path.stem) == base
    )
    if own:
        return str(own[0])
    return "hub cache" if "." in name and backbones.in_hub_cache(name) else ""


def _longest(stem: str) -> str:
    """Name of the network with which a file's name begins, the longest of several."""
    parts = range(len(stem), 0, -1)
    return next((stem[:end] for end in parts if timm.is_model(stem[:end])), "")


def _config(name: str) -> recipes.Timm:
    scratch, native = recipes.Scratch(kind="scratch"), recipes.NativePool(kind="native")
    return recipes.Timm(kind="timm", name=name, weights=scratch, options={}, pool=native)


def _size(name: str) -> tuple[int, int]:
    cfg = timm.get_pretrained_cfg(name, allow_unregistered=True)
    height, width = (cfg.input_size if cfg is not None else (3, 224, 224))[1:]
    return height, width


def _rate(name: str, size: Sequence[int] | None) -> str:
    """Images a second, forwards in batches, in the precision that infer has by default."""
    height, width = size or _size(name)
    device = "cuda" if torch.cuda.is_available() else "cpu"
    try:
        network = backbones.build(_config(name), (height, width), pretrained=False).eval().to(device)
        photos = torch.rand(_BATCH, 3, height, width, device=device)
        with torch.inference_mode():
            network(photos)
            done, start = 0, time.monotonic()
            while (taken := time.monotonic() - start) < _SECONDS or not done:
                network(photos).sum().item()
                done += _BATCH
    except (ArithmeticError, AssertionError, RuntimeError, UserError):
        return "no such size"
    return f"{done / taken:.1f}"


def _known(counts: Path) -> dict[str, int]:
    try:
        content: Any = json.loads(counts.read_text(encoding="utf-8"))
        found = content[_version()]
        return {str(name): int(value) for name, value in found.items()}
    # Whatever it holds, it can be counted anew.
    except (OSError, ValueError, LookupError, TypeError, AttributeError):
        return {}


def _version() -> str:
    return importlib.metadata.version("timm")
