"""Change values of a YAML file by a round trip: comments and order stay, new values look as DVC writes them."""

from __future__ import annotations

import difflib
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ruamel.yaml import YAML
from ruamel.yaml.comments import CommentedMap, CommentedSeq
from ruamel.yaml.error import CommentMark
from ruamel.yaml.tokens import CommentToken

from facemask.runtime.files import replacing
from facemask.settings import loading


def rewrite(path: Path, wanted: Mapping[str, Any], title: str) -> str:
    """Give the YAML file at ``path`` the values of ``wanted``; return the unified diff to ``title``, empty if none."""
    text, old = loading.read(path)
    if _same(old, wanted):
        return ""
    changed = _edit(text, wanted)
    with replacing(path) as temporary:
        temporary.write_text(changed, encoding="utf-8")
    before, after = (content.splitlines(keepends=True) for content in (text, changed))
    return "".join(difflib.unified_diff(before, after, str(path), title, n=2))


def _same(one: Any, other: Any) -> bool:
    """Whether two values are written alike; 1, 1.0 and true, which Python holds for equal, are not."""
    return json.dumps(one, sort_keys=True) == json.dumps(other, sort_keys=True)


def _edit(text: str, wanted: Mapping[str, Any]) -> str:
    yaml = YAML()
    yaml.default_flow_style = False
    whole = yaml.load(text)
    _update(whole, wanted)
    written = io.StringIO()
    yaml.dump(whole, written)
    return written.getvalue()


def _update(section: CommentedMap, wanted: Mapping[str, Any]) -> None:
    for key, value in wanted.items():
        before = section.get(key)
        if isinstance(before, CommentedMap) and isinstance(value, dict) and before.keys() == value.keys():
            _update(before, value)
        elif key not in section or not _same(before, value):
            _replace(section, key, value)


def _replace(section: CommentedMap, key: str, value: Any) -> None:
    """Put ``value`` at ``key``; comments and blank lines up to the next key stay, one behind a list or section goes."""
    before = section.get(key)
    if key not in section or not (isinstance(before, (dict, list)) or isinstance(value, (dict, list))):
        section[key] = value
        return
    tokens, at = _end(section, key)
    token, tokens[at] = tokens[at], None
    section[key] = _commented(value)
    if token and (following := token.value.partition("\n")[2]):
        tokens, at = _end(section, key)
        tokens[at] = CommentToken(f"\n{following}", CommentMark(0), None)


def _end(section: Any, key: Any) -> tuple[list[Any], int]:
    """Where ruamel.yaml keeps the comment behind a value: among the tokens of the last key or item inside it."""
    at = 2
    while (
        isinstance(value := section[key], (CommentedMap, CommentedSeq))
        and value
        and not value.fa.flow_style()
    ):
        section = value
        key, at = (next(reversed(value)), 2) if isinstance(value, CommentedMap) else (len(value) - 1, 0)
    return section.ca.items.setdefault(key, [None] * 4), at


def _commented(value: Any) -> Any:
    """The value with room for comments."""
    if isinstance(value, dict):
        return CommentedMap((key, _commented(inner)) for key, inner in value.items())
    return CommentedSeq(map(_commented, value)) if isinstance(value, list) else value
