"""Train one fold and return its best network."""

from __future__ import annotations

import logging
import signal
import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.utilities.combined_loader import CombinedLoader

from facemask.network.classifier import Classifier
from facemask.runtime.arrays import Pixels
from facemask.runtime.errors import UserError
from facemask.settings import recipes
from facemask.training import averaging, probing, pseudo, ranks, refitting
from facemask.training.augment import Augmentation
from facemask.training.backgrounds import Backgrounds
from facemask.training.batches import Batches, EpochBatchSampler, Side, loader, sampler_weights
from facemask.training.best import Best
from facemask.training.curves import MONITOR, Curves, Lines
from facemask.training.resuming import Resume
from facemask.training.task import Task
from facemask.training.trainer import trainer
from facemask.training.unlabelled import EndlessBatchSampler, Pairs


@dataclass(frozen=True)
class Fitted:
    """A trained network, in evaluation mode on the CPU, with the epoch (from 0) and score it was chosen for."""

    model: Classifier
    epoch: int
    macro_f1: float


@dataclass(frozen=True)
class Session:
    """What a training needs beside its recipe and photos: the seed, the folders of :class:`Curves`, a checkpoint."""

    seed: int
    curves: Path
    live: Path
    checkpoint: Path | None


def fit(
    recipe: recipes.Recipe,
    train: Side,
    val: Side,
    *,
    seed: int,
    curves: Path,
    live: Path,
    unlabelled: Pixels | None = None,
    checkpoints: Path | None = None,
) -> Fitted | None:
    """Train on ``train``, choose the epoch with the best macro-F1 on ``val``.

    Parameters
    ----------
    curves, live
        Folders for the learning curves, see :class:`facemask.training.curves.Curves`; of several rounds of
        self-training, those of the last.
    unlabelled
        (N, height, width, 3) uint8, for ``recipe.unlabelled``.
    checkpoints
        Folder in which every epoch is saved; a training that was killed goes on from there. None saves nothing.

    Returns
    -------
    Fitted or None
        None in all but the first of several training processes.

    Raises
    ------
    UserError
        If a side is empty, or a part of the recipe cannot be made.
    """
    for name, side in (("training", train), ("validation", val)):
        if not side.repeats.sum():
            raise UserError(
                f"no photo is left on the {name} side: check build_manifest and data/fix_labels/about/quarantine.csv"
            )
    if not isinstance(recipe.unlabelled, recipes.Nothing) and (unlabelled is None or not len(unlabelled)):
        raise UserError(
            f"train.pool is {recipe.pool}, but there are no such photos: see data.root (eval/) and data.extra "
            "(*/unlabelled/)"
        )
    # Its notes on devices and products are no news of this training.
    logging.getLogger("lightning.pytorch").setLevel(logging.WARNING)
    torch.set_float32_matmul_precision("highest" if recipe.precision == "32" else "high")
    if not isinstance(recipe.probe, recipes.Nothing):
        model, score = probing.train(recipe, recipe.probe, train, val, seed=seed, curves=curves)
        return Fitted(model, 0, score)
    saved = [
        None if checkpoints is None else checkpoints / f"round{k}.ckpt" for k in range(1 + _rounds(recipe))
    ]
    session = Session(seed, curves, live, saved[0])
    fitted, first = _train(recipe, train, val, session, unlabelled)
    if isinstance(recipe.unlabelled, recipes.SelfTraining):
        assert unlabelled is not None
        for turn in range(recipe.unlabelled.rounds):
            # Every round's teacher is this fold's own: it never saw the people of the validation side.
            table = ranks.agreed(pseudo.predict(fitted.model, unlabelled, recipe.batch_size))
            chosen = pseudo.choose(recipe.unlabelled, table)
            sys.stdout.write(
                f"round {turn + 1}: {len(chosen)} of {len(unlabelled)} unlabelled photos labelled\n"
            )
            if not len(chosen):
                break
            session = replace(session, checkpoint=saved[turn + 1])
            fitted, first = _train(recipe, pseudo.join(train, unlabelled, chosen, table), val, session, None)
    if isinstance(recipe.refit, recipes.RefitLogistic):
        refitting.logistic(recipe.refit, fitted.model, train, batch_size=recipe.batch_size, seed=seed)
        score = refitting.macro_f1(fitted.model, val, recipe.batch_size)
        fitted = Fitted(fitted.model, fitted.epoch, score)
    return fitted if first else None


