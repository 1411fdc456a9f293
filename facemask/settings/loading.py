"""Read ``params.yaml`` into :class:`facemask.settings.params.Params`; every mistake is told by its full key."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from pydantic.fields import FieldInfo
from pydantic_core import ErrorDetails
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError

from facemask.runtime.errors import UserError
from facemask.settings import params, schema

# DVC takes these keys, at any depth of a param, for facts about files and leaves them out when it looks for an earlier
# run with the same params (dvc/stage/cache.py).
UNSEEN: Final = frozenset({"size", "nfiles"})
# Such keys that dvc.yaml lists one by one, which DVC then sees under their full name.
SEEN: Final = frozenset({"face_crop.size", "train.image.size"})


def load(path: Path) -> params.Params:
    """Read and check the whole file.

    Raises
    ------
    UserError
        As for :func:`read`, or if the file does not match the schema: the line names every offending key, what is
        allowed there and the nearest match.
    """
    return parse(read(path)[1], str(path))


def read(path: Path) -> tuple[str, Any]:
    """Return a YAML file's text and its content, read as DVC reads it (YAML 1.2: 3e-05 is a number, yes is text).

    Raises
    ------
    UserError
        If the file is missing, is not UTF-8 or not YAML, or holds a key twice in one section: the line says where.
    """
    try:
        text = path.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run from the project's folder") from None
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from None
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: not UTF-8 (byte {error.start}); save it as UTF-8") from None
    return text, decode(text, str(path))


def decode(text: str, origin: str) -> Any:
    """Return the content of YAML text; ``origin`` is named in errors.

    Raises
    ------
    UserError
        If it is not YAML or holds a key twice in one section.
    """
    try:
        return YAML(typ="safe").load(text)
    except DuplicateKeyError as error:
        line, key = error.problem_mark.line + 1, error.problem.split('"')[1]
        raise UserError(f"{origin}: line {line}: {key} stands twice in its section; keep one") from None
    # A date or number that only looks like one is a ValueError.
    except (YAMLError, ValueError) as error:
        told = " ".join(str(error).replace('in "<unicode string>", line', "at line").split())
        raise UserError(f"{origin}: not valid YAML: {told}") from None
    except RecursionError:
        raise UserError(f"{origin}: nested too deeply; is a bracket left open?") from None


def parse(content: Any, origin: str) -> params.Params:
    """Check parsed YAML; ``origin`` is named in errors.

    Raises
    ------
    UserError
        As for :func:`load`.
    """
    try:
        text = json.dumps(content)
    except TypeError:
        raise UserError(
            f"{origin}: only text, numbers, lists and keys are allowed (is there a date or a set?)"
        ) from None
    except ValueError:
        raise UserError(
            f"{origin}: an alias (*name) stands inside what it names (&name); write its values out"
        ) from None
    try:
        # JSON mode lets YAML lists stand for tuples while everything else stays strict.
        whole = params.Params.model_validate_json(text)
    except ValidationError as error:
        known = error.errors(include_url=False)
        raise UserError(
            f"{origin}: " + "; ".join(dict.fromkeys(_explain(one, known) for one in known))
        ) from None
    if hidden := sorted(set(_hidden(content, "")) - SEEN):
        raise UserError(
            f"{origin}: {hidden[0]}: DVC's run cache does not look at keys of this name, so that a change would "
            "bring back old results; leave it out (a transform's size is train.image.size)"
        )
    return whole


def _hidden(content: Any, prefix: str) -> Iterator[str]:
    """Full names of the keys that DVC leaves out when it looks for an earlier run with the same params."""
    parts = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for key, inner in parts:
        if key in UNSEEN:
            yield f"{prefix}{key}"
        yield from _hidden(inner, f"{prefix}{key}.")


def _explain(error: ErrorDetails, others: list[ErrorDetails]) -> str:
    key, around, here = _locate(error["loc"])
    name = ".".join(key)
    allowed = sorted({field for section in around.values() for field in section.model_fields})
    if error["type"] == "extra_forbidden":
        near = difflib.get_close_matches(key[-1], allowed, n=1)
        hint = f"did you mean {'.'.join([*key[:-1], near[0]])}? " if near else ""
        home = "" if near else _elsewhere(key[-1], name)
        return f"{name}: unknown key; {hint}{home}(known here: {', '.join(allowed)})"
    if error["type"] == "missing":
        strays = [_locate(other["loc"])[0] for other in others if other["type"] == "extra_forbidden"]
        near = difflib.get_close_matches(key[-1], [s[-1] for s in strays if s[:-1] == key[:-1]], n=1)
        if near:
            return f"{name}: missing ({near[0]!r} stands there instead)"
        fields = [one.model_fields[key[-1]] for one in around.values() if key[-1] in one.model_fields]
        return "; ".join(_missing(name, field) for field in fields) or f"{name}: missing"
    if error["type"] == "union_tag_invalid":
        context = error["ctx"]
        tags = [tag.strip("' ") for tag in context["expected_tags"].split(",")]
        near = difflib.get_close_matches(context["tag"], tags, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        return f"{name}.kind: {context['tag']!r} is not one of {', '.join(tags)}{hint}"
    if error["type"] == "dict_type" and len(here) > 1:
        return f"{name}: a mapping with kind is wanted, one of {', '.join(here)}"
    if error["type"] == "union_tag_not_found":
        return f"{name}.kind: missing"
    message = error["msg"].removeprefix("Value error, ")
    return f"{name}: {message[:1].lower()}{message[1:]}" if name else message


def _missing(name: str, field: FieldInfo) -> str:
    """Tell what belongs to a missing key, and of a section inside another to each of its keys."""
    inner = schema.sections(field.annotation)
    if "" in inner and "." in name:
        return "; ".join(_missing(f"{name}.{key}", knob) for key, knob in inner[""].model_fields.items())
    told = [schema.allowed(field).replace("`", ""), *([field.description] if field.description else [])]
    return f"{name}: missing ({'; '.join(told)})"


def _locate(loc: tuple[int | str, ...]) -> tuple[list[str], schema.Sections, schema.Sections]:
    """An error's key, without the kinds that pydantic puts into it; the sections it stands in, and what it may hold."""
    key: list[str] = []
    around: schema.Sections = {}
    here: schema.Sections = {"": params.Params}
    for part in loc:
        if isinstance(part, str) and part in here:
            here = {"": here[part]}
            continue
        key.append(str(part))
        if isinstance(part, str):
            around = here
            fields = [one.model_fields[part] for one in around.values() if part in one.model_fields]
            here = {tag: one for field in fields for tag, one in schema.sections(field.annotation).items()}
    return key, around, here


def _elsewhere(key: str, name: str) -> str:
    """Where else in the schema a misplaced key belongs."""
    homes = [
        field.key for field in schema.walk() if field.key.rsplit(".", 1)[-1] == key and field.key != name
    ]
    return f"it belongs to {homes[0]} " if homes else ""
