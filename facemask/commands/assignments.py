"""Set keys of ``params.yaml``: a kind with all its knobs, or a plain value."""

from __future__ import annotations

import copy
import typing
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from facemask.runtime.errors import UserError
from facemask.settings import config, editing, loading, params, schema


def apply(words: Sequence[str], target: Path) -> str:
    """Write what was typed into ``target`` and return the unified diff; empty if nothing changes.

    Nothing is written unless the params are then valid; before, they need not be.

    Parameters
    ----------
    words
        ``KEY VALUE [knob=value ...]``, any number of times. For a choice the value is its kind: it keeps the knobs that
        it has, a new kind starts with none, and knobs of other kinds go.

    Raises
    ------
    UserError
        If the words or the params are not valid.
    """
    _, old = loading.read(target)
    wanted = copy.deepcopy(old) if isinstance(old, dict) else {}
    for key, text in _assignments(words):
        _assign(wanted, key, text)
    title = f"{target} with {' '.join(words)}"
    loading.parse(wanted, title)
    return editing.rewrite(target, wanted, title)


def _assignments(words: Sequence[str]) -> Iterator[tuple[str, str]]:
    """Full keys and the text that each is set to."""
    left = deque(words)
    while left:
        key = left.popleft()
        if "=" in key or not left:
            raise UserError(f"{key}: KEY VALUE is wanted, then knob=value for the knobs of a kind")
        yield key, left.popleft()
        while left and "=" in left[0]:
            knob, _, text = left.popleft().partition("=")
            yield f"{key}.{knob}", text


def _assign(content: dict[str, Any], key: str, text: str) -> None:
    """Put a value into the nested ``content``; whether it may stand there is checked later."""
    *parents, last = key.split(".")
    section: type[config.Config] | None = params.Params
    for part in parents:
        if not isinstance(content.get(part), dict):
            content[part] = {}
        section = schema.inside(section, part, content[part]) if section else None
        content = content[part]
    field = section.model_fields.get(last) if section else None
    annotation: Any = field.annotation if field else None
    if annotation is str or (str in typing.get_args(annotation) and text != "null"):
        content[last] = _text(text)
        return
    value = loading.decode(text, f"{key}={text}")
    if field and text in typing.get_args(annotation):
        value = text  # such as 16, which YAML takes for a number
    elif field and isinstance(value, str) and (kinds := schema.kinds(field)):
        before, knobs = content.get(last), kinds[value].model_fields if value in kinds else ()
        kept = before if isinstance(before, dict) and before.get("kind") == value else {}
        value = {"kind": value} | {knob: kept[knob] for knob in kept if knob in knobs}
    content[last] = value


def _text(text: str) -> str:
    """Text as it was typed: YAML would take 2021_01, ~ or ``a #b`` for something else; quotes as YAML has them go."""
    if len(text) > 1 and text[0] == text[-1] and text[0] in ("'", '"'):
        return str(loading.decode(text, text))
    return text
