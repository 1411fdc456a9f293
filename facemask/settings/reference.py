"""The reference table of all params, out of their schema."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

from annotated_types import Ge, Gt, Le, Lt
from pydantic import BaseModel
from pydantic.fields import FieldInfo

from facemask.settings import loading, params, recipes

HEAD = """\
# Params

Every knob that can change a result, and `engine`, which cannot, as `params.yaml` spells it; written by `make docs`
from `facemask/settings/params.py` and `facemask/settings/recipes.py`.
No key has a hidden default: all that apply must stand in the file. Where a `kind` is chosen, its knobs (marked with
it below) stand beside it, and those of other kinds must not. The values are those of the shipped file.
On the command line: `dvc exp run -S train.lr=3e-5 -S 'train.folds=[0,1]' -S train.channels_last=false`.
"""
WORDS = {int: "integer", float: "number", bool: "true, false", str: "text", type(None): "null"}


class Row(NamedTuple):
    """One key: where it stands, for which ``kind`` (or empty), what it may hold and what it does."""

    key: str
    kind: str
    allowed: str
    description: str


def rows() -> list[Row]:
    """Every key that ``params.yaml`` can hold, in the schema's order; kinds that share a key share its row."""
    found: dict[tuple[str, str, str], dict[str, None]] = {}
    for row in _rows(params.Params, "", ""):
        found.setdefault((row.key, row.allowed, row.description), {})[row.kind] = None
    return [Row(key, ", ".join(kinds), allowed, text) for (key, allowed, text), kinds in found.items()]


def _rows(model: type[BaseModel], prefix: str, kind: str) -> Iterator[Row]:
    for name, field in model.model_fields.items():
        key = f"{prefix}{name}"
        choices, each = _models(field.annotation), f"{key}."
        text = field.description or ""
        if loading.is_list(field.annotation) and not choices:
            choices, each = _models(_plain(typing.get_args(field.annotation)[0])), f"{key}[]."
            if choices and choices != [recipes.Transform]:
                yield Row(key, kind, "list of mappings", text)
            else:
                choices = []
        if len(choices) > 1:
            tags = {typing.get_args(choice.model_fields["kind"].annotation)[0]: choice for choice in choices}
            yield Row(f"{each}kind", kind, ", ".join(f"`{tag}`" for tag in tags), text)
            for tag, choice in tags.items():
                yield from _rows(choice, each, tag)
        elif choices:
            yield from _rows(choices[0], each, kind)
        elif not (kind and name == "kind"):
            yield Row(key, kind, _allowed(field.annotation) + _bounds(field.metadata), text)


def _models(annotation: Any) -> list[type[BaseModel]]:
    """The sections that a field's value can be; none for plain values and lists."""
    choices = typing.get_args(annotation) if _is_union(annotation) else (annotation,)
    return [choice for choice in choices if isinstance(choice, type) and issubclass(choice, BaseModel)]


def _plain(annotation: Any) -> Any:
    """The type under its annotations."""
    return typing.get_args(annotation)[0] if typing.get_origin(annotation) is typing.Annotated else annotation


def _is_union(annotation: Any) -> bool:
    return typing.get_origin(annotation) in (typing.Union, types.UnionType)


def _allowed(annotation: Any) -> str:
    """Tell in words what a field accepts."""
    inner = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _allowed(inner[0]) + _bounds(inner[1:])
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if _is_union(annotation):
        return " or ".join(_allowed(choice) for choice in inner)
    if origin is list or (origin is tuple and inner[-1] is Ellipsis):
        return f"list of {_allowed(inner[0])}"
    if origin is tuple:
        return f"{len(inner)} × {_allowed(inner[0])}"
    if origin is dict:
        return f"mapping to {_allowed(inner[1])}"
    if annotation is recipes.Transform:
        return "mappings with `name` and the transform's arguments"
    return WORDS[annotation]


def _bounds(metadata: Iterable[Any]) -> str:
    """Limits of a number, such as `` ≥ 0, ≤ 1``."""
    flat = [one for item in metadata for one in (item.metadata if isinstance(item, FieldInfo) else [item])]
    told = []
    for one in flat:
        match one:
            case Ge(ge=limit):
                told.append(f"≥ {limit}")
            case Gt(gt=limit):
                told.append(f"> {limit}")
            case Le(le=limit):
                told.append(f"≤ {limit}")
            case Lt(lt=limit):
                told.append(f"< {limit}")
    return f" {', '.join(told)}" if told else ""


def markdown(content: Mapping[str, Any]) -> str:
    """The table, a heading a section; ``content`` is the parsed ``params.yaml`` whose values are shown."""
    lines = [HEAD.rstrip("\n")]
    section = ""
    for row in rows():
        top = row.key.split(".", 1)[0]
        if top != section:
            section = top
            lines += ["", f"## {top}", "", "| key | allowed | value | what it does |", "|---|---|---|---|"]
        key = f"`{row.key}`" + (f" ({row.kind})" if row.kind else "")
        lines.append(f"| {key} | {row.allowed} | {_value(content, row)} | {row.description} |")
    return "\n".join(lines) + "\n"


def _value(content: Any, row: Row) -> str:
    """What stands at the row's key, if its kind is the one chosen."""
    *parents, last = row.key.split(".")
    kinds = set()
    for part in parents:
        content = content.get(part, {}) if isinstance(content, Mapping) else {}
        kinds.add(content.get("kind") if isinstance(content, Mapping) else None)
    if last not in content or (row.kind and kinds.isdisjoint(row.kind.split(", "))):
        return ""
    value = content[last]
    if isinstance(value, list):
        return ", ".join(_item(item) for item in value)
    return "null" if value is None else str(value).lower() if isinstance(value, bool) else str(value)


def _item(item: Any) -> str:
    return str(item.get("name", item.get("kind", "…"))) if isinstance(item, dict) else str(item)
