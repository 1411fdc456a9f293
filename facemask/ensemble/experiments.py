"""Past experiments, read through DVC: what they answered, by name or git revision.

Whatever is read comes from DVC's cache of the main checkout (``DVC_ROOT``), which experiments in temporary folders
share. A name is resolved once, to a commit; whoever needs more of the same experiment later asks by that commit.
"""

from __future__ import annotations

import contextlib
import os
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

import numpy as np
import pandas as pd

from facemask.ensemble import combiner
from facemask.ensemble.combiner import Member
from facemask.records import tables
from facemask.runtime.arrays import Table
from facemask.runtime.errors import UserError
from facemask.scoring import predictions

COMBINED = PurePosixPath("data/combine")
ANSWERS = PurePosixPath("data/infer/probabilities.csv")
# More photos than this whose class differs are no corrected labels but other people.
OTHER_CLASSES = 0.2


def _root() -> str:
    return os.environ.get("DVC_ROOT") or "."


def resolve(names: tuple[str, ...]) -> tuple[Member, ...]:
    """Find the commit that each name of an experiment, branch, tag or commit means now.

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
        with Repo(_root()) as repo:
            for name in names:
                commit = resolve_rev(repo.scm, name)
                if commit in found:
                    raise UserError(
                        f"combine.members: {found[commit]} and {name} are the same commit {commit[:7]}; name one"
                    )
                found[commit] = name
    except RevError as error:
        raise UserError(f"combine.members: {error}; `dvc exp show` lists the experiments") from None
    except DvcException as error:
        raise UserError(f"combine.members: {error}; experiments are read from a DVC repository") from None
    return tuple(Member(name, commit) for commit, name in found.items())


@dataclass(frozen=True)
class Past:
    """What a past experiment answered for labelled photos.

    Attributes
    ----------
    member
        Which experiment.
    rows
        Its out-of-fold and hold-out rows, by photo; each photo's person was unknown to the networks that answered.
    eval_photos_used
        Whether it, or one of its own members, learnt from the eval photos.
    """

    member: Member
    rows: pd.DataFrame
    eval_photos_used: bool

    def honest(self, split: predictions.Predictions, manifest: pd.DataFrame) -> Table:
        """Answers (N, 18) in the order of ``split.photos``.

        Parameters
        ----------
        split
            Photos that are asked for.
        manifest
            Rows of this experiment's set ``labelled``, see :data:`facemask.records.tables.MANIFEST`.

        Raises
        ------
        UserError
            If there is no honest answer for a photo, or the experiment is of another data set.
        """
        name = self.member.name
        remedy = "train.folds, seed and build_manifest must be such that it did not train on them"
        lacking = [photo for photo in split.photos if photo not in self.rows.index]
        if len(lacking) == len(split.photos):
            raise UserError(
                f"combine.members: {name} answered none of this experiment's photos; it is of another data set, "
                f"or of other folds ({remedy})"
            )
        if lacking:
            raise UserError(
                f"combine.members: {name} has no honest answer for {len(lacking)} of {len(split.photos)} photos, "
                f"such as {lacking[0]!r}; {remedy}"
            )
        rows, ours = self.rows.loc[split.photos], manifest.set_index("photo").loc[split.photos]
        other = (rows["person"] != ours["person"]).any()
        if other or (rows["class"] != ours["class"]).mean() > OTHER_CLASSES:
            raise UserError(
                f"combine.members: {name} knows other people under the same photo names; it is of another data set"
            )
        return rows[predictions.COLUMNS].to_numpy(np.float64)


def load(member: Member) -> Past:
    """Read what the combine stage of a past experiment wrote.

    Raises
    ------
    UserError
        If it cannot be had or is damaged.
    """
    names = [COMBINED / name for name in ("oof.csv", "holdout.csv", "combiner.json")]
    with _fetched(member, names, "combine") as (*paths, about):
        rows = pd.concat([_read(member, path, predictions.COMBINED) for path in paths])
        used = combiner.read(about, f"{member.name}: {about.name}").eval_photos_used
    return Past(member, rows.drop_duplicates("photo").set_index("photo"), used)


def answers(member: Member, image_ids: pd.Series[str]) -> Table:
    """Answers of a past experiment for eval photos, (N, 18) in the order of ``image_ids``.

    Raises
    ------
    UserError
        If they cannot be had or lack a photo.
    """
    with _fetched(member, [ANSWERS], "infer") as (path,):
        whole = _read(member, path, tables.EVAL_PROBABILITIES).set_index("ImageID")
    lacking = [image for image in image_ids if image not in whole.index]
    if lacking:
        raise UserError(
            f"combine.members: {member.name} did not answer {len(lacking)} of {len(image_ids)} eval photos, such as "
            f"{lacking[0]!r}; it is of another data set"
        )
    return whole.loc[image_ids.tolist(), predictions.COLUMNS].to_numpy(np.float64)


@contextlib.contextmanager
def _fetched(member: Member, paths: Sequence[PurePosixPath], stage: str) -> Iterator[list[Path]]:
    """Copy files of an experiment out of DVC's cache to a temporary folder."""
    from dvc.api import DVCFileSystem
    from dvc.exceptions import DvcException
    from dvc_data.index import DataIndexDirError

    where = f"combine.members: {member.name} ({member.commit[:7]})"
    with tempfile.TemporaryDirectory() as folder:
        copies = [Path(folder) / path.name for path in paths]
        system = DVCFileSystem(repo=_root(), rev=member.commit)
        for path, copy in zip(paths, copies, strict=True):
            lost = f"{where}: {path} is not in DVC's cache; `dvc fetch --rev {member.name}` or run it anew"
            try:
                copy.write_bytes(system.read_bytes(path.as_posix()))
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


def _read(member: Member, path: Path, schema: tables.Schema) -> pd.DataFrame:
    try:
        table = tables.read(path, schema)
    except UserError as error:
        raise UserError(
            f"combine.members: {member.name}: {str(error).replace(f'{path.parent}{os.sep}', '')}"
        ) from None
    if not predictions.sound(table[predictions.COLUMNS].to_numpy()).all():
        raise UserError(
            f"combine.members: {member.name}: {path.name}: a row is no probabilities that sum to 1"
        )
    return table
