"""Answers and params of a revision, from git and DVC's cache, or of the workspace."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path, PurePosixPath
from typing import Any, Final

import pandas as pd

from facemask.ensemble import history
from facemask.records import tables
from facemask.runtime.errors import UserError
from facemask.scoring import predictions
from facemask.settings import loading

ASKED: Final = "compare"
WORKSPACE: Final = "workspace"
OUT_OF_FOLD: Final = "out-of-fold"
HOLD_OUT: Final = "hold-out"
ANSWERS: Final = {
    OUT_OF_FOLD: PurePosixPath("data/combine/oof.csv"),
    HOLD_OUT: PurePosixPath("data/combine/holdout.csv"),
}
PARAMS: Final = PurePosixPath("params.yaml")
MANIFEST: Final = PurePosixPath("data/build_manifest/labelled/manifest.csv")


@dataclass(frozen=True)
class Revision:
    """One side of a comparison.

    Attributes
    ----------
    name
        As it was asked for.
    commit
        What the name means; None for the workspace.
    rows
        Answers, by photo: columns of :data:`facemask.records.tables.PROBABILITIES`.
    fold
        By person.
    params
        ``params.yaml`` by full key; lists are values.
    part
        Who was answered: a key of ``ANSWERS``.
    """

    name: str
    commit: str | None
    rows: pd.DataFrame
    fold: pd.Series[int]
    params: dict[str, Any]
    part: str = OUT_OF_FOLD

    @property
    def title(self) -> str:
        """The name, and the commit where the name is another."""
        short = (self.commit or "")[:7]
        return f"{self.name} ({short})" if short and not self.name.startswith(short) else self.name


def read(name: str, part: str = OUT_OF_FOLD) -> Revision:
    """Read a revision, or the workspace by the name ``workspace``; nothing is checked out.

    Parameters
    ----------
    part
        Whose answers: a key of ``ANSWERS``.

    Raises
    ------
    UserError
        If the name means nothing, or what it wrote cannot be had.
    """
    if name == WORKSPACE:
        return _of(name, None, part, *(Path(path) for path in (ANSWERS[part], PARAMS, MANIFEST)))
    (member,) = history.resolve([name], ASKED)
    with history.fetched(member, [ANSWERS[part], PARAMS, MANIFEST], "combine", ASKED) as copies:
        try:
            return _of(name, member.commit, part, *copies)
        except UserError as error:
            raise UserError(f"{ASKED}: {name}: {str(error).replace(f'{copies[0].parent}/', '')}") from None


def _of(name: str, commit: str | None, part: str, answers: Path, settings: Path, manifest: Path) -> Revision:
    table = tables.read(answers, predictions.COMBINED)
    if not predictions.sound(table[predictions.COLUMNS].to_numpy()).all():
        raise UserError(f"{answers}: a row is no probabilities that sum to 1; {predictions.COMBINED.remedy}")
    if not len(table):
        none = "build_manifest.holdout holds nobody out" if part == HOLD_OUT else predictions.COMBINED.remedy
        raise UserError(f"{answers}: no photo; {none}")
    # A revision's manifest may lack columns of today; these have always been there.
    schema = tables.Schema(
        tables.MANIFEST.name, {"photo": str, "person": str, "fold": int}, "photo", tables.MANIFEST.remedy
    )
    fold = tables.read(manifest, schema).groupby("person")["fold"].first()
    return Revision(name, commit, table.set_index("photo"), fold, flat(loading.read(settings)[1]), part)


def flat(content: Any, prefix: str = "") -> dict[str, Any]:
    """Nested sections by full key."""
    if not isinstance(content, dict) or not content:
        return {prefix.removesuffix("."): content}
    found: dict[str, Any] = {}
    for key, value in content.items():
        found |= flat(value, f"{prefix}{key}.")
    return found
