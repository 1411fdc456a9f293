"""Files of a project as they were at a revision: out of git and DVC's cache, nothing is checked out."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path, PurePath, PurePosixPath


def opened(root: Path, revision: str) -> Callable[[PurePath], bytes]:
    """Return what reads the project in ``root``, which may be a sub-folder of a repository, at ``revision``.

    It takes a path below ``root`` and raises what DVC does: FileNotFoundError, DataIndexDirError, DvcException.
    """
    # DVC takes a second to import.
    from dvc.api import DVCFileSystem
    from dvc.repo import Repo

    with Repo(str(root)) as repo:
        below = PurePosixPath(Path(repo.root_dir).relative_to(repo.scm.root_dir).as_posix())
    # At a revision DVC's tree begins at git's root, and holds another project than that one only if asked to.
    system = DVCFileSystem(repo=str(root), rev=revision, subrepos=below != PurePosixPath())

    def read(path: PurePath) -> bytes:
        content: bytes = system.read_bytes((below / path.as_posix()).as_posix())
        return content

    return read
