"""Search for better params, in experiments of DVC."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

from facemask.comparison import text
from facemask.runtime.errors import UserError
from facemask.search import page, space, study, trials
from facemask.settings import loading

FOLDER = Path("search")


def run(
    path: Path,
    asked: study.Asked,
    tell: Callable[[str], None],
    *,
    params: Path = Path("params.yaml"),
    runner: trials.Runner | None = None,
) -> str:
    """Search the space in the file ``path`` and return what is said in the end.

    Parameters
    ----------
    asked
        An empty name is that of the file.
    tell
        Gets a line a trial.
    runner
        Runs experiments; by default DVC does.

    Raises
    ------
    UserError
        If the space or the params are not valid, or no trial can be run here.
    """
    asked = replace(asked, name=asked.name or path.stem)
    if not re.fullmatch(r"[A-Za-z0-9][\w-]*", asked.name, re.ASCII):
        raise UserError(
            f"search: --name {asked.name!r}: letters, digits, - and _ are wanted: experiments bear it"
        )
    if asked.trials < 0 or asked.workers < 1:
        raise UserError("search: --trials cannot be below 0, --workers not below 1")
    content = loading.read(params)[1]
    whole = loading.parse(content, str(params))
    searched = space.read(path, content)
    folder = FOLDER / asked.name
    if runner is None:
        trials.require(whole.data)
        runner = trials.Dvc(folder / "logs")
    search = study.Search(asked, searched, whole, content, folder=folder, runner=runner, tell=tell)
    found = search.run()
    judged = search.judged()
    if judged is None:
        verdict = "No trial is better than the start."
    else:
        leader = study.best(found)[0]
        verdict = f"{text.render(judged)}\n\ntake it up: python -m facemask apply {leader}"
    page.write(folder / "page.html", found, searched, asked.objective, verdict)
    return f"{verdict}\npage: {folder / 'page.html'}"
