"""Tell what is wrong with params: each mistake by its full key, with what is allowed there and what to type."""

from __future__ import annotations

import copy
import difflib
import functools
import itertools
import operator
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails

from facemask.settings import command_lines, config, params, schema

_MOST: Final = 8


class Mistake(NamedTuple):
    """One of pydantic's errors and where in the schema it is.

    Attributes
    ----------
    error
        Pydantic's own.
    key
        Where it is, without the kinds that pydantic puts into the location; items of lists by their number.
    section
        The config class in which the last name of ``key`` stands, if there is one.
    kind, kinds
        If that class is a kind of a choice: which one, and all of that choice.
    field
        The last name's field, if the schema has it.
    """

    error: ErrorDetails
    key: list[str]
    section: type[config.Config] | None
    kind: str
    kinds: schema.Sections
    field: FieldInfo | None

    @property
    def name(self) -> str:
        """The full key as text."""
        return ".".join(self.key)

    @property
    def choice(self) -> str:
        """The full key of the section that the key stands in."""
        return ".".join(self.key[:-1])


def tell(errors: Sequence[ErrorDetails], content: Any) -> str:
    """Mistakes in one line, the first of many; ``content`` is what was checked."""
    found = [_locate(error) for error in errors]
    lines = list(dict.fromkeys(line for one in found if (line := _explain(one, found, content))))
    more = len(lines) - _MOST
    return "; ".join(lines[:_MOST]) + (f"; and {more} more (was the file cut short?)" if more > 0 else "")


def _locate(error: ErrorDetails) -> Mistake:
    key: list[str] = []
    here: schema.Sections = {"": params.Params}
    kind, kinds = "", schema.Sections()
    found = Mistake(error, key, None, kind, kinds, None)
    for part in error["loc"]:
        if isinstance(part, str) and part in here:
            kind, kinds, here = part, here, {"": here[part]}
            continue
        key.append(str(part))
        if isinstance(part, str):
            section = here.get("")
            field = section.model_fields.get(part) if section else None
            found = Mistake(error, key, section, kind, kinds, field)
            kind, kinds, here = "", {}, schema.sections(field.annotation) if field else {}
    return found


def _explain(one: Mistake, found: Sequence[Mistake], content: Any) -> str:
    error, name = one.error, one.name
    match error["type"]:
        case "missing":
            return _left_over(one, found) or _missing(one, found)
        case "extra_forbidden":
            return _left_over(one, found) or _unknown(one)
        case "union_tag_invalid":
            tag, tags = error["ctx"]["tag"], error["ctx"]["expected_tags"].replace("'", "")
            near = difflib.get_close_matches(tag, tags.split(", "), n=1)
            return f"{name}.kind: {tag!r} is not one of {tags}" + (
                f"; did you mean {near[0]}?" if near else ""
            )
        case "union_tag_not_found":
            return f"{name}.kind: missing"
        # Pydantic counts after it has dropped the items that are wrong, which are told themselves.
        case "too_short" if len(error["input"]) > error["ctx"]["actual_length"]:
            return ""
    message = error["msg"].removeprefix("Value error, ")
    plain = f"{message[:1].lower()}{message[1:]}"
    return _of_another_form(one, found, content) or (f"{name}: {plain}" if name else plain)


def _left_over(one: Mistake, found: Sequence[Mistake]) -> str:
    """A kind that lacks knobs and has another's, as ``-S KEY.kind=...`` alone leaves it; empty for other mistakes."""
    strays = [other.key[-1] for other in _beside(one, found, "extra_forbidden") if _owners(other)]
    missing = _beside(one, found, "missing")
    if not strays or not missing or (one not in missing and one.key[-1] not in strays):
        return ""
    needs = " and ".join(
        f"{knob} ({_what(field)})" for other in missing for knob, field in _leaves(other).items()
    )
    left = f"{' and '.join(strays)} {'is' if len(strays) == 1 else 'are'} left over from another kind"
    return f"{one.choice}: kind {one.kind} needs {needs}, and {left}; type {_set(one, missing)}"


def _beside(one: Mistake, found: Sequence[Mistake], error: str) -> list[Mistake]:
    """Mistakes of one sort in the same section."""
    return [other for other in found if other.choice == one.choice and other.error["type"] == error]


def _set(one: Mistake, missing: Sequence[Mistake] = ()) -> str:
    """The command that sets the kind in which a mistake stands anew, with the knobs that are missing."""
    values = command_lines.examples(one.choice, one.kind)[one.choice]
    knobs = {knob: values[knob] for knob in ("kind", *(other.key[-1] for other in missing))}
    return command_lines.by_set({one.choice: knobs})


