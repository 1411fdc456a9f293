"""Look at everything that ``params.yaml`` names: files, weights, networks, transforms, folders, members.

What pydantic can see, it has seen when the params were read; here the names in them are resolved, by the very code that
will use them, without training or reading a photo.
"""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from facemask.ensemble import experiments
from facemask.labels import extra as extra_sets
from facemask.labels import fixes, health
from facemask.records import bands, raw, roots
from facemask.runtime import files
from facemask.runtime.errors import UserError
from facemask.runtime.imports import lean
from facemask.settings import params, recipes


def everything(cfg: params.Params, *, root: Path, extra: Path, sample: Path, label_fixes: Path) -> list[str]:
    """Raise what the stages would raise about these params.

    Parameters
    ----------
    root, extra
        The data set, and the folder of extra ones.
    sample
        Where the sample is drawn: as ``root``, it need not be there yet.
    label_fixes
        The list of known wrong labels.

    Returns
    -------
    list of str
        What works, but not as one may think; a line each.

    Raises
    ------
    UserError
        The first thing that cannot work: its key, file or row, and the remedy.
    """
    _photos(cfg, root, extra, sample, label_fixes)
    experiments.resolve(cfg.combine.members)
    _photo_networks(cfg)
    _face_network(cfg.audit.network)
    _face_network(cfg.infer.consensus)
    return _recipe(cfg.train)


def _photos(cfg: params.Params, root: Path, extra: Path, sample: Path, label_fixes: Path) -> None:
    listed = fixes.load(label_fixes)
    dataset, trust = cfg.fix_labels.dataset, cfg.fix_labels.trust
    with files.scratch("check") as nothing:
        # What synthesise makes is not there yet; it is no mistake of the user's.
        where = roots.Roots(root, extra, nothing)
        names = extra_sets.names(where, dataset)
        asked = cfg.sample_data.eval_people
        if root != sample:
            layout = raw.scan(root)
            asked = len(layout.eval)
            chosen = fixes.select(listed, dataset, trust, people=fixes.known(layout.train))
            fixes.apply(layout.train, chosen.applied)
            sets = [
                extra_sets.read(where, name, listed, trust, set(layout.train["person"])) for name in names
            ]
            _readable(cfg, where, layout, extra_sets.joined(sets))
        found = (path for name in names for path in (where.folder(name) / "unlabelled").rglob("*"))
        there = asked > 0 if cfg.train.pool == "eval" else any(path.is_file() for path in found)
    if not isinstance(cfg.train.unlabelled, recipes.Nothing) and not there:
        raise UserError(
            f"train.pool is {cfg.train.pool}, but there are no such photos for train.unlabelled: see data.root (eval/) "
            "and data.extra (*/unlabelled/)"
        )


def _readable(cfg: params.Params, where: roots.Roots, layout: raw.Layout, more: extra_sets.Joined) -> None:
    """Look at the first bytes of every photo: most of what is no photo shows there, before an output goes."""
    parts = {
        "labelled": layout.train,
        "eval": layout.eval,
        "extra": more.labels,
        "unlabelled": more.unlabelled,
    }
    photos = pd.concat([part[["photo"]].assign(set=name) for name, part in parts.items()], ignore_index=True)
    seen = health.glance(where, photos["photo"])
    health.require(seen.assign(set=photos["set"]), where, cfg.fix_labels.tolerate)


def _photo_networks(cfg: params.Params) -> None:
    # Each loads libraries of its own: only what is named is imported.
    from facemask.faces import finders
    from facemask.mattes import mattes

    finders.in_order(cfg.face_crop.finder)
    mattes.build(cfg.background_removal.matting)


def _face_network(network: params.FaceNetwork | params.Consensus) -> None:
    if isinstance(network, params.FaceNetworkFile):
        from facemask.recognition import embedding

        embedding.require(network)


@lean()
def _recipe(recipe: params.Train) -> list[str]:
    import torch

    from facemask.commands import coverage
    from facemask.network import backbones
    from facemask.network.classifier import Classifier
    from facemask.training import optimisers
    from facemask.training.augment import Augmentation

    Augmentation(recipe.augment, recipe.image.size)
    # Shapes without numbers: the largest network takes a moment and no memory.
    with torch.device("meta"):
        model = Classifier(recipe, cuts=bands.Cuts(recipe.young_cut, recipe.age_cut), pretrained=False)
    backbones.require(recipe.backbone)
    optimisers.build(recipe.optimiser, model, recipe.lr, recipe.layer_decay, fused=False)
    backbone, size = model.backbones[model.head.branches[0]].eval(), recipe.image.size
    (rows, columns), near = coverage.unseen(backbone, recipe.backbone, size)
    if not rows and not columns:
        return []
    offer = "" if near == size else f"; the nearest size of which it sees all is {list(near)}"
    lost = " and ".join(f"{count} {what}" for count, what in ((rows, "rows"), (columns, "columns")) if count)
    return [f"train.image.size: {list(size)}: train.backbone never looks at {lost} of each photo{offer}"]
