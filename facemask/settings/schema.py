"""Walk the schema of ``params.yaml``: every key, the kinds of each choice, and in words what a value may be."""

from __future__ import annotations

import types
import typing
from collections.abc import Iterable, Iterator
from typing import Any, Final, NamedTuple

from annotated_types import Ge, Gt, Le, Lt
from pydantic.fields import FieldInfo

from facemask.settings import config, params, recipes

Sections = dict[str, type[config.Config]]

WORDS: Final = {int: "integer", float: "number", bool: "true, false", str: "text", type(None): "null"}


class Field(NamedTuple):
    """One key of the schema.

    Attributes
    ----------
    key
        Its full name, with ``[]`` behind what is a list of sections.
    kind
        Of the choice that it is a knob of; empty outside choices.
    info
        Annotation, limits and description.
    sections
        What it may hold, see :func:`sections`; empty for plain values.
    """

    key: str
    kind: str
    info: FieldInfo
    sections: Sections


def walk(section: type[config.Config] = params.Params, prefix: str = "", kind: str = "") -> Iterator[Field]:
    """Every key in and below a section, but for ``kind`` itself, in the schema's order."""
    for name, info in section.model_fields.items():
        if name == "kind":
            continue
        field = Field(f"{prefix}{name}", kind, info, sections(info.annotation))
        yield field
        inside = f"{field.key}[]." if is_list(info.annotation) else f"{field.key}."
        for tag, inner in field.sections.items():
            yield from walk(inner, inside, tag or kind)


def sections(annotation: Any) -> Sections:
    """Config classes that a value, or each item of a list, may be: by kind, or a single one by the empty text."""
    if isinstance(annotation, type) and not isinstance(annotation, types.GenericAlias):
        if not issubclass(annotation, config.Config) or annotation is recipes.Transform:
            return {}
        tags = annotation.model_fields.get("kind")
        return {typing.get_args(tags.annotation)[0] if tags else "": annotation}
    return {tag: one for part in typing.get_args(annotation) for tag, one in sections(part).items()}


def kinds(info: FieldInfo) -> Sections:
    """Config classes of a choice by kind; none if the key is no choice."""
    found = sections(info.annotation)
    return {} if "" in found or is_list(info.annotation) else found


def inside(section: type[config.Config], name: str, value: Any) -> type[config.Config] | None:
    """Return the config class that the value at a section's key has; None for plain values and unknown kinds."""
    field = section.model_fields.get(name)
    if field is None or not isinstance(value, dict):
        return None
    return sections(field.annotation).get(str(value.get("kind", "")))


def is_list(annotation: Any) -> bool:
    """Whether a field holds a list of any length."""
    return typing.get_origin(annotation) is tuple and typing.get_args(annotation)[-1] is Ellipsis


def allowed(info: FieldInfo) -> str:
    """Tell in words what a value may be, such as ``number ≥ 0, ≤ 1``."""
    if found := sections(info.annotation):
        if is_list(info.annotation):
            return "list of mappings"
        return (
            f"section with {', '.join(found[''].model_fields)}" if "" in found else f"kind {', '.join(found)}"
        )
    return _words(info.annotation) + _bounds(info.metadata)


def _words(annotation: Any) -> str:
    inner = typing.get_args(annotation)
    origin = typing.get_origin(annotation)
    if origin is typing.Annotated:
        return _words(inner[0]) + _bounds(inner[1:])
    if origin is typing.Literal:
        return ", ".join(f"`{value}`" for value in inner)
    if origin in (typing.Union, types.UnionType):
        return " or ".join(map(_words, inner))
    if origin is list or is_list(annotation):
        return f"list of {_words(inner[0])}"
    if origin is tuple:
        return f"{len(inner)} × {_words(inner[0])}"
    if origin is dict:
        return f"mapping to {_words(inner[1])}"
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
