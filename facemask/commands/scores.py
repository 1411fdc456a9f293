"""The summary that a run ends with: how good the model is, and where to look next."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, Final

from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from facemask.records import left_out
from facemask.runtime import files
from facemask.runtime.errors import UserError
from facemask.scoring import metrics

NEXT: Final = "next: dvc exp run -S train.age_cut=58 changes one thing, dvc metrics diff tells what it did"
WIDTH: Final = 100
DETAILS: Final = Path("data/evaluate/details.json")
ANSWERS: Final = Path("data/infer/about.json")
COUNTS: Final = Path("data/fix_labels/about/counts.json")
# Where the stages keep what they left out, in the order of the pipeline.
LEFT_OUT: Final = (
    Path("data/synthesise"),
    *(
        Path("data") / stage / "about"
        for stage in ("fix_labels", "face_crop", "background_removal", "build_manifest")
    ),
    Path("data/infer"),
)


def render(changed: Sequence[str] = ()) -> str:
    """Lay out the scores of the last run, as the stages left them below the current folder.

    Parameters
    ----------
    changed
        Stages that would run again: the scores are older than the workspace.

    Returns
    -------
    str
        One row a score; one column for out-of-fold people and, where there are any, one each for hold-out
        people and for eval photos whose answers are known; above it, what each stage left out of what it was given;
        below it, what to beware of and where to look next. In colour and folded to its width where standard output is
        a terminal, plain elsewhere.

    Raises
    ------
    UserError
        If a stage's file is missing or is not what the stage writes.
    """
    details, answers = _read(DETAILS, "evaluate"), _read(ANSWERS, "infer")
    if not isinstance(details.get("oof"), dict):
        raise UserError(f"{DETAILS}: no scores under 'oof'; run `dvc repro evaluate`")
    console = Console(highlight=False)
    if not console.is_terminal:
        # There is no width to fit into; folding the table to a guessed one would only make it hard to read.
        console = Console(highlight=False, width=WIDTH)
    with console.capture() as captured:
        for line in _left_out():
            console.print(Text(line, "yellow"), soft_wrap=True)
        console.print(_table(details, answers))
        for line in _warnings(details, changed):
            console.print(Text(line, "yellow"), soft_wrap=True)
        console.print(Text(NEXT, "dim"), soft_wrap=True)
    # The table fills its lines up with blanks.
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def changed_stages() -> list[str]:
    """Stages that `dvc repro` would run, but for those that follow from them.

    Raises
    ------
    UserError
        If DVC cannot tell, such as during a run.
    """
    # DVC takes a second to import.
    from dvc.exceptions import DvcException
    from dvc.lock import LockError
    from dvc.repo import Repo

    try:
        with Repo() as repo:
            return sorted(repo.status())
    except LockError:
        raise UserError("a run is under way: ask again when it has ended") from None
    except DvcException as error:
        raise UserError(f"dvc status: {' '.join(str(error).split())}") from None


def _table(details: Mapping[str, Any], answers: Mapping[str, Any]) -> Table:
    columns = {"out-of-fold": details["oof"]}
    if "consensus" in details:
        columns["the same, shared"] = details["consensus"]["oof"]
    if "holdout" in details:
        columns["hold-out"] = details["holdout"]
    if answers.get("macro_f1") is not None:
        columns["eval"] = answers
    counts = _read(COUNTS, "fix_labels")
    try:
        title = f"Data set {counts['dataset']!r}, {counts['people']:,} labelled people; official age bands"
    except KeyError as error:
        raise UserError(f"{COUNTS}: no {error}; run `dvc repro -f fix_labels`") from None
    level = details.get("confidence")
    table = Table(box=box.SIMPLE_HEAD, title=title, title_justify="left")
    if level and _has_limits(columns):
        table.caption = f"a-b: {100 * level:g}% interval, bootstrap over people"
        table.caption_justify = "left"
    table.add_column("", overflow="fold")
    for name, scores in columns.items():
        heading = Text.assemble((name, "bold"), (f"\n{_size(scores)}", "not bold dim"))
        table.add_column(heading, justify="right", overflow="fold")
    for key, label in metrics.LABELS.items():
        style = "bold" if key == "macro_f1" else ""
        table.add_row(Text(label, style), *(_cell(scores, key, style) for scores in columns.values()))
    return table


def _left_out() -> Iterator[str]:
    """Yield the last line of each stage that did not use all it was given."""
    for folder in LEFT_OUT:
        path = folder / left_out.NAME
        lines = path.read_text(encoding="utf-8", errors="replace").splitlines() if path.is_file() else []
        yield from (line for line in lines if left_out.found(line))


def _warnings(details: Mapping[str, Any], changed: Sequence[str]) -> Iterator[str]:
    if changed:
        yield f"the workspace is newer than these scores ({', '.join(changed)} changed): run `dvc repro`"
    shared = details.get("consensus", {})
    if shared:
        agrees = shared["groups"]["oof"]["adjusted_rand"]
        yield (
            "eval photos were used: those of one face share their answers (infer.consensus); the second column does so "
            f"with each fold's photos, grouped as blindly (adjusted Rand {agrees:.2f})"
        )
    if shared.get("networks_used_eval_photos", details.get("eval_photos_used")):
        yield "a network learnt from the eval photos (train.pool)"
    people = details["oof"].get("people_of_class", {})
    if few := sorted((count, name) for name, count in people.items() if count < metrics.FEW):
        count, name = few[0]
        yield (
            f"{len(few)} of {len(people)} classes have fewer than {metrics.FEW} people out-of-fold "
            f"(fewest: {name}, {count}): each of them moves macro-F1"
        )


def _read(path: Path, stage: str) -> dict[str, Any]:
    return files.read_json(path, f"run `dvc repro {stage}` or `make repro`")


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
