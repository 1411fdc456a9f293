"""Presets: named sets of params, merged into ``params.yaml`` so that its comments, order and format stay."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any

from facemask.runtime.errors import UserError
from facemask.settings import config, editing, loading, params, schema

Content = dict[str, Any]


def available(folder: Path) -> dict[str, str]:
    """Name and description of every preset in ``folder``, sorted by name.

    Raises
    ------
    UserError
        If there is none, or one cannot be read.
    """
    return {path.stem: _read(path)["description"].strip() for path in _files(folder)}


def apply(name: str, folder: Path, target: Path) -> str:
    """Merge ``folder/name.yaml`` into ``target`` and return the unified diff; empty if nothing changes.

    Nothing is written unless the merged params are valid.

    Raises
    ------
    UserError
        If there is no such preset (the nearest names are offered), or if the merged params are not valid.
    """
    path = folder / f"{name}.yaml"
    if not path.is_file():
        names = [known.stem for known in _files(folder)]
        near = difflib.get_close_matches(name, names, n=3, cutoff=0.4)
        raise UserError(
            f"no preset {name!r}; "
            + (f"did you mean {' or '.join(near)}?" if near else f"there are {', '.join(names)}")
        )
    _, old = loading.read(target)
    loading.parse(old, str(target))
    merged = merge(old, _read(path)["params"])
    loading.parse(merged, str(path))
    return editing.rewrite(target, merged, f"{target} with {path}")


def _files(folder: Path) -> list[Path]:
    if found := sorted(folder.glob("*.yaml")):
        return found
    raise UserError(f"{folder}: no presets here; run from the project's folder")


def _read(path: Path) -> Content:
    _, content = loading.read(path)
    if not isinstance(content, dict) or set(content) != {"description", "params"}:
        raise UserError(f"{path}: a preset has two keys, description and params")
    if not isinstance(content["description"], str):
        raise UserError(f"{path}: description: text is wanted")
    if not isinstance(content["params"], dict):
        raise UserError(f"{path}: params: sections and keys of params.yaml are wanted, indented below it")
    return content


def merge(old: Content, new: Content, section: type[config.Config] = params.Params) -> Content:
    """``old`` overridden by ``new``.

    Sections are merged key by key. Lists, free mappings (such as ``train.backbone.options``) and choices whose
    ``kind`` differs are replaced whole, since what stands in them belongs together.
    """
    merged = dict(old)
    for key, value in new.items():
        before: Any = old.get(key)
        inner = schema.inside(section, key, before)
        if inner and isinstance(value, dict) and value.get("kind", before.get("kind")) == before.get("kind"):
            merged[key] = merge(before, value, inner)
        else:
            merged[key] = value
    return merged
