"""Train one fold and return its best network."""

from __future__ import annotations

import functools
import logging
import signal
import sys
import warnings
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping
from lightning.pytorch.utilities.combined_loader import CombinedLoader

from facemask.network.classifier import Classifier
from facemask.runtime.arrays import Pixels
from facemask.runtime.errors import UserError
from facemask.settings import recipes
from facemask.training import averaging, loggers, memory, probing, pseudo, ranks, refitting
from facemask.training.augment import Augmentation
from facemask.training.backgrounds import Backgrounds
from facemask.training.batches import Batches, EpochBatchSampler, Side, loader, sampler_weights
from facemask.training.best import Best
from facemask.training.curves import MONITOR, Curves, Lines
from facemask.training.resuming import Resume
from facemask.training.task import Task
from facemask.training.trainer import trainer
from facemask.training.unlabelled import EndlessBatchSampler, Pairs

NO_LOGGER: Final = recipes.Nothing(kind="none")


@dataclass(frozen=True)
class Fitted:
    """A trained network, in evaluation mode on the CPU, with the epoch (from 0) and score it was chosen for.

    Attributes
    ----------
    batch_size
        That of the recipe, or a part of it where memory did not suffice.
    """

    model: Classifier
    epoch: int
    macro_f1: float
    batch_size: int


@dataclass(frozen=True)
class Session:
    """What a training needs beside recipe and photos: the seed, the folders of :class:`Curves` and of checkpoints."""

    seed: int
    curves: Path
    live: Path
    checkpoints: Path | None
    logger: recipes.Logger
    turn: int = 0

    def told(self, recipe: recipes.Recipe, train: Side, val: Side) -> list[Callback]:
        """What tells of the training while it runs."""
        curves = Curves(self.curves, self.live)
        found = [curves, Lines(int(train.repeats.sum()))]
        if isinstance(self.logger, recipes.Nothing):
            return found
        title = self.live.name + (f"-round{self.turn}" if self.turn else "")
        return [*found, loggers.Watched(self.logger, title, self.settings(recipe), curves, val)]

    def settings(self, recipe: recipes.Recipe) -> dict[str, Any]:
        """What a logger shows of the recipe."""
        return {"seed": self.seed, "train": recipe.model_dump(mode="json")}

    def checkpoint(self, recipe: recipes.Recipe) -> Path | None:
        """Name the file of a round of self-training; another batch size makes it another training."""
        name = f"round{self.turn}-batch{recipe.batch_size}.ckpt"
        return None if self.checkpoints is None else self.checkpoints / name


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
    logger: recipes.Logger = NO_LOGGER,
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
    logger
        Where it can be watched besides; the run is named after the folder ``live``.

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
    session = Session(seed, curves, live, checkpoints, logger)
    if not isinstance(recipe.probe, recipes.Nothing):
        model, score = probing.train(recipe, recipe.probe, train, val, seed=seed, curves=curves)
        loggers.once(logger, live.name, session.settings(recipe), {MONITOR: score}, model, val)
        return Fitted(model, 0, score, recipe.batch_size)
    (fitted, first), recipe = memory.fitting(recipe, lambda one: _train(one, train, val, session, unlabelled))
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
            more, later = pseudo.join(train, unlabelled, chosen, table), replace(session, turn=turn + 1)
            (fitted, first), recipe = memory.fitting(
                recipe, functools.partial(_train, train=more, val=val, session=later, unlabelled=None)
            )
    if isinstance(recipe.refit, recipes.RefitLogistic):
        refitting.logistic(recipe.refit, fitted.model, train, batch_size=recipe.batch_size, seed=seed)
        score = refitting.macro_f1(fitted.model, val, recipe.batch_size)
        fitted = replace(fitted, macro_f1=score)
    return fitted if first else None


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
    best, resume = Best(), Resume(session.checkpoint(recipe))
    with warnings.catch_warnings():
        # Lightning warns of choices made here on purpose: loader workers, logging interval.
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        told = session.told(recipe, train, val)
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
    return Fitted(fitted.eval(), epoch, score, recipe.batch_size), run.is_global_zero


def _callbacks(recipe: recipes.Recipe) -> list[Callback]:
    found = [averaging.callback(recipe.average, recipe.epochs)]
    if recipe.patience is not None:
        found.append(EarlyStopping(MONITOR, mode="max", patience=recipe.patience))
    return [callback for callback in found if callback is not None]
