"""Past experiments that answer beside this one, as ``combine.members`` names them."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from facemask.ensemble import combiner, history
from facemask.ensemble.history import Member
from facemask.records import tables
from facemask.runtime import files
from facemask.runtime.arrays import Table
from facemask.runtime.errors import UserError
from facemask.scoring import predictions

ASKED = "combine.members"
COMBINED = PurePosixPath("data/combine")
ANSWERS = PurePosixPath("data/infer/probabilities.csv")
ABOUT = PurePosixPath("data/infer/about.json")
# More photos than this whose class differs are no corrected labels but other people.
OTHER_CLASSES = 0.2


def resolve(names: tuple[str, ...]) -> tuple[Member, ...]:
    """Find the commits of ``combine.members``, see :func:`facemask.ensemble.history.resolve`."""
    return history.resolve(names, ASKED)


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
    with history.fetched(member, names, "combine", ASKED) as (*paths, about):
        rows = pd.concat([history.read(member, path, predictions.COMBINED, ASKED) for path in paths])
        used = combiner.read(about, f"{member.name}: {about.name}").eval_photos_used
    return Past(member, rows.drop_duplicates("photo").set_index("photo"), used)


def answers(member: Member, image_ids: pd.Series[str]) -> tuple[Table, bool]:
    """Answers of a past experiment for eval photos, (N, 18) in the order of ``image_ids``.

    The second value says whether eval photos were used beside the one that is answered.

    Raises
    ------
    UserError
        If they cannot be had or lack a photo.
    """
    with history.fetched(member, [ANSWERS, ABOUT], "infer", ASKED) as (path, about):
        used = bool(files.read_json(about, f"leave {member.name} out").get("eval_photos_used"))
        whole = history.read(member, path, tables.EVAL_PROBABILITIES, ASKED).set_index("ImageID")
    lacking = [image for image in image_ids if image not in whole.index]
    if lacking:
        raise UserError(
            f"combine.members: {member.name} did not answer {len(lacking)} of {len(image_ids)} eval photos, such as "
            f"{lacking[0]!r}; it is of another data set"
        )
    return whole.loc[image_ids.tolist(), predictions.COLUMNS].to_numpy(np.float64), used