def _rounds(recipe: recipes.Recipe) -> int:
    return recipe.unlabelled.rounds if isinstance(recipe.unlabelled, recipes.SelfTraining) else 0


def loaders(
    recipe: recipes.Recipe, train: Side, unlabelled: Pixels | None, *, seed: int, process: ranks.Process
) -> tuple[Any, int]:
    """Training batches, with unlabelled ones beside them for UDA, and their number an epoch."""
    augmentation = Augmentation(recipe.augment, recipe.image.size)
    swap = recipe.swap
    backgrounds = Backgrounds(swap, train.pixels) if isinstance(swap, recipes.Swap) else None
    weights = sampler_weights(recipe.sampler, train.targets, train.repeats)
    order = EpochBatchSampler(
        train.repeats,
        batch_size=recipe.batch_size,
        seed=seed,
        shuffle=True,
        weights=weights,
        rank=process.rank,
        world_size=process.world_size,
    )
    if len(order.rows) // len(order) < process.world_size:
        raise UserError(
            f"train.batch_size: {recipe.batch_size} leaves some of {process.world_size} processes without a photo; "
            "raise it or start fewer"
        )
    labelled = loader(Batches(train, augmentation, backgrounds), order)
    if not isinstance(recipe.unlabelled, recipes.Uda) or unlabelled is None:
        return labelled, len(order)
    endless = EndlessBatchSampler(
        len(unlabelled),
        batches=len(order),
        batch_size=recipe.batch_size * recipe.unlabelled.ratio,
        seed=seed,
        rank=process.rank,
        world_size=process.world_size,
    )
    pairs = loader(Pairs(unlabelled, augmentation), endless)
    return CombinedLoader({"labelled": labelled, "unlabelled": pairs}, "min_size"), len(order)


def _train(
    recipe: recipes.Recipe, train: Side, val: Side, session: Session, unlabelled: Pixels | None
) -> tuple[Fitted, bool]:
    """Train once; the flag tells the first process of several."""
    L.seed_everything(session.seed, workers=False, verbose=False)
    model = Classifier(recipe, cuts=train.cuts)
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    best, resume = Best(), Resume(session.checkpoint)
    with warnings.catch_warnings():
        # Lightning warns of choices made here on purpose: loader workers, logging interval.
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        told = [Curves(session.curves, session.live), Lines(int(train.repeats.sum()))]
        run = trainer(
            recipe, [best, *told, resume, *_callbacks(recipe)], epochs=recipe.epochs, files=resume.files
        )
        process = ranks.Process(run.global_rank, run.world_size)
        if process.world_size > 1 and torch.cuda.is_available():
            model = ranks.synced(model)
        batches, count = loaders(recipe, train, unlabelled, seed=session.seed, process=process)
        checks = loader(
            Batches(val, None, None),
            EpochBatchSampler(
                val.repeats,
                batch_size=recipe.batch_size,
                seed=session.seed,
                shuffle=False,
                rank=process.rank,
                world_size=process.world_size,
            ),
        )
        each = -(-count // recipe.accumulate)
        task = Task(recipe, model, train, steps=recipe.epochs * each, steps_per_epoch=each, seed=session.seed)
        try:
            run.fit(task, batches, checks, ckpt_path=resume.found())
        except SystemExit:
            # Lightning's answers to SIGTERM, with code 0, and to Ctrl-C.
            if run.received_sigterm:
                sys.exit(128 + signal.SIGTERM)
            raise KeyboardInterrupt from None
        kept = run.strategy.broadcast((best.weights, best.epoch, best.score))
    state, epoch, score = kept
    if not all(bool(torch.isfinite(value).all()) for value in state.values() if value.is_floating_point()):
        raise UserError(
            "train: the training diverged, its weights are no numbers; lower train.lr, set train.clip or take "
            "train.precision 32"
        )
    # As infer will build it: what several processes trained has other layers.
    fitted = Classifier(recipe, cuts=train.cuts, pretrained=False)
    fitted.load_state_dict(state)
    return Fitted(fitted.eval(), epoch, score), run.is_global_zero


def _callbacks(recipe: recipes.Recipe) -> list[Callback]:
    found = [averaging.callback(recipe.average, recipe.epochs)]
    if recipe.patience is not None:
        found.append(EarlyStopping(MONITOR, mode="max", patience=recipe.patience))
    return [callback for callback in found if callback is not None]
