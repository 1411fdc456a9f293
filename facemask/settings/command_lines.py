"""What to type to change params: ``python -m facemask set`` and ``dvc exp run -S``, for a kind with all its knobs."""

from __future__ import annotations

import json
import re
import shlex
import typing
from collections.abc import Mapping
from typing import Any, Final

from pydantic.fields import FieldInfo
from ruamel.yaml import YAML

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


def examples(key: str, kind: str) -> dict[str, dict[str, Any]]:
    """Values of a choice, and of another one with which alone that kind goes, by the keys of the schema."""
    choices = {key: kind, **dict([TOGETHER[kind]] if kind in TOGETHER else [])}
    return {
        name: example(
            next(one.sections[tag] for one in schema.walk() if one.key == name and tag in one.sections)
        )
        for name, tag in choices.items()
    }


def by_set(changes: Mapping[str, Any]) -> str:
    """The command that writes values, by key, into ``params.yaml``; a mapping is a kind and its knobs."""
    words = []
    for key, value in changes.items():
        knobs = dict(value) if isinstance(value, dict) else {"kind": value}
        words += [key, flow(knobs.pop("kind")), *(f"{knob}={flow(inner)}" for knob, inner in knobs.items())]
    return shlex.join(["python", "-m", "facemask", "set", *words])


def by_dvc(changes: Mapping[str, Any]) -> str:
    """The command that runs one experiment with values, by key; a mapping is a kind and its knobs."""
    given = [override for key, value in changes.items() for override in overrides(key, value)]
    return shlex.join(["dvc", "exp", "run", *(word for override in given for word in ("-S", override))])


def overrides(key: str, value: Any) -> list[str]:
    """What stands after each -S to give the key a value; a mapping is a kind and its knobs."""
    fields = {field.key: field for field in schema.walk()}
    whole, _, inner = key.partition("[].")
    if inner:
        value = [example(fields[whole].sections[""]) | {inner: value}]
    elif isinstance(value, dict) and schema.is_list(fields[key].info.annotation):
        value = [value]
    if not isinstance(value, dict):
        return [f"{whole}={flow(value)}"]
    # DVC merges mappings: without the deletion, knobs of the kind before would stay.
    return [f"~{key}", f"+{key}={flow(value)}"]


def flow(value: Any) -> str:
    """The value on one line, as both YAML and the grammar of ``-S`` take it."""
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key}: {flow(inner)}" for key, inner in value.items()) + "}"
    if isinstance(value, list):
        return "[" + ", ".join(map(flow, value)) + "]"
    plain = isinstance(value, str) and re.fullmatch(r"[\w./-]+", value, re.ASCII)
    # Text that looks like a number or a date, such as 16 or 1e5, is quoted.
    return value if plain and YAML(typ="safe").load(value) == value else json.dumps(value, ensure_ascii=False)
