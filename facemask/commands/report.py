"""The report page with what git and the clock know: a baseline, the revision, changed params, seconds, the machine."""

from __future__ import annotations

import subprocess
import webbrowser
from pathlib import Path
from typing import Any, Final

from facemask.comparison import comparison, revisions, text
from facemask.report import page
from facemask.runtime import files, launch
from facemask.runtime.errors import UserError
from facemask.settings import loading

PAGE: Final = Path("data/report/report.html")
PARAMS: Final = Path("params.yaml")


def write(out: Path, against: str) -> None:
    """Write the stage's page to ``out``, with the comparison and the run's facts filled in.

    Parameters
    ----------
    against
        Git revision or experiment; one that cannot be compared with is told on the page, with the reason.

    Raises
    ------
    UserError
        If the page is missing or of another version, or params.yaml is not valid.
    """
    try:
        whole = PAGE.read_text(encoding="utf-8")
    except FileNotFoundError:
        raise UserError(f"{PAGE}: no such file; run `dvc repro report`") from None
    found, reason = _compared(against)
    told: dict[str, Any] = {"name": against, "found": found, "reason": reason, "verdict": text.verdict}
    run = told | {"revision": _revision(), "stages": launch.times()}
    fragments = {
        "comparison": page.render("comparison.jinja", told | {"labels": comparison.LABELS}),
        "run": page.render("run.jinja", run),
    }
    with files.replacing(out) as temporary:
        temporary.write_text(page.fill(whole, fragments), encoding="utf-8", newline="\n")


def show(path: Path) -> bool:
    """Open a page where there is a display; tell whether it was opened."""
    try:
        found = webbrowser.get()
    except webbrowser.Error:
        return False
    # A browser of the terminal would take it over.
    return not isinstance(found, webbrowser.GenericBrowser) and found.open(path.resolve().as_uri())


def _compared(against: str) -> tuple[comparison.Comparison | None, str]:
    """Compare the workspace with ``against``; or say why not."""
    cfg = loading.load(PARAMS)
    workspace = revisions.read(revisions.WORKSPACE)
    try:
        return comparison.compare(revisions.read(against), [workspace], cfg.evaluate, seed=cfg.seed), ""
    except UserError as error:
        return None, str(error).removeprefix(f"{revisions.ASKED}: ")


def _revision() -> str:
    """Name of the current commit, and whether the working tree differs from it."""
    commit, state = _git("log", "-1", "--format=%h %s"), _git("status", "--porcelain", "--untracked-files=no")
    return f"{(commit or 'not under git').strip()}{' (with changes that are not committed)' if state else ''}"


def _git(*words: str) -> str | None:
    ended = subprocess.run(["git", *words], capture_output=True, text=True, check=False)
    return ended.stdout if ended.returncode == 0 else None
