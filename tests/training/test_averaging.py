"""Averaged weights: their value, and that those validated are those kept."""

from __future__ import annotations

import copy
import warnings
from pathlib import Path

import lightning as L
import pytest
import torch
from lightning.pytorch.callbacks import Callback, ModelCheckpoint
from torch import Tensor, nn
from torch.utils.data import DataLoader

from facemask.settings import recipes
from facemask.training import averaging

BATCHES = 3
State = dict[str, Tensor]


class Toy(L.LightningModule):
    """A small network with batch statistics, and the weights seen on the way."""

    def __init__(self, scores: list[float]) -> None:
        super().__init__()
        torch.manual_seed(1)
        self.model = nn.Sequential(nn.Linear(4, 5), nn.BatchNorm1d(5), nn.Linear(5, 1))
        self.model.register_buffer("fixed", torch.tensor([0.1, 0.7]))
        self.scores = scores
        self.stepped: list[State] = []
        self.validated: list[State] = []

    def state(self) -> State:
        return copy.deepcopy(self.model.state_dict())

    def training_step(self, batch: Tensor, index: int) -> Tensor:
        return (self.model(batch) - batch.sum(1, keepdim=True)).square().mean()

    def validation_step(self, batch: Tensor, index: int) -> None:
        self.validated.append(self.state())

    def on_validation_epoch_end(self) -> None:
        self.log("score", self.scores[self.current_epoch])

    def configure_optimizers(self) -> torch.optim.Optimizer:
        return torch.optim.SGD(self.parameters(), lr=0.1)


class Steps(Callback):
    """The trained weights after each batch."""

    def on_train_batch_end(self, trainer, task, *rest) -> None:
        task.stepped.append(task.state())


def run(
    cfg: recipes.Ema | recipes.Swa | recipes.Nothing,
    folder: Path,
    scores: list[float],
    accumulate: int = 1,
) -> tuple[Toy, ModelCheckpoint]:
    """Train one epoch a score; the score chooses the epoch that is kept."""
    task, epochs = Toy(scores), len(scores)
    best = ModelCheckpoint(folder, monitor="score", mode="max", save_weights_only=False)
    added = averaging.callback(cfg, epochs)
    trainer = L.Trainer(
        accelerator="cpu",
        devices=1,
        max_epochs=epochs,
        accumulate_grad_batches=accumulate,
        logger=False,
        callbacks=[best, Steps(), *([added] if added else [])],
        num_sanity_val_steps=0,
        enable_progress_bar=False,
        enable_model_summary=False,
    )
    photos = torch.randn(BATCHES * 4, 4, generator=torch.Generator().manual_seed(0)) + 1
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", module=r"lightning\..*")
        trainer.fit(task, DataLoader(photos, 4), DataLoader(photos[:4], 4))
    return task, best


def kept(best: ModelCheckpoint) -> State:
    """As the trainer reads it."""
    whole = torch.load(best.best_model_path, weights_only=True)
    return {k.removeprefix("model."): v for k, v in whole["state_dict"].items() if k.startswith("model.")}


def mean(states: list[State]) -> State:
    return {
        name: torch.stack([state[name].double() for state in states]).mean(0).to(first.dtype)
        for name, first in states[0].items()
    }


def same(found: State, wanted: State) -> None:
    assert found.keys() == wanted.keys()
    for name, value in wanted.items():
        if name.endswith("num_batches_tracked"):
            continue  # a count, which is averaged and cut
        torch.testing.assert_close(
            found[name], value, rtol=1e-5, atol=1e-6, msg=lambda text, n=name: f"{n} {text}"
        )


EMA = recipes.Ema(kind="ema", decay=0.6)
# Of 5 epochs, those from the third (2, from 0) on.
SWA = recipes.Swa(kind="swa", start=0.3)
RISING, FALLING = [0.1, 0.2, 0.3, 0.4, 0.5], [0.5, 0.4, 0.3, 0.2, 0.1]
MIDDLE = [0.1, 0.2, 0.3, 0.5, 0.4]


@pytest.mark.slow
def test_ema_is_validated_after_every_epoch(tmp_path):
    task, _ = run(EMA, tmp_path, RISING)
    average = task.stepped[0]
    for step, state in enumerate(task.stepped):
        if step:
            average = {
                name: (0.6 * average[name].double() + 0.4 * value.double()).to(value.dtype)
                for name, value in state.items()
            }
        if step % BATCHES == BATCHES - 1:
            same(task.validated[step // BATCHES], average)
    assert not torch.allclose(task.validated[-1]["0.weight"], task.stepped[-1]["0.weight"], atol=1e-4)


def test_ema_counts_optimiser_steps_not_batches(tmp_path):
    task, _ = run(EMA, tmp_path, [0.1], accumulate=2)
    first, second = task.stepped[1], task.stepped[2]
    mixed = 0.6 * first["0.weight"] + 0.4 * second["0.weight"]
    torch.testing.assert_close(task.validated[0]["0.weight"], mixed)


def test_what_never_changes_stays_the_same_to_the_bit(tmp_path):
    for cfg in (EMA, SWA):
        task, best = run(cfg, tmp_path / cfg.kind, RISING)
        assert torch.equal(kept(best)["fixed"], torch.tensor([0.1, 0.7]))
        assert torch.equal(task.model.fixed, torch.tensor([0.1, 0.7]))


def test_swa_is_the_mean_of_the_ends_of_late_epochs(tmp_path):
    task, _ = run(SWA, tmp_path, RISING)
    ends = task.stepped[BATCHES - 1 :: BATCHES]
    for epoch in range(5):
        same(task.validated[epoch], mean(ends[2 : epoch + 1]) if epoch >= 2 else ends[epoch])
    assert not torch.allclose(task.validated[-1]["0.weight"], ends[-1]["0.weight"], atol=1e-4)


@pytest.mark.parametrize("cfg", [EMA, SWA], ids=lambda cfg: cfg.kind)
@pytest.mark.parametrize(("scores", "epoch"), [(RISING, 4), (MIDDLE, 3), (FALLING, 0)])
def test_the_weights_kept_are_those_validated(cfg, scores, epoch, tmp_path):
    """Also in an epoch before there is an average."""
    task, best = run(cfg, tmp_path, scores)
    found, wanted = kept(best), task.validated[epoch]
    assert found.keys() == wanted.keys()
    assert all(torch.equal(found[name], wanted[name]) for name in wanted)


@pytest.mark.parametrize("cfg", [EMA, SWA], ids=lambda cfg: cfg.kind)
def test_training_goes_on_from_the_trained_weights(cfg, tmp_path):
    """The average is looked at, and never trained."""
    plain, _ = run(recipes.Nothing(kind="none"), tmp_path / "plain", RISING)
    task, _ = run(cfg, tmp_path / "average", RISING)
    for found, wanted in zip(task.stepped, plain.stepped, strict=True):
        assert all(torch.equal(found[name], wanted[name]) for name in wanted)
    assert all(torch.equal(task.state()[name], value) for name, value in task.validated[-1].items())


@pytest.mark.parametrize(
    ("start", "epochs", "first"),
    [(0.0, 10, 0), (0.28, 25, 7), (0.75, 8, 6), (0.3, 5, 2), (0.75, 1, 0), (1.0, 10, 9)],
)
def test_averaging_starts_at_its_share_of_the_epochs_and_not_after_the_last(start, epochs, first):
    assert averaging.first_epoch(start, epochs) == first


def test_none_is_none():
    assert averaging.callback(recipes.Nothing(kind="none"), 3) is None
