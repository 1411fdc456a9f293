"""Where the trainer's age bands begin: chosen in the params, carried by the manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Final, NamedTuple

from facemask.records import classes
from facemask.runtime import files
from facemask.runtime.errors import UserError

NAME: Final = "bands.json"


class Cuts(NamedTuple):
    """Ages, in years, where the middle and the old band begin."""

    young: int
    old: int


OFFICIAL: Final = Cuts(classes.OFFICIAL_YOUNG_CUT, classes.OFFICIAL_AGE_CUT)


def write(folder: Path, cuts: Cuts) -> None:
    """Put the cuts into a manifest's folder."""
    files.write_json(folder / NAME, {"young_cut": cuts.young, "age_cut": cuts.old})


def read(folder: Path) -> Cuts:
    """Read what :func:`write` wrote.

    Raises
    ------
    UserError
        If it is missing or damaged.
    """
    path = folder / NAME
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return Cuts(int(content["young_cut"]), int(content["age_cut"]))
    except FileNotFoundError:
        raise UserError(f"{path}: no such file; run `dvc repro build_manifest`") from None
    except (OSError, ValueError, KeyError, TypeError):
        raise UserError(f"{path}: damaged; run `dvc repro -f build_manifest`") from None
