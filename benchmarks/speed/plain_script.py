"""Training against a plain PyTorch script: PIL, torchvision transforms, one loader worker, cross-entropy.

Network, size of photos and batch are equal. The script decodes every photo in every epoch; this project decodes once
(counted, over :data:`EPOCHS` epochs) what face_crop stored.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import timm
import torch
from PIL import Image
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset
from torchvision import transforms  # type: ignore[import-untyped]

from benchmarks.speed import material, train_loop, turns
from benchmarks.speed.material import Material
from benchmarks.speed.outcome import Effort, Outcome
from facemask.network import reader
from facemask.records import classes
from facemask.settings import recipes
from facemask.training import fit, pixels, ranks

EPOCHS: Final = 10


class Files(Dataset[tuple[Tensor, int]]):
    """Photo files and their classes, opened and transformed when they are asked for."""

    def __init__(self, paths: Sequence[Path], labels: Sequence[int], transform: Any) -> None:
        self.paths, self.labels, self.transform = paths, labels, transform

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, place: int) -> tuple[Tensor, int]:
        return self.transform(Image.open(self.paths[place]).convert("RGB")), int(self.labels[place])


class Script:
    """The plain script: a network, an optimiser, a loader."""

    def __init__(self, recipe: recipes.Recipe, paths: Sequence[Path], labels: Sequence[int]) -> None:
        assert isinstance(recipe.backbone, recipes.Timm)
        size = recipe.image.size
        sized: dict[str, Any] = {"img_size": size} if "vit" in recipe.backbone.name else {}
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        self.model = timm.create_model(recipe.backbone.name, num_classes=classes.COUNT, **sized).to(
            self.device
        )
        self.optimiser = torch.optim.AdamW(self.model.parameters(), lr=1e-3)
        transform = transforms.Compose(
            [
                transforms.Resize(size),
                transforms.RandomHorizontalFlip(),
                transforms.RandomRotation(10),
                transforms.ColorJitter(0.1, 0.1, 0.1, 0.1),
                transforms.ToTensor(),
                transforms.Normalize(recipe.image.mean, recipe.image.std),
            ]
        )
        self.batches = DataLoader(
            Files(paths, labels, transform), batch_size=recipe.batch_size, shuffle=True, num_workers=1
        )

    def epoch(self) -> None:
        """Train once over all photos, with the running figures that such scripts keep."""
        self.model.train()
        criterion, right, total = nn.CrossEntropyLoss(), 0, 0.0
        for photos, labels in self.batches:
            shown, wanted = photos.to(self.device), labels.to(self.device)
            self.optimiser.zero_grad()
            logits = self.model(shown)
            loss = criterion(logits, wanted)
            loss.backward()
            self.optimiser.step()
            total += loss.item()
            right += int((logits.argmax(1) == wanted).sum().item())


def measure(effort: Effort) -> Outcome:
    """Time epochs of every network and size; the ratio is the worst case's."""
    cases: dict[str, Any] = {}
    with material.contest_photos(effort.photos) as given:
        for height in effort.heights:
            for model in effort.models:
                cases[f"{model}, {height} px"] = _case(given, material.recipe(model, height), effort.rounds)
    return Outcome(
        min(case["ratio"] for case in cases.values()),
        figures=cases | {"epochs": EPOCHS, "device": train_loop.device()},
        note=f"the table's ratio is the worst case's; ours counts decoding once and {EPOCHS} epochs, both without "
        "validation; the script reads the photos themselves, plain_on_crops what face_crop stored; beside the "
        "loader, ours has channels_last, a fused optimiser and three heads; of few photos the script's worker, "
        "started anew for each epoch, weighs more than it would of thousands",
    )


def _case(given: Material, recipe: recipes.Recipe, rounds: int) -> dict[str, Any]:
    stored = material.stored(given)
    count = len(given.photos)
    rows = material.rows(given)
    photos = reader.PhotoReader(stored, stored, recipe.image)

    def decode() -> None:
        with pixels.decoded(photos, rows, label="photos"):
            pass

    with pixels.decoded(photos, rows, label="photos") as one:
        ours = train_loop.side(one.photos)
        batches, steps = fit.loaders(recipe, ours, None, seed=1, process=ranks.Process(0, 1))
        task = train_loop.make(recipe, ours, steps)
        plain = Script(recipe, given.paths, ours.labels.tolist())
        on_crops = Script(recipe, material.unpacked(given), ours.labels.tolist())
        taken = turns.alternate(
            {
                "decode": turns.timed(decode),
                "ours": lambda: train_loop.epoch(recipe, task, batches),
                "plain": turns.timed(plain.epoch),
                "plain_on_crops": turns.timed(on_crops.epoch),
            },
            rounds,
        )
    middle = turns.medians(taken)
    ours_seconds = middle["ours"] + middle["decode"] / EPOCHS
    return {
        "ratio": round(middle["plain"] / ours_seconds, 4),
        "ratio_to_plain_on_crops": round(middle["plain_on_crops"] / ours_seconds, 4),
        "images_per_second": {
            "ours": round(count / ours_seconds, 1),
            "ours_once_decoded": round(count / middle["ours"], 1),
            "decoding": round(count / middle["decode"], 1),
            "plain": round(count / middle["plain"], 1),
            "plain_on_crops": round(count / middle["plain_on_crops"], 1),
        },
    }
