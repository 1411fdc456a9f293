"""What a network that is not trained makes of photos, kept by content so that each photo is paid for once."""

from __future__ import annotations

import functools
import hashlib
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import torch

from facemask.network.classifier import Classifier
from facemask.photos import memo, photos
from facemask.runtime import executor, hardware, progress, threads
from facemask.runtime.arrays import Floats, Pixels

# Batches always have the same shape, so that a photo's features do not depend on the photos beside it.
BATCH: Final = 16


@dataclass(frozen=True)
class _Compute:
    model: Classifier
    device: torch.device

    @torch.inference_mode()
    def __call__(self, some: Sequence[Pixels]) -> list[bytes]:
        batch = np.zeros((BATCH, *some[0].shape), np.uint8)
        for place, pixels in enumerate(some):
            batch[place] = pixels
        found = self.model.features(torch.from_numpy(batch).to(self.device))
        whole = torch.cat([found[name] for name in self.model.backbones], 1).float().cpu().numpy()
        return [np.ascontiguousarray(row, np.float32).tobytes() for row in whole[: len(some)]]


def of(model: Classifier, pixels: Pixels, *, label: str) -> Floats:
    """Features (N, D) of photos (N, H, W, 3) uint8, those of several backbones side by side.

    A photo's place in the memo is told by all that its features depend on: its pixels as the network sees them (so its
    content, crop, turn and background), the network's layers, weights and normalisation, and the code's own source.

    Parameters
    ----------
    model
        In evaluation mode; on the CPU before and after.
    label
        What the progress line calls this.
    """
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    ours = memo.fingerprint(
        {"network": _digest(model), "device": device.type},
        ["network", "training"],
        ["torch", "timm", "onnx2torch", "facenet-pytorch", "numpy"],
    )
    keys = [memo.key(ours, hashlib.sha256(np.ascontiguousarray(one).tobytes()).hexdigest()) for one in pixels]
    model.eval().to(device)
    workers = hardware.cores() if device.type == "cpu" else 1
    pool = functools.partial(executor.threads, workers=workers)
    with memo.opened("features") as kept, threads.one_thread():
        made = photos.each(_Compute(model, device), list(pixels), keys, kept, pool, chunk=BATCH)
        rows = [np.frombuffer(row, np.float32) for row in progress.track(made, total=len(keys), label=label)]
    model.cpu()
    return np.stack(rows).astype(np.float64) if rows else np.zeros((0, 0))


def _digest(model: Classifier) -> str:
    """Hash of a network's layers and numbers, but for those of its head."""
    whole = hashlib.sha256(repr(model.backbones).encode())
    for name, value in [*model.backbones.state_dict().items(), ("mean", model.mean), ("std", model.std)]:
        whole.update(f"{name} {tuple(value.shape)}".encode())
        whole.update(value.detach().cpu().contiguous().numpy().tobytes())
    return whole.hexdigest()