def _owners(one: Mistake) -> list[str]:
    """The kinds whose knob an unknown key is; none inside lists, which are written whole."""
    if any(part.isdigit() for part in one.key):
        return []
    return [kind for kind, section in one.kinds.items() if one.key[-1] in section.model_fields]


def _unknown(one: Mistake) -> str:
    allowed = sorted(one.section.model_fields) if one.section else []
    known = f"(known here: {', '.join(allowed)})"
    if owners := _owners(one):
        typed = _set(one)
        knob = f"a knob of kind {', '.join(owners)}, not of {one.kind}"
        return f"{one.name}: unknown key; {knob} {known}; to drop it, type {typed}"
    if near := difflib.get_close_matches(one.key[-1], allowed, n=1):
        return f"{one.name}: unknown key; did you mean {'.'.join([*one.key[:-1], near[0]])}? {known}"
    homes = [key for key, *_ in schema.walk() if key.rsplit(".", 1)[-1] == one.key[-1] and key != one.name]
    return f"{one.name}: unknown key; " + (f"it belongs to {homes[0]} " if homes else "") + known


def _missing(one: Mistake, found: Sequence[Mistake]) -> str:
    strays = [other.key[-1] for other in _beside(one, found, "extra_forbidden")]
    if near := difflib.get_close_matches(one.key[-1], strays, n=1):
        return f"{one.name}: missing ({near[0]!r} stands there instead)"
    told = [
        f"{'.'.join([*one.key[:-1], knob])}: missing ({_what(field)})" for knob, field in _leaves(one).items()
    ]
    beside = _beside(one, found, "missing")
    if one.kind and one is beside[-1] and not any(part.isdigit() for part in one.key):
        told.append(f"type {_set(one, beside)}")
    return "; ".join(told) or f"{one.name}: missing"


def _leaves(one: Mistake) -> dict[str, FieldInfo]:
    """The last name of a missing key; of a section inside another, the names in it; none for an item of a list."""
    if one.field is None or one.key[-1].isdigit():
        return {}
    inner = schema.sections(one.field.annotation)
    if "" in inner and one.choice:
        return {f"{one.key[-1]}.{name}": field for name, field in inner[""].model_fields.items()}
    return {one.key[-1]: one.field}


def _what(field: FieldInfo) -> str:
    """What a value may be, and what it does."""
    return "; ".join(filter(None, (schema.allowed(field).replace("`", ""), field.description)))


def _of_another_form(one: Mistake, found: Sequence[Mistake], content: Any) -> str:
    """A kind given as text, or text that YAML takes for a number: what to type for it; empty for other mistakes."""
    meant = _meant(one)
    if meant is None:
        return ""
    words, value = meant
    key = list(itertools.takewhile(lambda part: not part.isdigit(), one.key))
    name = ".".join(key)
    if key != one.key:
        # A list is written whole, with all that is wrong in it put right.
        value = copy.deepcopy(functools.reduce(operator.getitem, key, content))
        for other in found:
            if other.key[: len(key)] == key and (right := _meant(other)):
                *parents, last = (int(part) if part.isdigit() else part for part in other.key[len(key) :])
                functools.reduce(operator.getitem, parents, value)[last] = right[1]
    changes = command_lines.examples(name, value["kind"]) if isinstance(value, dict) else {name: value}
    return f"{name}: {words}; type {command_lines.by_set(changes)} or {command_lines.by_dvc(changes)}"


def _meant(one: Mistake) -> tuple[str, Any] | None:
    """What is wanted in place of a value of another form, in words and as a value."""
    kind, given = one.error["type"], one.error["input"]
    kinds = schema.sections(one.field.annotation) if one.field else {}
    if kind == "dict_type" and kinds:
        near = [*difflib.get_close_matches(str(given), kinds, n=1), *kinds][0]
        words = f"a choice of kinds ({', '.join(kinds)}), each a mapping with its knobs"
        return words, command_lines.example(kinds[near])
    if (
        kind == "tuple_type"
        and one.field
        and schema.is_list(one.field.annotation)
        and isinstance(given, (int, str))
    ):
        return "a list is wanted", [command_lines.example(kinds[given]) if given in kinds else given]
    expected = one.error.get("ctx", {}).get("expected", "")
    if type(given) is int and (kind == "string_type" or f"'{given}'" in expected):
        return f"{given} is read as a number, but text is wanted", str(given)
    return None
