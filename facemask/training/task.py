"""One fold's training loop, as Lightning asks for it."""

from __future__ import annotations

import math
from typing import Any

import lightning as L
import numpy as np
import torch
from timm.scheduler.scheduler import Scheduler
from torch import Tensor, nn
from torch.nn import functional
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from facemask.network.classifier import Classifier
from facemask.network.heads import Named
from facemask.records import classes
from facemask.scoring import metrics
from facemask.settings import recipes
from facemask.training import clipping, freezing, losses, mixing, optimisers, schedules, weighting
from facemask.training.batches import Batch, Side, sampler_weights
from facemask.training.unlabelled import Pair

Both = dict[str, Batch | Pair]


class Task(L.LightningModule):
    """Train on the trainer's labels, validate on the official ones.

    Parameters
    ----------
    recipe
        The ``train`` section.
    model
        The network to train.
    train
        The training side, whose class frequencies weigh and adjust the loss.
    steps, steps_per_epoch
        Optimiser steps of the whole training, and of one epoch.
    seed
        Of mixing and dropout.
    """

    def __init__(
        self,
        recipe: recipes.Recipe,
        model: Classifier,
        train: Side,
        *,
        steps: int,
        steps_per_epoch: int,
        seed: int,
    ) -> None:
        super().__init__()
        self.recipe, self.model = recipe, model
        self.steps, self.steps_per_epoch = steps, steps_per_epoch
        self.lr = recipe.lr
        counts = frequencies(recipe, model, train)
        self.losses = nn.ModuleDict(
            {
                name: losses.build(
                    recipe.loss, output.kind, weighting.class_weights(recipe.class_weights, counts[name])
                )
                for name, output in model.head.outputs.items()
            }
        )
        self.priors = {name: weighting.log_prior(count) for name, count in counts.items()}
        self.seed = seed
        self.mixing = mixing.build(recipe.mixing, seed)
        self.freezing = freezing.build(recipe.freeze, model.backbones)
        self.confusion = MulticlassConfusionMatrix(classes.COUNT)
        # Sums kept on the device: reading a number back at every step would stall a GPU. So nan_strategy is "disable",
        # with which torchmetrics ignores weights: a batch's loss is given once for each of its photos.
        self.train_loss = MeanMetric(nan_strategy="disable")
        self.val_loss = MeanMetric(nan_strategy="disable")

    def _loss(self, logits: Named, targets: Named) -> Tensor:
        """Sum of the outputs' losses; several dropout draws a photo meet its targets again."""
        parts = []
        for name, values in logits.items():
            draws = len(values) // len(targets[name])
            parts.append(self.losses[name](values.float(), targets[name].repeat(draws, 1)))
        return torch.stack(parts).sum()

    def _adjusted(self, logits: Named) -> Named:
        """Logits plus tau times the classes' log-frequencies."""
        if not isinstance(self.recipe.logit_adjustment, recipes.AdjustLoss):
            return logits
        tau, outputs = self.recipe.logit_adjustment.tau, self.model.head.outputs
        return {
            name: values + tau * self.priors[name].to(values.device)
            if outputs[name].kind == "softmax"
            else values
            for name, values in logits.items()
        }

    def training_step(self, batch: Batch | Both, index: int) -> Tensor:
        """Return the loss of one batch."""
        labelled, pair = (
            (batch["labelled"], batch["unlabelled"]) if isinstance(batch, dict) else (batch, None)
        )
        assert isinstance(labelled, Batch)
        head = self.model.head
        targets = head.targets(labelled.targets, labelled.ages)
        photos, targets = self.mixing(labelled.photos, targets, self._batch(index))
        logits = self._adjusted(head.margin(self.model(photos), targets))
        loss = self._loss(logits, targets)
        self.train_loss.update(loss.detach().expand(len(labelled.photos)))
        loss = loss * self._share(len(labelled.photos))
        if isinstance(pair, Pair):
            loss = loss + self._consistency(pair) * self._share(len(pair.plain))
        return loss

    def _batch(self, index: int) -> int:
        """Batches since the start of the training; steps would be the same for all that one step accumulates."""
        return self.current_epoch * int(self.trainer.num_training_batches) + index

    def _share(self, photos: int) -> float | Tensor:
        """What a mean over this process's ``photos`` counts for when the gradients of all processes are averaged."""
        world = self.trainer.world_size
        if world == 1:
            return 1.0
        whole = self.trainer.strategy.reduce(torch.tensor(float(photos), device=self.device), reduce_op="sum")
        return world * photos / whole

    def _consistency(self, pair: Pair) -> Tensor:
        """Weighted KL divergence between the answers for plain photos and for their augmented selves.

        References
        ----------
        Xie et al., "Unsupervised Data Augmentation for Consistency Training", NeurIPS 2020,
        https://arxiv.org/abs/1904.12848
        """
        cfg = self.recipe.unlabelled
        assert isinstance(cfg, recipes.Uda)
        with torch.no_grad():
            plain = self._mean_table(pair.plain)
            confident = (plain.exp().amax(1) >= cfg.threshold).float()
            target = functional.softmax(plain / cfg.temperature, 1)
        strong = self._mean_table(pair.strong)
        divergence = functional.kl_div(strong, target, reduction="none").sum(1)
        return cfg.weight * (divergence * confident).mean()

    def _mean_table(self, photos: Tensor) -> Tensor:
        """Log-probabilities (N, 18), the mean over dropout draws."""
        head = self.model.head
        table: Tensor = head.log_table(self.model(photos)).view(-1, len(photos), classes.COUNT)
        return torch.log_softmax(table.mean(0), 1)

    def on_before_optimizer_step(self, optimizer: torch.optim.Optimizer) -> None:
        """Clip the gradients of the whole step."""
        clipping.clip(self.recipe.clip, self.model)

    def on_train_epoch_start(self) -> None:
        """Start a new mean and new draws; freeze what this epoch does not train."""
        # What is dropped out is then a function of the seed and the epoch, whatever ran or was skipped before.
        generator = np.random.default_rng([self.seed, self.current_epoch, self.global_rank, 5])
        torch.manual_seed(int(generator.integers(2**63)))
        self.train_loss.reset()
        self.freezing.start_epoch(self.current_epoch)

    def on_train_batch_start(self, batch: Batch | Both, index: int) -> None:
        """Keep frozen layers at rest."""
        self.freezing.start_batch()

    def validation_step(self, batch: Batch, index: int) -> None:
        """Count one batch."""
        if len(batch.photos) == 0:
            return
        head, logits = self.model.head, self.model(batch.photos)
        loss = self._loss(logits, head.targets(batch.labels, batch.ages))
        self.val_loss.update(loss.expand(len(batch.photos)))
        self.confusion.update(head.log_table(logits).argmax(1), batch.labels)

    def on_validation_epoch_start(self) -> None:
        """Start new counts."""
        self.val_loss.reset()
        self.confusion.reset()

    def on_validation_epoch_end(self) -> None:
        """Score the whole validation set from its counts: a mean of batch scores would be another number."""
        matrix = self.confusion.compute().cpu().numpy()
        loss = float(self.val_loss.compute())
        scores = {
            # Answers that are no numbers count as the first class, which must not win.
            "val/macro_f1": float(metrics.macro_f1(matrix)) if math.isfinite(loss) else 0.0,
            "val/accuracy": float(metrics.accuracy(matrix)),
            "val/loss": loss,
            "train/loss": float(self.train_loss.compute()),
            "train/lr": max(group["lr"] for group in self.trainer.optimizers[0].param_groups),
        }
        self.log_dict(scores, rank_zero_only=False)

    def lr_scheduler_step(self, scheduler: Any, metric: Any) -> None:
        """Step a schedule; timm's are told how many steps were done."""
        if isinstance(scheduler, Scheduler):
            scheduler.step_update(self.trainer.global_step)
        else:
            super().lr_scheduler_step(scheduler, metric)

    def configure_optimizers(self) -> Any:
        """Make optimiser and schedule."""
        scaled = self.trainer.precision == "16-mixed" and not isinstance(self.recipe.clip, recipes.Nothing)
        optimiser = optimisers.build(
            self.recipe.optimiser, self.model, self.lr, self.recipe.layer_decay, fused=not scaled
        )
        return [optimiser], schedules.build(
            self.recipe.schedule,
            optimiser,
            lr=self.lr,
            steps=self.steps,
            steps_per_epoch=self.steps_per_epoch,
        )


def frequencies(recipe: recipes.Recipe, model: Classifier, side: Side) -> Named:
    """How often an epoch of ``side`` shows each class of each output, drawn as it is: name -> (its classes,)."""
    targets = model.head.targets(torch.tensor(side.targets), torch.tensor(side.ages))
    chances = sampler_weights(recipe.sampler, side.targets, side.repeats)
    shown = torch.tensor(side.repeats if chances is None else chances * side.repeats.sum()).float()
    return {name: (rows * shown[:, None]).sum(0) for name, rows in targets.items()}
