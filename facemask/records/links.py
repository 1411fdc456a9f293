"""Symbolic links in a data set: which ones are taken."""

from __future__ import annotations

from pathlib import Path

from facemask.records.names import entries
from facemask.runtime.errors import UserError


def refuse(folder: Path, key: str) -> None:
    """Refuse links below ``folder`` that DVC does not see through, or that lead out of it.

    DVC follows a link to a file and the folder's own name, but no link to a folder below it: photos changed behind
    one would never make anything run. Hidden entries are passed over, as everywhere.

    Parameters
    ----------
    folder
        A data set, or a folder of them; it may be a link itself.
    key
        The key of ``params.yaml`` that names it.

    Raises
    ------
    UserError
        At the first such link.
    """
    if folder.is_dir():
        _walk(folder, folder.resolve(), key)


def _walk(folder: Path, root: Path, key: str) -> None:
    for entry in entries(folder):
        if entry.name.startswith("."):
            continue
        if entry.is_symlink():
            _look(Path(entry.path), root, key)
        elif entry.is_dir():
            _walk(Path(entry.path), root, key)


def _look(link: Path, root: Path, key: str) -> None:
    try:
        target = link.resolve(strict=True)
    except (OSError, RuntimeError):
        raise UserError(f"{link}: a symbolic link that leads nowhere; remove it") from None
    if target.is_dir():
        raise UserError(
            f"{link}: a symbolic link to a folder, behind which DVC sees no change; put the folder itself there, or "
            f"set {key} to the folder that holds the photos"
        )
    if not target.is_relative_to(root):
        raise UserError(
            f"{link}: a symbolic link out of the data set; copy the file there, or set {key} to the folder that holds "
            "the photos"
        )
