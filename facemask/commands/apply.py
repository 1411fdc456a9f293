"""Take up an experiment, unless that would overwrite what only the workspace holds."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

from facemask.runtime.errors import UserError

# What an experiment is made of: `dvc exp apply` is there to replace these.
_OF_EXPERIMENTS = ("params.yaml", "dvc.lock", "metrics/")


def apply(name: str) -> str:
    """Do what ``dvc exp apply`` does, if data, label fixes and code are kept somewhere; DVC itself does not ask.

    Returns
    -------
    str
        What params.yaml held besides the last commit, as a unified diff; empty if nothing.

    Raises
    ------
    UserError
        If a tracked file or a folder under ``dvc add`` holds changes that no commit and no cache has, or there is no
        such experiment.
    """
    from dvc.exceptions import DvcException
    from dvc.repo import Repo, lock_repo
    from dvc.scm import RevError, SCMError

    try:
        with Repo() as repo:
            with lock_repo(repo):
                _refuse(repo)
            undone = _git("diff", "HEAD", "--", "params.yaml")
            repo.experiments.apply(name)
    except (DvcException, RevError, SCMError) as error:
        told = " ".join(str(error).split())
        raise UserError(f"{name}: {told}; `dvc exp show` lists the experiments") from None
    return undone


def _refuse(repo: object) -> None:
    for path in changed_files():
        raise UserError(
            f"{path}: holds changes that no commit has and that an experiment would overwrite; `git add -A && git "
            "commit` keeps them, `git stash -u` puts them aside"
        )
    for stage in getattr(repo, "index").stages:  # noqa: B009
        if stage.is_data_source and not stage.frozen and stage.status():
            folder = Path(os.path.relpath(stage.outs[0].fs_path)).as_posix()
            raise UserError(
                f"{folder}: holds changes that DVC has not been given and that an experiment would overwrite; "
                f"`dvc add {folder}` and `git commit` keep them"
            )


def changed_files() -> list[str]:
    """Files that git tracks or would track and that differ from the last commit, but for what experiments change."""
    entries = iter(_git("status", "--porcelain", "-z", "--untracked-files=all").split("\0"))
    found = []
    for entry in entries:
        if entry:
            found.append(entry[3:])
        if entry[:1] in ("R", "C"):
            next(entries)
    return [path for path in found if not path.startswith(_OF_EXPERIMENTS)]


def _git(*arguments: str) -> str:
    done = subprocess.run(["git", *arguments], capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode:
        raise UserError(f"git {arguments[0]}: {done.stderr.strip()}; experiments need a git repository")
    return done.stdout
