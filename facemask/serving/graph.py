"""The whole model as one network: pixels of a face in, 18 probabilities out; views, folds and combination inside."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, assert_never

import torch
from torch import Tensor, nn

from facemask.ensemble import combiner, temperature
from facemask.network import tta
from facemask.network.classifier import Classifier
from facemask.network.predict import Average
from facemask.records import classes
from facemask.scoring import marginals, metrics
from facemask.settings import params

# Rounds of proportional fitting in a graph, which cannot stop where nothing changes any more.
_ROUNDS: Final = 30


class Whole(nn.Module):
    """What :func:`facemask.network.predict.predict` and a combination do, in float32.

    Parameters
    ----------
    folds
        Networks in evaluation mode.
    views, average
        As in ``infer``.
    fitted
        What is applied to the folds' mean; None for nothing.
    """

    def __init__(
        self,
        folds: Sequence[Classifier],
        views: Sequence[params.View],
        average: Average,
        fitted: combiner.Fitted | None,
    ) -> None:
        super().__init__()
        self.folds = nn.ModuleList(folds)
        self._views, self._average, self._fitted = tuple(views), average, fitted

    def forward(self, photos: Tensor) -> Tensor:
        """Probabilities (N, 18) of (N, H, W, 3) uint8."""
        seen = [tta.view(photos, cfg) for cfg in self._views]
        table = torch.stack([self._fold(fold, seen) for fold in self.folds]).mean(0)
        table = _distribution(table)
        return table if self._fitted is None else _combined(table, self._fitted)

    def _fold(self, fold: nn.Module, seen: Sequence[Tensor]) -> Tensor:
        assert isinstance(fold, Classifier)
        logs = torch.stack([fold.log_table(view) for view in seen])
        match self._average:
            case "probabilities":
                return logs.exp().mean(0)
            case "logits":
                return logs.mean(0).softmax(-1)
            case _:
                assert_never(self._average)


def _combined(table: Tensor, fitted: combiner.Fitted) -> Tensor:
    """As :class:`facemask.ensemble.combiner.Fitted` does with one table."""
    table = _ruled(table, fitted.rule)
    if fitted.tau:
        prior = torch.tensor(fitted.prior, dtype=torch.float32)
        known = torch.where(prior > 0, prior, prior[prior > 0].min() / 2)
        table = (table.log() - fitted.tau * known.log()).softmax(1)
    match fitted.calibration:
        case None:
            return table
        case temperature.Single():
            return _scaled(table, fitted.calibration.temperature)
        case temperature.PerTask():
            return _per_task(table, fitted.calibration)
        case _:
            assert_never(fitted.calibration)


def _ruled(table: Tensor, rule: combiner.Rule) -> Tensor:
    match rule:
        case combiner.Mean():
            return table
        case combiner.TaskMeans():
            return _likely(table)
        case combiner.Votes():
            part = 0.1 / (rule.votes + 1)
            shares = (torch.arange(classes.COUNT) == table.argmax(1, keepdim=True)).float()
            return _distribution((1 - part) * shares + part * table)
        case combiner.Stacker():
            features = table.clamp_min(combiner.SMALLEST).log()
            weights = torch.tensor(rule.coefficients, dtype=torch.float32)
            logits = features @ weights.T + torch.tensor(rule.intercepts, dtype=torch.float32)
            known = torch.zeros(len(rule.known), classes.COUNT)
            known[torch.arange(len(rule.known)), list(rule.known)] = 1
            others = table * (1 - known.sum(0))
            left = (1 - others.sum(1, keepdim=True)).clamp_min(0)
            return _distribution(others + left * logits.softmax(1) @ known)
        case _:
            assert_never(rule)


def _per_task(table: Tensor, tasks: temperature.PerTask) -> Tensor:
    cube = _likely(table).reshape(-1, *classes.SHAPE)
    others = {"mask": (2, 3), "gender": (1, 3), "age": (1, 2)}
    wanted = {
        name: _distribution(_scaled(cube.sum(axes), getattr(tasks, name)).clamp_min(marginals.LEAST))
        for name, axes in others.items()
    }
    for _ in range(_ROUNDS):
        for (name, axes), shape in zip(
            others.items(), ((-1, 3, 1, 1), (-1, 1, 2, 1), (-1, 1, 1, 3)), strict=True
        ):
            cube = cube * (wanted[name].reshape(shape) / cube.sum(axes, keepdim=True))
    return _distribution(cube.reshape(-1, classes.COUNT))


def _likely(table: Tensor) -> Tensor:
    return _distribution(table.clamp_min(metrics.SMALLEST))


def _scaled(table: Tensor, by: float) -> Tensor:
    return _distribution((table / table.max(1, keepdim=True).values) ** (1 / by))


def _distribution(table: Tensor) -> Tensor:
    return table / table.sum(1, keepdim=True)
