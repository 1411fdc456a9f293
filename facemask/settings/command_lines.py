"""What to type for another kind: ``dvc exp run -S`` with all its knobs, at the schema's example values."""

from __future__ import annotations

import json
import shlex
import typing
from typing import Any, Final

from pydantic.fields import FieldInfo

from facemask.settings import config, schema

# Kinds that go only with another one, and that one.
TOGETHER: Final = {
    "multilabel": ("train.loss", "multilabel_soft_margin"),
    "multilabel_soft_margin": ("train.head", "multilabel"),
}


def example(section: type[config.Config]) -> dict[str, Any]:
    """Values for all keys of a section, ``kind`` first; the first kind or word where the schema gives no example."""
    names = sorted(section.model_fields, key=lambda name: name != "kind")
    return {name: _value(section.model_fields[name]) for name in names}


def _value(info: FieldInfo) -> Any:
    if info.examples:
        return info.examples[0]
    if inner := schema.sections(info.annotation):
        first = example(next(iter(inner.values())))
        return [first] if schema.is_list(info.annotation) else first
    return typing.get_args(info.annotation)[0]


def by_dvc(key: str, kind: str) -> str:
    """The command that runs one experiment with another kind; ``key`` is that of the choice in the schema."""
    changes = _overrides(key, kind)
    if kind in TOGETHER and TOGETHER[kind][0] != key:
        changes += _overrides(*TOGETHER[kind])
    return shlex.join(["dvc", "exp", "run", *(word for change in changes for word in ("-S", change))])


def _overrides(key: str, kind: str) -> list[str]:
    fields = {field.key: field for field in schema.walk() if kind in field.sections or "" in field.sections}
    value: Any = example(fields[key].sections[kind])
    whole, _, inner = key.partition("[].")
    if inner:
        value = [example(fields[whole].sections[""]) | {inner: value}]
    elif schema.is_list(fields[key].info.annotation):
        value = [value]
    if isinstance(value, list):
        return [f"{whole}={flow(value)}"]
    # DVC merges mappings: without the deletion, knobs of the kind before would stay.
    return [f"~{key}", f"+{key}={flow(value)}"]


def flow(value: Any) -> str:
    """The value on one line, as both YAML and the grammar of ``-S`` take it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    return value if isinstance(value, str) else json.dumps(value)
