"""The summary that a run ends with: how good the model is, and where to look next."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from facemask.runtime.errors import UserError

ROWS: Final = {
    "macro_f1": "18-class macro-F1",
    "accuracy": "18-class accuracy",
    "mask_macro_f1": "mask macro-F1",
    "gender_macro_f1": "gender macro-F1",
    "age_macro_f1": "age macro-F1",
    "ece": "calibration error",
}
NEXT: Final = "next: dvc exp run -S train.age_cut=58 changes one thing, dvc metrics diff tells what it did"
WIDTH: Final = 100


def render(metrics: Path) -> str:
    """Lay out the scores of ``evaluate.json`` and, where it has any, of ``infer.json``.

    Parameters
    ----------
    metrics
        Folder of the metrics files.

    Returns
    -------
    str
        One row a score; one column for out-of-fold people and, where there are any, one each for hold-out
        people and for eval photos whose answers are known; below it, where to look next. In colour and folded
        to its width where standard output is a terminal, plain elsewhere.

    Raises
    ------
    UserError
        If ``evaluate.json`` is missing or is not what the evaluate stage writes.
    """
    table = _table(metrics)
    console = Console(highlight=False)
    if not console.is_terminal:
        # There is no width to fit into; folding the table to a guessed one would only make it hard to read.
        console = Console(highlight=False, width=WIDTH)
    with console.capture() as captured:
        console.print(table)
        console.print(Text(NEXT, "dim"), soft_wrap=True)
    # The table fills its lines up with blanks.
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def _table(metrics: Path) -> Table:
    evaluated = _read(metrics / "evaluate.json")
    if not isinstance(evaluated.get("oof"), dict):
        raise UserError(f"{metrics / 'evaluate.json'}: no scores under 'oof'; run `dvc repro evaluate`")
    columns = {"out-of-fold": evaluated["oof"]}
    if "holdout" in evaluated:
        columns["hold-out"] = evaluated["holdout"]
    answers = metrics / "infer.json"
    inferred = _read(answers) if answers.exists() else {}
    if inferred.get("macro_f1") is not None:
        columns["eval"] = inferred
    level = evaluated.get("confidence")
    table = Table(box=box.SIMPLE_HEAD, title="Scores on the official age bands", title_justify="left")
    if level and _has_limits(columns):
        table.caption = f"a-b: {100 * level:g}% interval, bootstrap over people"
        table.caption_justify = "left"
    table.add_column("", overflow="fold")
    for name, scores in columns.items():
        heading = Text.assemble((name, "bold"), (f"\n{_size(scores)}", "not bold dim"))
        table.add_column(heading, justify="right", overflow="fold")
    for key, label in ROWS.items():
        style = "bold" if key == "macro_f1" else ""
        table.add_row(Text(label, style), *(_cell(scores, key, style) for scores in columns.values()))
    return table


def _read(path: Path) -> dict[str, Any]:
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro` or `make repro`") from None
    except json.JSONDecodeError as error:
        raise UserError(f"{path}: not JSON ({error}); run `dvc repro`") from None
    if not isinstance(content, dict):
        raise UserError(f"{path}: a JSON object is wanted; run `dvc repro`")
    return content


def _has_limits(columns: Mapping[str, Mapping[str, Any]]) -> bool:
    return any(scores.get("macro_f1_low") is not None for scores in columns.values())


def _size(scores: Mapping[str, Any]) -> str:
    photos = scores.get("scored", scores.get("photos"))
    parts = [
        f"{scores['people']:,} people" if "people" in scores else "",
        f"{photos:,} photos" if photos else "",
    ]
    return "\n".join(part for part in parts if part)


def _cell(scores: Mapping[str, Any], key: str, style: str) -> Text:
    """One score, and its limits where there are any."""
    value, low, high = scores.get(key), scores.get(f"{key}_low"), scores.get(f"{key}_high")
    if value is None:
        return Text("-", "dim")
    limits = "" if low is None or high is None else f" {low:.3f}-{high:.3f}"
    return Text.assemble((f"{value:.3f}", style), (limits, "dim"))
