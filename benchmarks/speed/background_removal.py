"""Mattes by one of rembg's networks: this project's processes against ``rembg.remove``, photo by photo.

rembg's side keeps one session, as its documentation advises; without that it would load the network for each photo.
What is asked for is a stored result, so the measured baseline takes a file's bytes and gives a PNG's bytes, as rembg's
own command does; the figures also have it without encoding anything.
"""

from __future__ import annotations

import functools
import os
from typing import Any

import numpy as np
import rembg
from PIL import Image

from benchmarks.speed import material, turns
from benchmarks.speed.outcome import Effort, Outcome, skipped
from facemask.mattes import mattes
from facemask.photos import memo
from facemask.pixels import codec
from facemask.runtime import executor, hardware
from facemask.runtime.arrays import Pixels

_ALIKE = 0.98
_CHUNK = 16


def measure(effort: Effort) -> Outcome:
    """Time both from file to encoded result, and compare the mattes; starting the processes is left out."""
    if not material.MODEL.is_file():
        return skipped(f"no network: ../shared/models/{material.MODEL.name} is absent")
    matting = mattes.build(material.matting())
    nothing = memo.Memo(None)
    os.environ["U2NET_HOME"] = str(material.MODEL.parent)
    session = rembg.new_session(
        "u2net_custom", model_path=str(material.MODEL), providers=["CPUExecutionProvider"]
    )
    cores = hardware.cores()
    few = min(effort.photos, _CHUNK * cores)
    with material.contest_photos(effort.photos) as given:

        def ours(workers: int, count: int = effort.photos) -> list[mattes.Cutout]:
            pool = functools.partial(executor.processes, workers=workers)
            return list(mattes.separate(matting, given.photos[:count], given.where, nothing, pool))

        def to_bytes() -> list[object]:
            return [rembg.remove(path.read_bytes(), session=session) for path in given.paths]

        def to_pixels() -> list[object]:
            return [rembg.remove(Image.open(path), session=session) for path in given.paths]

        taken = turns.alternate(
            {
                "all": turns.timed(lambda: ours(cores)),
                "few": turns.timed(lambda: ours(cores, few)),
                "one_process": turns.timed(lambda: ours(1)),
                "rembg": turns.timed(to_bytes),
                "rembg_pixels": turns.timed(to_pixels),
            },
            effort.rounds,
        )
        overlaps = [
            _iou(_matte(cutout, photo), np.asarray(photo)[:, :, 3])
            for cutout, photo in zip(ours(1), map(_opaque, to_pixels()), strict=True)
        ]
    middle = turns.medians(taken)
    # Starting processes costs seconds once; the difference of two runs leaves it out.
    rates = {
        f"ours_{cores}_processes": turns.rate(effort.photos, middle["all"], few, middle["few"]),
        "ours_1_process": effort.photos / middle["one_process"],
        "rembg_remove": effort.photos / middle["rembg"],
        "rembg_remove_unencoded": effort.photos / middle["rembg_pixels"],
    }
    best = rates[f"ours_{cores}_processes"]
    figures: dict[str, Any] = {
        "photos_per_second": {name: round(rate, 2) for name, rate in rates.items()},
        "ratio_to_unencoded": round(best / rates["rembg_remove_unencoded"], 3),
        "iou": {"mean": round(float(np.mean(overlaps)), 4), "least": round(min(overlaps), 4)},
        "network": material.MODEL.name,
        "faces": given.what,
    }
    return Outcome(
        best / rates["rembg_remove"],
        holds=float(np.mean(overlaps)) >= _ALIKE,
        figures=figures,
        note=f"{cores} processes against rembg.remove of bytes to PNG bytes with one session at its default threads; "
        "a small network (4 ms a photo): with the real u2net (1 s) only the processes count",
    )


def _iou(one: Pixels, other: Pixels) -> float:
    """Intersection over union of two mattes (H, W) cut at 128; 1 if both are empty."""
    either = int(((one >= 128) | (other >= 128)).sum())
    return int(((one >= 128) & (other >= 128)).sum()) / either if either else 1.0


def _opaque(found: object) -> Image.Image:
    assert isinstance(found, Image.Image)
    return found


def _matte(cutout: mattes.Cutout, like: Image.Image) -> Pixels:
    return codec.decode_matte(cutout.png) if cutout.png else np.zeros((like.height, like.width), np.uint8)
