"""Answer photos on the command line: a table, lines of JSON or CSV, and pictures with box and answer."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from facemask.runtime import progress
from facemask.serving import answers, drawing, inputs
from facemask.serving.answers import Answer
from facemask.serving.loading import load

Form = Literal["table", "json", "csv"]
_WIDTH = 120
# Fewer photos than this are answered before a bar has been read.
_MANY = 32
_FOUND = {"found": "found", "fixed": "fixed box", "frame": "no face: middle of the photo"}


@dataclass(frozen=True)
class Asked:
    """What is to be answered, by which model, and how it is told.

    Attributes
    ----------
    photos
        Files, folders or ``-``, see :func:`facemask.serving.inputs.expand`.
    model, revision
        See :func:`facemask.serving.loading.load`.
    every
        Whether all faces of a photo are answered.
    form
        How answers are printed.
    save
        Folder for pictures with box and answer, or None.
    """

    photos: Sequence[str]
    model: Path
    revision: str
    every: bool
    form: Form
    save: Path | None


def run(asked: Asked, tell: Callable[[str], None]) -> str:
    """Answer photos.

    Parameters
    ----------
    tell
        Gets line after line of what is asked for.

    Returns
    -------
    str
        What could not be read, in a line; empty if all could.

    Raises
    ------
    UserError
        If there is no photo, or no model.
    """
    photos = inputs.expand(asked.photos)
    model = load(asked.model, asked.revision)
    parts: Iterable[list[Answer]] = model.stream(photos, faces="all" if asked.every else "one")
    if len(photos) >= _MANY:
        parts = progress.track(parts, total=len(photos), label="photos answered", size=_photos)
    said: Iterable[Answer] = (one for part in parts for one in part)
    if asked.save is not None:
        said = drawing.saved(said, photos, asked.save)
    unreadable = sum(one.status == answers.UNREADABLE for one in _told(said, asked.form, tell))
    return f"{unreadable} of {len(photos)} photos could not be read" if unreadable else ""


def _photos(part: Sequence[Answer]) -> int:
    return len({one.file for one in part})


def _told(said: Iterable[Answer], form: Form, tell: Callable[[str], None]) -> Iterator[Answer]:
    """Yield answers as they are told: lines one by one, a table at the end."""
    rows: list[Answer] = []
    for one in said:
        match form:
            case "json":
                tell(json.dumps(one.plain(), ensure_ascii=False))
            case "csv":
                frame = answers.table([one])
                tell(frame.to_csv(index=False, header=not rows, float_format="%.6g").rstrip("\n"))
                rows = [one]
            case "table":
                rows.append(one)
        yield one
    if form == "table":
        tell(_table(rows))


def _table(rows: Sequence[Answer]) -> str:
    console = Console(highlight=False)
    if not console.is_terminal:
        # There is no width to fit into, and a file name that is folded cannot be copied.
        console = Console(
            highlight=False, width=max([_WIDTH, *(len(one.file + one.reason) + 100 for one in rows)])
        )
    table = Table(box=box.SIMPLE_HEAD)
    for name in ("photo", "mask", "gender", "age", "face"):
        table.add_column(name, overflow="fold")
    for one in rows:
        file = one.file if one.count < 2 or one.number == 0 else ""
        said = [Text.assemble(value, (f" {p:.0%}", "dim")) for value, p in one.attributes().values()]
        if not said:
            table.add_row(Text(file), Text(one.reason, "yellow"), "", "", Text("unreadable", "yellow"))
            continue
        table.add_row(Text(file), *said, _how(one))
    with console.capture() as captured:
        console.print(table)
    return "\n".join(line.rstrip() for line in captured.get().splitlines()).strip("\n")


def _how(one: Answer) -> Text:
    words = _FOUND.get(one.status, one.status)
    if one.count > 1:
        words += f", {one.number + 1} of {one.count}"
    return Text(words, "" if one.status in ("found", "fixed") else "yellow")
