"""Presets: named sets of params, merged into ``params.yaml`` so that its comments, order and format stay."""

from __future__ import annotations

import difflib
import typing
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import yaml
from pydantic import BaseModel
from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap

from facemask.runtime.errors import UserError
from facemask.runtime.files import replacing
from facemask.settings import loading, params

Content = dict[str, Any]

LAYOUT: Final = (
    "params.yaml is laid out in a way that cannot be edited line by line; "
    "put one key on a line, and no merge key (<<)"
)


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
    text, old = loading.read(target)
    loading.parse(old, str(target))
    merged = merge(old, _read(path)["params"])
    loading.parse(merged, str(path))
    changed = edit(text, merged)
    if changed != text:
        with replacing(target) as temporary:
            temporary.write_text(changed, encoding="utf-8")
    lines = difflib.unified_diff(
        text.splitlines(keepends=True),
        changed.splitlines(keepends=True),
        str(target),
        f"{target} with {path}",
        n=2,
    )
    return "".join(lines)


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


def merge(old: Content, new: Content, schema: type[BaseModel] = params.Params) -> Content:
    """``old`` overridden by ``new``.

    Sections are merged key by key. Lists, free mappings (such as ``train.backbone.options``) and choices whose
    ``kind`` differs are replaced whole, since what stands in them belongs together.
    """
    merged = dict(old)
    for key, value in new.items():
        before: Any = old.get(key)
        inner = _schema(schema, key, before)
        if inner and isinstance(value, dict) and value.get("kind", before.get("kind")) == before.get("kind"):
            merged[key] = merge(before, value, inner)
        else:
            merged[key] = value
    return merged


def _schema(schema: type[BaseModel], key: str, before: Any) -> type[BaseModel] | None:
    """Return the config class of the section that stands at ``key``; of a choice, the one of its kind."""
    field = schema.model_fields.get(key)
    if field is None or not isinstance(before, dict) or typing.get_origin(field.annotation) is dict:
        return None
    for choice in typing.get_args(field.annotation) or (field.annotation,):
        tags = choice.model_fields.get("kind")
        if tags is None or before.get("kind") in typing.get_args(tags.annotation):
            return typing.cast(type[BaseModel], choice)
    return None


def edit(text: str, wanted: Mapping[str, Any]) -> str:
    """Change the values in the YAML ``text`` to those of ``wanted``, line by line, leaving all other lines alone."""
    lines = text.splitlines()
    # From the last line up, so that the positions of those still to come stay valid.
    for start, end, replacement in sorted(_edits(YAML().load(text), wanted, lines), reverse=True):
        lines[start:end] = replacement
    changed = "\n".join(lines) + "\n"
    try:
        as_wanted = yaml.safe_load(changed) == wanted
    except yaml.YAMLError:
        as_wanted = False
    if not as_wanted:
        raise UserError(LAYOUT)
    return changed


def _edits(old: CommentedMap, new: Mapping[str, Any], lines: list[str]) -> list[tuple[int, int, list[str]]]:
    found: list[tuple[int, int, list[str]]] = []
    for key, value in new.items():
        before = old[key]
        if before == value and type(before) is not bool and type(value) is not bool:
            continue
        if key not in old.lc.data:
            raise UserError(LAYOUT)
        start, column = old.lc.key(key)
        block = isinstance(before, CommentedMap) and not before.fa.flow_style() and bool(before)
        if block and isinstance(value, dict) and before.keys() == value.keys():
            found += _edits(before, value, lines)
        elif before != value:
            comment = _comment(lines[start]) if not isinstance(before, (dict, list)) else ""
            replacement = _dump(key, value, " " * column)
            found.append((start, _end(lines, start, column), [replacement[0] + comment, *replacement[1:]]))
    return found


def _end(lines: list[str], start: int, column: int) -> int:
    """One past the last line of the value whose key stands at ``start``; comments after it belong to what follows."""
    end = start + 1
    for at in range(start + 1, len(lines)):
        bare = lines[at].strip()
        indent = len(lines[at]) - len(lines[at].lstrip())
        if not bare or bare.startswith("#"):
            continue
        if indent < column or (indent == column and not bare.startswith("- ")):
            break
        end = at + 1
    return end


def _comment(line: str) -> str:
    at = line.find(" #")
    return "" if at < 0 else " " * (len(line[:at]) - len(line[:at].rstrip())) + line[at:]


def _dump(key: str, value: Any, indent: str) -> list[str]:
    """Lines of ``key: value``: sections as blocks, lists of mappings one item a line, all else on the key's line."""
    if isinstance(value, dict) and value:
        return [f"{indent}{key}:", *(line for k, v in value.items() for line in _dump(k, v, indent + "  "))]
    if isinstance(value, list) and any(isinstance(item, dict) for item in value):
        return [f"{indent}{key}:", *(f"{indent}  - {_flow(item)}" for item in value)]
    return [f"{indent}{key}: {_flow(value)}"]


def _flow(value: Any) -> str:
    return (
        yaml.safe_dump(value, default_flow_style=True, sort_keys=False, width=10_000)
        .removesuffix("...\n")
        .strip()
    )
