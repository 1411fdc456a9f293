"""The reference table of all params, out of their schema."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from facemask.settings import schema

HEAD = """\
# Params

Every knob that can change a result, and `engine`, which cannot, as `params.yaml` spells it; written by `make docs`
from `facemask/settings/params.py` and `facemask/settings/recipes.py`.
No key has a hidden default: all that apply must stand in the file. Where a `kind` is chosen, its knobs (marked with
it below) stand beside it, and those of other kinds must not. The values are those of the shipped file.
On the command line: `dvc exp run -S train.lr=3e-5 -S 'train.folds=[0,1]' -S train.channels_last=false`.
"""


class Row(NamedTuple):
    """One key: where it stands, for which ``kind`` (or empty), what it may hold and what it does."""

    key: str
    kind: str
    allowed: str
    description: str


def rows() -> list[Row]:
    """Every key that ``params.yaml`` can hold, in the schema's order; kinds that share a key share its row."""
    found: dict[tuple[str, str, str], dict[str, None]] = {}
    for row in _rows():
        found.setdefault((row.key, row.allowed, row.description), {})[row.kind] = None
    return [Row(key, ", ".join(kinds), allowed, text) for (key, allowed, text), kinds in found.items()]


def _rows() -> Iterator[Row]:
    for key, kind, info, sections in schema.walk():
        text = info.description or ""
        listed = schema.is_list(info.annotation)
        if listed or not sections:
            yield Row(key, kind, schema.allowed(info), text)
        if sections and "" not in sections:
            kinds = ", ".join(f"`{tag}`" for tag in sections)
            yield Row(f"{key}[].kind" if listed else f"{key}.kind", kind, kinds, text)


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
