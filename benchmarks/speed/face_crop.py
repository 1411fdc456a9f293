"""Finding faces: this project's way against ``facenet_pytorch.MTCNN.detect``, photo by photo at its defaults."""

from __future__ import annotations

import functools
from typing import Any

import numpy as np
import torch
from facenet_pytorch import MTCNN
from PIL import Image

from benchmarks.speed import material, turns
from benchmarks.speed.outcome import Effort, Outcome
from facemask.faces import faces, finders
from facemask.photos import memo
from facemask.runtime import executor, hardware
from facemask.runtime.arrays import Floats

# Of photos whose faces must be the same, and how far their boxes must overlap.
_ALIKE, _OVERLAP = 0.99, 0.99


def measure(effort: Effort) -> Outcome:
    """Time both from file to box on one thread, and compare the boxes of the photos' largest faces."""
    torch.set_num_threads(1)
    nothing = memo.Memo(None)
    cfg = material.mtcnn()
    finder = finders.MtcnnFinder(cfg)
    theirs = MTCNN(device="cpu")
    with material.contest_photos(effort.photos) as given:

        def survey(workers: int, count: int = effort.photos) -> list[finders.Detection | None]:
            pool = functools.partial(executor.processes, workers=workers)
            return list(finders.survey(finder, given.photos[:count], given.where, nothing, pool))

        def detect() -> list[Floats]:
            return [_detect(theirs, Image.open(path).convert("RGB")) for path in given.paths]

        cores = hardware.cores()
        few = min(effort.photos, 32 * cores)
        taken = turns.alternate(
            {"ours": turns.timed(lambda: survey(1)), "facenet": turns.timed(detect)},
            effort.rounds,
            warm=False,
        )
        figures: dict[str, Any] = {
            "photos_per_second": {k: round(effort.photos / v, 2) for k, v in turns.medians(taken).items()},
            "rounds_between": turns.spread(taken, "facenet", "ours"),
            "ratio_by_cpu_time": turns.cpu_ratio(taken, "facenet", "ours"),
            "finder": cfg.model_dump(mode="json"),
            "facenet": "MTCNN() at its defaults, min_face_size 20",
        }
        if cores > 1 and effort.photos > few:
            # Starting processes costs seconds once; the difference of two runs leaves it out.
            pool = turns.medians(
                turns.alternate(
                    {
                        "all": turns.timed(lambda: survey(cores)),
                        "few": turns.timed(lambda: survey(cores, few)),
                    },
                    effort.rounds,
                )
            )
            rate = turns.rate(effort.photos, pool["all"], few, pool["few"])
            figures["processes"] = {"count": cores, "photos_per_second": round(rate, 2)}
        pairs = list(zip(survey(1), detect(), strict=True))
        figures |= _agreement(pairs) | {"faces": given.what}
    return Outcome(
        turns.ratio(taken, "facenet", "ours"),
        holds=figures["photos_alike"] >= _ALIKE,
        figures=figures,
        note="file to box, one thread; photos alike: same largest face at IoU >= .99, or none on both sides",
    )


def _detect(theirs: MTCNN, photo: Image.Image) -> Floats:
    boxes, scores = theirs.detect(photo)
    return np.zeros((0, 5)) if boxes is None else np.column_stack([boxes, scores]).astype(np.float64)


def _agreement(pairs: list[tuple[finders.Detection | None, Floats]]) -> dict[str, Any]:
    """How many photos have the same largest face, and how many of our faces facenet finds as well."""
    alike, least, ours, matched = 0, 1.0, 0, 0
    for detection, rows in pairs:
        assert detection is not None
        ours += len(detection.faces)
        matched += sum(_overlaps(face, rows).max(initial=0) >= _OVERLAP for face in detection.faces)
        if not len(detection.faces) or not len(rows):
            alike += len(detection.faces) == len(rows)
            continue
        one = detection.faces[faces.choose(detection, "largest")]
        other = rows[faces.choose(finders.Detection(detection.size, rows), "largest")]
        overlap = float(_overlaps(one, other[None])[0])
        least = min(least, overlap)
        alike += overlap >= _OVERLAP
    return {
        "photos_alike": round(alike / len(pairs), 4),
        "least_iou": round(least, 4),
        "found": {
            "ours": round(
                sum(detection is not None and len(detection.faces) > 0 for detection, _ in pairs)
                / len(pairs),
                4,
            ),
            "facenet": round(sum(len(rows) > 0 for _, rows in pairs) / len(pairs), 4),
        },
        "our_faces_matched": round(matched / max(ours, 1), 4),
    }


def _overlaps(box: Floats, rows: Floats) -> Floats:
    """Intersection over union of one box (>= 4,) with each of (N, >= 4)."""
    x0, y0 = np.maximum(box[:2], rows[:, :2]).T
    x1, y1 = np.minimum(box[2:4], rows[:, 2:4]).T
    shared = np.maximum(x1 - x0, 0) * np.maximum(y1 - y0, 0)
    area = (rows[:, 2] - rows[:, 0]) * (rows[:, 3] - rows[:, 1])
    return np.asarray(shared / ((box[2] - box[0]) * (box[3] - box[1]) + area - shared))
