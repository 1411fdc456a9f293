"""Read ``params.yaml`` into :class:`facemask.settings.params.Params`; every mistake is told by its full key."""

from __future__ import annotations

import json
from collections.abc import Iterator
from math import isfinite
from pathlib import Path
from typing import Any, Final

from pydantic import ValidationError
from ruamel.yaml import YAML
from ruamel.yaml.constructor import DuplicateKeyError
from ruamel.yaml.error import YAMLError
from ruamel.yaml.events import AliasEvent, CollectionEndEvent, CollectionStartEvent

from facemask.runtime.errors import UserError
from facemask.settings import mistakes, params

# DVC takes these keys, at any depth of a param, for facts about files and leaves them out when it looks for an earlier
# run with the same params (dvc/stage/cache.py).
UNSEEN: Final = frozenset({"size", "nfiles"})
# Such keys that dvc.yaml lists one by one, which DVC then sees under their full name.
SEEN: Final = frozenset({"face_crop.size", "train.image.size"})
_DEEPEST: Final = 50


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
        If the file is missing, is not UTF-8 or not YAML, or holds an anchor, or a key twice in one section: the
        line says where.
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
        If it is not YAML, is nested too deeply, or holds an anchor or alias, or a key twice in one section.
    """
    try:
        # Before anything is built of them: nested aliases grow without bound, and `-S` changes what shares a value.
        depth = 0
        for event in YAML(typ="safe").parse(text):
            depth += isinstance(event, CollectionStartEvent) - isinstance(event, CollectionEndEvent)
            if depth > _DEEPEST:
                line = event.start_mark.line + 1
                raise UserError(f"{origin}: line {line}: nested too deeply; is a bracket left open?")
            if name := getattr(event, "anchor", None):
                line, sign = event.start_mark.line + 1, "*" if isinstance(event, AliasEvent) else "&"
                raise UserError(
                    f"{origin}: line {line}: {sign}{name}: anchors (&name) and aliases (*name) are not taken: one edit "
                    "would change two keys; write the values out"
                )
        return YAML(typ="safe").load(text)
    except DuplicateKeyError as error:
        line, key = error.problem_mark.line + 1, error.problem.split('"')[1]
        raise UserError(f"{origin}: line {line}: {key} stands twice in its section; keep one") from None
    # A date or number that only looks like one is a ValueError.
    except (YAMLError, ValueError) as error:
        told = " ".join(str(error).replace('in "<unicode string>", line', "at line").split())
        raise UserError(f"{origin}: not valid YAML: {told}") from None


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
    if endless := [
        key for key, value in _leaves(content, "") if isinstance(value, float) and not isfinite(value)
    ]:
        raise UserError(f"{origin}: {endless[0]}: a finite number is wanted, not .nan or .inf")
    try:
        # JSON mode lets YAML lists stand for tuples while everything else stays strict.
        whole = params.Params.model_validate_json(text)
    except ValidationError as error:
        raise UserError(f"{origin}: {mistakes.tell(error.errors(include_url=False), content)}") from None
    if hidden := sorted({key for key, _ in _leaves(content, "") if key.rpartition(".")[2] in UNSEEN} - SEEN):
        raise UserError(
            f"{origin}: {hidden[0]}: DVC's run cache does not look at keys of this name, so that a change would "
            "bring back old results; leave it out (a transform's size is train.image.size)"
        )
    return whole


def _leaves(content: Any, prefix: str) -> Iterator[tuple[str, Any]]:
    """Full name and value of every key and item, sections and lists included."""
    parts = (
        content.items()
        if isinstance(content, dict)
        else enumerate(content)
        if isinstance(content, list)
        else ()
    )
    for key, inner in parts:
        yield f"{prefix}{key}", inner
        yield from _leaves(inner, f"{prefix}{key}.")
