"""Hash the objects in DVC's cache again: DVC believes their names, and would check out a flipped bit."""

from __future__ import annotations

import hashlib
import re
from pathlib import Path
from typing import Final

from facemask.runtime import progress
from facemask.runtime.errors import UserError

_NAME: Final = re.compile(r"[0-9a-f]{30}(\.dir)?")


def verify(project: Path) -> str:
    """Remove every object that is not, bit for bit, what its name says.

    What is missing DVC makes anew, or fetches: a stage one of whose outputs is not in the cache is not up to date.

    Returns
    -------
    str
        How many objects there are, and how many were damaged.

    Raises
    ------
    UserError
        If this is no DVC project.
    """
    # DVC takes a second to import.
    from dvc.exceptions import NotDvcRepoError
    from dvc.repo import Repo

    try:
        with Repo(str(project)) as repo:
            cache = Path(repo.cache.local.path)
    except NotDvcRepoError:
        raise UserError(f"{project.absolute()}: no DVC project; run from the project's folder") from None
    objects = [path for path in sorted(cache.glob("??/*")) if _NAME.fullmatch(path.name)]
    damaged = [
        path
        for path in progress.track(objects, total=len(objects), label="objects hashed")
        if not _whole(path)
    ]
    for path in damaged:
        path.unlink(missing_ok=True)
    if not damaged:
        return f"{cache}: {len(objects)} objects, all whole"
    return (
        f"{cache}: of {len(objects)} objects {len(damaged)} damaged, removed; `dvc repro` makes them anew, or "
        "`dvc fetch` brings them from a remote"
    )


def _whole(path: Path) -> bool:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "md5").hexdigest() == path.parent.name + path.stem
