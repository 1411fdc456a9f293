"""Revisions of this repository, read through DVC and never checked out.

Whatever is read comes from DVC's cache of the main checkout (``DVC_ROOT``), which experiments in temporary folders
share. A name is resolved once, to a commit; whoever needs more of the same revision later asks by that commit.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Final

import pandas as pd

from facemask.records import revisions, tables
from facemask.runtime import files
from facemask.runtime.errors import UserError
from facemask.scoring import predictions

# What decides results and is in git.
SOURCES: Final = ("params.yaml", "dvc.yaml", "facemask", "stages")


@dataclass(frozen=True)
class Member:
    """A revision: the name it was asked for by, and the commit that the name meant."""

    name: str
    commit: str


def root() -> str:
    """Folder of the main checkout."""
    return os.environ.get("DVC_ROOT") or "."


def resolve(names: Sequence[str], asked: str) -> tuple[Member, ...]:
    """Find the commit that each name of an experiment, branch, tag or commit means now.

    Parameters
    ----------
    asked
        Who names them, such as ``combine.members``: the beginning of errors.

    Raises
    ------
    UserError
        If a name means nothing here, or two mean the same commit.
    """
    if not names:
        return ()
    # Here and below: DVC takes a third of a second to import, and most runs have no members.
    from dvc.exceptions import DvcException
    from dvc.repo import Repo
    from dvc.scm import RevError, resolve_rev

    found: dict[str, str] = {}
    try:
        with Repo(root()) as repo:
            for name in names:
                commit = resolve_rev(repo.scm, name)
                if commit in found:
                    raise UserError(
                        f"{asked}: {found[commit]} and {name} are the same commit {commit[:7]}; name one"
                    )
                found[commit] = name
    except RevError as error:
        raise UserError(f"{asked}: {error}; `dvc exp show` lists the experiments") from None
    except DvcException as error:
        raise UserError(f"{asked}: {error}; experiments are read from a DVC repository") from None
    return tuple(Member(name, commit) for commit, name in found.items())


def cached(md5: str) -> Path | None:
    """Find a file of any revision in DVC's cache by its MD5; None where it is not there."""
    from dvc.exceptions import DvcException
    from dvc.repo import Repo

    try:
        with Repo(root()) as repo:
            path = Path(repo.cache.local.oid_to_path(md5))
    except DvcException:
        return None
    return path if path.is_file() else None


def revision() -> str:
    """Return the commit that is checked out, with a + where params, stages or rooms differ from it; - without git."""
    told = []
    for command in (["rev-parse", "--short=7", "HEAD"], ["status", "--porcelain", "--", *SOURCES]):
        done = subprocess.run(["git", *command], capture_output=True, text=True, check=False)
        if done.returncode:
            return "-"
        told.append(done.stdout.strip())
    return told[0] + ("+" if told[1] else "")


@contextlib.contextmanager
def fetched(member: Member, paths: Sequence[PurePosixPath], stage: str, asked: str) -> Iterator[list[Path]]:
    """Copy files of a revision out of DVC's cache, or of git, to a temporary folder.

    Parameters
    ----------
    stage
        Writes the files.
    asked
        As for :func:`resolve`.

    Raises
    ------
    UserError
        If one cannot be had: says what to do.
    """
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    where = f"{asked}: {member.name} ({member.commit[:7]})"
    with files.scratch("member") as folder:
        copies = [folder / path.name for path in paths]
        read_file = revisions.opened(Path(root()), member.commit)
        for path, copy in zip(paths, copies, strict=True):
            lost = (
                f"{where}: {path} is not in DVC's cache; where a remote has it, `dvc exp pull REMOTE {member.name}` "
                "(an experiment) or `dvc fetch --all-commits` (a commit) brings it, else run it anew"
            )
            try:
                copy.write_bytes(read_file(path))
            except DataIndexDirError:
                raise UserError(lost) from None
            except FileNotFoundError as error:
                if "storage" in str(error):
                    raise UserError(lost) from None
                told = f"it has no {path}; stage {stage} writes it: run that experiment anew"
                raise UserError(f"{where}: {told}") from None
            except DvcException as error:
                raise UserError(f"{where}: {path} cannot be read: {' '.join(str(error).split())}") from None
        yield copies


def read(member: Member, path: Path, schema: tables.Schema, asked: str) -> pd.DataFrame:
    """Read a table of probabilities that :func:`fetched` copied.

    Raises
    ------
    UserError
        If it is damaged.
    """
    try:
        table = tables.read(path, schema)
    except UserError as error:
        raise UserError(
            f"{asked}: {member.name}: {str(error).replace(f'{path.parent}{os.sep}', '')}"
        ) from None
    if not predictions.sound(table[predictions.COLUMNS].to_numpy()).all():
        raise UserError(f"{asked}: {member.name}: {path.name}: a row is no probabilities that sum to 1")
    return table
