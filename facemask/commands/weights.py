"""Pretrained weights: which there are, and fetching them into ``models/pretrained``."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import pooch
import requests

from facemask.runtime.errors import UserError
from facemask.settings import loading

REGISTRY: Final = Path("models/weights.yaml")
FOLDER: Final = Path("models/pretrained")


def listed(registry: Path = REGISTRY, folder: Path = FOLDER) -> list[str]:
    """A line a file: its name, whether it is here, what it is for.

    Raises
    ------
    UserError
        If the registry cannot be read.
    """
    known = _read(registry)
    width = max(map(len, known))
    here = {name: "here" if (folder / one["file"]).is_file() else "absent" for name, one in known.items()}
    return [f"{name:{width}}  {here[name]:6}  {one['what']}" for name, one in known.items()]


def fetch(names: Sequence[str], registry: Path = REGISTRY, folder: Path = FOLDER) -> list[Path]:
    """Fetch files that are not there yet, and check the hash of each.

    Raises
    ------
    UserError
        If a name is unknown, a file has no public address, cannot be fetched, or is another one: says what to do.
    """
    known = _read(registry)
    for name in names:
        if name not in known:
            near = difflib.get_close_matches(name, known, n=1)
            hint = f"did you mean {near[0]}? " if near else ""
            raise UserError(f"{registry}: no weights {name!r}; {hint}(known: {', '.join(known)})")
    return [_one(name, known[name], folder) for name in names]


def _one(name: str, entry: Mapping[str, Any], folder: Path) -> Path:
    path: Path = folder / entry["file"]
    if path.is_file():
        if not pooch.hashes.hash_matches(path, entry["hash"]):
            raise UserError(f"{path}: its hash is not {entry['hash']}; move the file away and fetch it anew")
        return path
    if entry["url"] is None:
        raise UserError(
            f"{name}: has no public address; put {entry['file']} into {folder}/ (models/README.md says what it is, and "
            "what does without it)"
        )
    pooch.get_logger().setLevel("ERROR")
    try:
        return Path(
            pooch.retrieve(entry["url"], entry["hash"], fname=entry["file"], path=folder, progressbar=True)
        )
    except (requests.RequestException, OSError) as error:
        reason = "no network" if isinstance(error, requests.ConnectionError) else " ".join(str(error).split())
        raise UserError(
            f"{name}: {entry['url']} cannot be fetched ({reason}); fetch it where there is a network and put it at "
            f"{path}"
        ) from None
    except ValueError:
        raise UserError(
            f"{name}: what {entry['url']} gave has not the hash {entry['hash']}; it was not kept"
        ) from None


def _read(registry: Path) -> dict[str, dict[str, Any]]:
    content: dict[str, dict[str, Any]] = loading.read(registry)[1]
    return content
