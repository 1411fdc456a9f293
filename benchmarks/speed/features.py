"""Features of a frozen ONNX network, batches on all cores, against onnxruntime's own loop over single photos."""

from __future__ import annotations

import hashlib
import os

import numpy as np
import onnxruntime
import torch
import yaml

from benchmarks.speed import material, turns
from benchmarks.speed.outcome import HERE, Effort, Outcome, skipped
from facemask.network import reader
from facemask.network.classifier import Classifier
from facemask.runtime import hardware
from facemask.training import features

FILE = HERE / "models" / "pretrained" / "sface_2021dec_features.onnx"
PRESET = HERE / "presets" / "quick.yaml"


def measure(effort: Effort) -> Outcome:
    """Time the preset quick's network on the same photos, without a memo; both sides have all cores."""
    if not FILE.is_file():
        return skipped(f"models/pretrained/{FILE.name} is absent")
    recipe = material.recipe_of(material.shipped(**yaml.safe_load(PRESET.read_text())["params"]))
    session = onnxruntime.InferenceSession(str(FILE), providers=["CPUExecutionProvider"])
    torch.manual_seed(0)
    model = Classifier(recipe).eval().to(memory_format=torch.channels_last)
    before = os.environ.get("FACEMASK_MEMO")
    os.environ["FACEMASK_MEMO"] = "0"
    try:
        with material.contest_photos(effort.photos) as given:
            stored = material.stored(given)
            photos = reader.PhotoReader(stored, stored, recipe.image)
            pixels = np.concatenate(list(photos.stream(material.rows(given), 64)))

            def batches() -> None:
                features.of(model, pixels, label="features")

            def singly() -> None:
                for one in pixels:
                    session.run(None, {"data": one.transpose(2, 0, 1)[None].astype(np.float32)})

            taken = turns.alternate(
                {"features": turns.timed(batches), "singly": turns.timed(singly)}, effort.rounds
            )
    finally:
        if before is None:
            del os.environ["FACEMASK_MEMO"]
        else:
            os.environ["FACEMASK_MEMO"] = before
    seconds = turns.medians(taken)
    return Outcome(
        round(turns.ratio(taken, "singly", "features"), 4),
        figures={
            "photos_per_second": {name: round(len(pixels) / one, 1) for name, one in seconds.items()},
            "rounds_between": turns.spread(taken, "singly", "features"),
            "cores": hardware.cores(),
            "network": hashlib.sha256(FILE.read_bytes()).hexdigest()[:12],
        },
        note="features are kept: a second probe of the same photos computes none",
    )
