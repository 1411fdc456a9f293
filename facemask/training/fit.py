"""Train one fold and return its best network."""

from __future__ import annotations

import logging
import sys
import tempfile
import warnings
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import lightning as L
import torch
from lightning.pytorch.callbacks import Callback, EarlyStopping, ModelCheckpoint
from lightning.pytorch.utilities.combined_loader import CombinedLoader

from facemask.network.classifier import Classifier
from facemask.runtime import hardware
from facemask.runtime.arrays import Pixels
from facemask.runtime.errors import UserError
from facemask.settings import recipes
from facemask.training import averaging, pseudo, ranks, refitting
from facemask.training.augment import Augmentation
from facemask.training.backgrounds import Backgrounds
from facemask.training.batches import Batches, EpochBatchSampler, Side, loader, sampler_weights
from facemask.training.curves import MONITOR, Curves, Lines
from facemask.training.task import Task
from facemask.training.unlabelled import EndlessBatchSampler, Pairs

PRECISIONS: dict[str, Literal["32-true", "bf16-mixed", "16-mixed"]] = {
    "32": "32-true",
    "bf16": "bf16-mixed",
    "16": "16-mixed",
}


@dataclass(frozen=True)
class Fitted:
    """A trained network, in evaluation mode on the CPU, with the epoch (from 0) and score it was chosen for."""

    model: Classifier
    epoch: int
    macro_f1: float


@dataclass(frozen=True)
class Session:
    """What a training needs beside its recipe and photos: the seed, and the folders of :class:`Curves`."""

    seed: int
    curves: Path
    live: Path


def fit(
    recipe: recipes.Recipe,
    train: Side,
    val: Side,
    *,
    seed: int,
    curves: Path,
    live: Path,
    unlabelled: Pixels | None = None,
) -> Fitted | None:
    """Train on ``train``, choose the epoch with the best macro-F1 on ``val``.

    Parameters
    ----------
    curves, live
        Folders for the learning curves, see :class:`facemask.training.curves.Curves`; of several rounds of
        self-training, those of the last.
    unlabelled
        (N, height, width, 3) uint8, for ``recipe.unlabelled``.

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
    session = Session(seed, curves, live)
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
            fitted, first = _train(recipe, pseudo.join(train, unlabelled, chosen, table), val, session, None)
    if isinstance(recipe.refit, recipes.RefitLogistic):
        refitting.logistic(recipe.refit, fitted.model, train, batch_size=recipe.batch_size, seed=seed)
        score = refitting.macro_f1(fitted.model, val, recipe.batch_size)
        fitted = Fitted(fitted.model, fitted.epoch, score)
    return fitted if first else None


def trainer(
    recipe: recipes.Recipe, callbacks: list[Callback], *, epochs: int, root: str | None = None
) -> L.Trainer:
    """Lightning's trainer for this machine, or for one of the processes that torchrun or SLURM started."""
    gpu = torch.cuda.is_available()
    devices, machines = hardware.processes()
    frozen = isinstance(recipe.freeze, (recipes.HeadOnly, recipes.Gradual))
    split = devices * machines > 1 if isinstance(devices, int) else gpu and torch.cuda.device_count() > 1
    return L.Trainer(
        accelerator="auto",
        devices=devices,
        num_nodes=machines,
        # Weights that get no gradient in some epochs would otherwise hang the exchange between processes.
        strategy="ddp_find_unused_parameters_true" if frozen and split else "auto",
        max_epochs=epochs,
        precision=PRECISIONS[recipe.precision if gpu else "32"],
        accumulate_grad_batches=recipe.accumulate,
        logger=False,
        callbacks=callbacks,
        enable_checkpointing=any(isinstance(callback, ModelCheckpoint) for callback in callbacks),
        default_root_dir=root,
        num_sanity_val_steps=0,
        enable_progress_bar=sys.stderr.isatty(),
        enable_model_summary=False,
        use_distributed_sampler=False,
        benchmark=gpu,
    )


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
    with tempfile.TemporaryDirectory(prefix="facemask-") as folder, warnings.catch_warnings():
        # Lightning warns of choices made here on purpose: loader workers, logging interval, the checkpoint folder.
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        # Whole checkpoints, since Lightning leaves averaged weights out of those that hold weights only.
        best = ModelCheckpoint(folder, monitor=MONITOR, mode="max", save_top_k=1, save_weights_only=False)
        photos = int(train.repeats.sum())
        run = trainer(
            recipe,
            [best, Curves(session.curves, session.live), Lines(photos), *_callbacks(recipe)],
            epochs=recipe.epochs,
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
        run.fit(task, batches, checks)
        chosen = run.strategy.broadcast(_best(best) if run.is_global_zero else None)
    assert chosen is not None
    state, epoch, score = chosen
    if not all(bool(torch.isfinite(value).all()) for value in state.values() if value.is_floating_point()):
        raise UserError(
            "train: the training diverged, its weights are no numbers; lower train.lr, set train.clip or take "
            "train.precision 32"
        )
    # As infer will build it: what several processes trained has other layers.
    fitted = Classifier(recipe, cuts=train.cuts, pretrained=False)
    fitted.load_state_dict(state)
    return Fitted(fitted.eval(), epoch, score), run.is_global_zero


def _best(kept: ModelCheckpoint) -> tuple[dict[str, Any], int, float]:
    """Weights, epoch and score of the best epoch."""
    whole: dict[str, Any] = torch.load(kept.best_model_path, map_location="cpu", weights_only=True)
    state = {k.removeprefix("model."): v for k, v in whole["state_dict"].items() if k.startswith("model.")}
    assert kept.best_model_score is not None
    return state, int(whole["epoch"]), float(kept.best_model_score)


def _callbacks(recipe: recipes.Recipe) -> list[Callback]:
    found = [averaging.callback(recipe.average, recipe.epochs)]
    if recipe.patience is not None:
        found.append(EarlyStopping(MONITOR, mode="max", patience=recipe.patience))
    return [callback for callback in found if callback is not None]
