"""The page of all params, ``docs/params.md``, out of their schema."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from facemask.settings import command_lines, params, schema

HEAD = """\
# Params

Every knob that can change a result, and `engine`, which cannot, as `params.yaml` spells it; written by `make docs`
from `facemask/settings/params.py` and `facemask/settings/recipes.py`.
No key has a hidden default: all that apply must stand in the file, and nothing else. The values are those of the
shipped file. Plain values on the command line:

```
python -m facemask set train.lr 3e-5 train.folds '[0, 1]'                                # writes params.yaml
dvc exp run -S train.lr=3e-5 -S 'train.folds=[0, 1]' -S 'train.precision="16"'           # runs one experiment
```

A choice has kinds, each with knobs of its own, which stand beside `kind`. For another kind all its knobs are named:

```
python -m facemask set train.loss focal gamma=2
dvc exp run -S '~train.loss' -S '+train.loss={kind: focal, gamma: 2}'
```

The second form of each kind stands below, with example values; files and their SHA-256 are yours to fill in. A choice
inside another, such as `train.head.age`, is there only for the outer kinds that are named with it.
"""


class Entry(NamedTuple):
    """One key: where it stands, for which ``kind`` (or empty), what it may hold and what it does."""

    key: str
    kind: str
    allowed: str
    description: str


def rows() -> list[Entry]:
    """Every key that ``params.yaml`` can hold, in the schema's order; kinds that share a key share its row."""
    found: dict[tuple[str, str, str], dict[str, None]] = {}
    for row in _rows():
        found.setdefault((row.key, row.allowed, row.description), {})[row.kind] = None
    return [Entry(key, ", ".join(kinds), allowed, text) for (key, allowed, text), kinds in found.items()]


def _rows() -> Iterator[Entry]:
    for key, kind, info, sections in schema.walk():
        text = info.description or ""
        listed = schema.is_list(info.annotation)
        if listed or not sections:
            yield Entry(key, kind, schema.allowed(info), text)
        if sections and "" not in sections:
            kinds = ", ".join(f"`{tag}`" for tag in sections)
            yield Entry(f"{key}[].kind" if listed else f"{key}.kind", kind, kinds, text)


def markdown(content: Mapping[str, Any]) -> str:
    """The page: a heading a section and a choice; ``content`` is the parsed ``params.yaml`` whose values are shown."""
    choices: dict[str, list[schema.Field]] = {}
    for field in schema.walk():
        if field.sections and "" not in field.sections:
            name = f"{field.key}[]" if schema.is_list(field.info.annotation) else field.key
            choices.setdefault(name, []).append(field)
    tables: dict[str, list[Entry]] = {}
    for row in rows():
        around = [name for name in choices if row.key.removesuffix(".kind").startswith(f"{name}.")]
        tables.setdefault(max(around, key=len, default=row.key.split(".")[0]), []).append(row)
    lines = HEAD.splitlines()
    for top in params.Params.model_fields:
        lines += ["", f"## {top}", *_knobs(content, tables[top])]
        for name in choices:
            if name.startswith(f"{top}."):
                lines += ["", f"### {name}", *_kinds(choices[name]), *_knobs(content, tables.get(name, []))]
    return "\n".join(lines) + "\n"


def _knobs(content: Mapping[str, Any], table: Iterable[Entry]) -> Iterator[str]:
    head = ["", "| key | allowed | value | what it does |", "|---|---|---|---|"]
    for row in table:
        yield from head
        head = []
        key = f"`{row.key}`" + (f" ({row.kind})" if row.kind else "")
        yield f"| {key} | {row.allowed} | {_value(content, row)} | {row.description} |"


def _kinds(fields: Sequence[schema.Field]) -> Iterator[str]:
    """One row a kind of a choice; ``fields`` are those of its key, one for each kind around it."""
    yield from ("", "| kind | what it is | as one experiment |", "|---|---|---|")
    for kind in dict.fromkeys(kind for field in fields for kind in field.sections):
        having = [field for field in fields if kind in field.sections]
        only = f" ({', '.join(field.kind for field in having)})" if len(having) < len(fields) else ""
        what = (having[0].sections[kind].__doc__ or "").splitlines()[0].replace("``", "`")
        typed = command_lines.by_dvc(command_lines.examples(having[0].key, kind))
        yield f"| {kind}{only} | {what} | `{typed}` |"


def _value(content: Any, row: Entry) -> str:
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
