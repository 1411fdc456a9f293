"""Compare revisions, experiments or the workspace: what is printed and written."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Final, Literal

from facemask.commands import scores
from facemask.comparison import comparison, pages, revisions, text
from facemask.runtime import files
from facemask.settings import loading

CROPS: Final = Path("data/face_crop/labelled/crops.zip")


def run(
    first: str,
    second: str | None,
    seeds: Sequence[str],
    *,
    form: Literal["text", "markdown", "json"],
    page: Path | None,
    part: str = revisions.OUT_OF_FOLD,
    params: Path = Path("params.yaml"),
) -> str:
    """Compare two sides and return what is to be printed; resamples, coverage and seed are those of ``params``.

    Parameters
    ----------
    first, second
        Names of revisions or experiments, or ``workspace``; without ``second`` and ``seeds`` it is the workspace.
    seeds
        Further runs of the second side's recipe.
    page
        Where an HTML page is written, None for none.
    part
        Whose answers are compared: a key of :data:`facemask.comparison.revisions.ANSWERS`.

    Raises
    ------
    UserError
        If a side cannot be read or the two have nothing in common.
    """
    whole = loading.load(params)
    names = [second] if second else []
    names += seeds
    sides = [revisions.read(name, part) for name in names or [revisions.WORKSPACE]]
    found = comparison.compare(revisions.read(first, part), sides, whole.evaluate, seed=whole.seed)
    if page is not None:
        with files.replacing(page) as temporary:
            temporary.write_text(pages.page(found, CROPS), encoding="utf-8")
    match form:
        case "markdown":
            return pages.markdown(found).rstrip("\n")
        case "json":
            return json.dumps(found.to_json(), indent=2, ensure_ascii=False, allow_nan=False)
        case "text":
            told = [text.render(found)]
            if revisions.WORKSPACE in (first, *(side.name for side in sides)) and (
                changed := scores.changed_stages()
            ):
                told.append(
                    f"the workspace is newer than its scores ({', '.join(changed)} changed): run `dvc repro`"
                )
            return "\n".join([*told, *([f"page: {page}"] if page else [])])
