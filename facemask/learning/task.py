"""One fold's training loop, as Lightning asks for it."""

from __future__ import annotations

from typing import Any

import lightning as L
import torch
from lightning.pytorch.utilities.types import OptimizerLRSchedulerConfig
from torch import Tensor
from torchmetrics import MeanMetric
from torchmetrics.classification import MulticlassConfusionMatrix

from facemask import params
from facemask.learning import losses, optimisers, schedules
from facemask.learning.batches import Batch
from facemask.learning.classifier import Classifier
from facemask.records import classes
from facemask.scoring import metrics


class Task(L.LightningModule):
    """Train on the trainer's labels, validate on the official ones.

    Parameters
    ----------
    recipe
        The ``train`` section.
    model
        The network to train.
    steps
        Optimiser steps of the whole training.
    """

    def __init__(self, recipe: params.Recipe, model: Classifier, steps: int) -> None:
        super().__init__()
        self.recipe, self.model, self.steps = recipe, model, steps
        self.loss = losses.build(recipe.loss)
        self.confusion = MulticlassConfusionMatrix(classes.COUNT)
        # Sums kept on the device: reading a number back at every step would stall a GPU.
        self.train_loss = MeanMetric(nan_strategy="disable")
        self.val_loss = MeanMetric(nan_strategy="disable")

    def _loss(self, photos: Tensor, labels: Tensor) -> tuple[Tensor, Tensor]:
        logits = self.model(photos)
        targets = self.model.head.targets(labels)
        total = torch.stack([self.loss(logits[name].float(), targets[name]) for name in logits]).sum()
        return total, self.model.head.log_table(logits)

    def training_step(self, batch: Batch, index: int) -> Tensor:
        """Return the loss of one batch."""
        loss, _ = self._loss(batch.photos, batch.targets)
        self.train_loss.update(loss.detach(), weight=len(batch.photos))
        return loss

    def on_train_epoch_start(self) -> None:
        """Start a new mean."""
        self.train_loss.reset()

    def validation_step(self, batch: Batch, index: int) -> None:
        """Count one batch."""
        if len(batch.photos) == 0:
            return
        loss, table = self._loss(batch.photos, batch.labels)
        self.val_loss.update(loss, weight=len(batch.photos))
        self.confusion.update(table.argmax(1), batch.labels)

    def on_validation_epoch_start(self) -> None:
        """Start new counts."""
        self.val_loss.reset()
        self.confusion.reset()

    def on_validation_epoch_end(self) -> None:
        """Score the whole validation set from its counts: a mean of batch scores would be another number."""
        matrix = self.confusion.compute().cpu().numpy()
        scores = {
            "val/macro_f1": float(metrics.macro_f1(matrix)),
            "val/accuracy": float(metrics.accuracy(matrix)),
            "val/loss": float(self.val_loss.compute()),
            "train/loss": float(self.train_loss.compute()),
            "train/lr": self.trainer.optimizers[0].param_groups[0]["lr"],
        }
        self.log_dict(scores, rank_zero_only=False)

    def configure_optimizers(self) -> OptimizerLRSchedulerConfig:
        """Make optimiser and schedule; the schedule's unit is the optimiser step."""
        optimiser = optimisers.build(self.recipe.optimiser, self.model, self.recipe.lr)
        schedule: Any = schedules.build(self.recipe.schedule, optimiser, lr=self.recipe.lr, steps=self.steps)
        return {"optimizer": optimiser, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
