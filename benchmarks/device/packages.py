"""What other packages do on the device: onnxruntime, by which rembg's networks run, and facenet-pytorch's MTCNN."""

from __future__ import annotations

import os
import time
from collections.abc import Callable

import onnxruntime
import torch
from PIL import Image

from benchmarks.device import plan as plans
from benchmarks.device.plan import Figures, Plan
from benchmarks.speed import material
from facemask.runtime.errors import UserError

PHOTOS = 32


def measure(plan: Plan) -> Figures:
    """Photos/s of each where it can run here; the reason where it cannot."""
    photos = plans.noise(2 if plan.tiny else PHOTOS, (512, 384))
    found: Figures = {"onnxruntime": {"providers": ", ".join(onnxruntime.get_available_providers())}}
    for name, make in (("rembg", _rembg), ("mtcnn", _mtcnn)):
        try:
            work = make(plan)
            work(Image.fromarray(photos[0]))
            start = time.perf_counter()
            for photo in photos:
                work(Image.fromarray(photo))
            rate = len(photos) / (time.perf_counter() - start)
            found[name] = {"photos_per_second": round(rate, 1)}
        except (UserError, RuntimeError, ImportError) as error:
            found[name] = {"error": plans.told(error)}
    return found


def _rembg(plan: Plan) -> Callable[[Image.Image], object]:
    if not material.MODEL.is_file():
        raise UserError(f"{material.MODEL.name} is not here")
    wanted = "CUDAExecutionProvider" if plan.device == "cuda" else "CPUExecutionProvider"
    if wanted not in onnxruntime.get_available_providers():
        raise UserError(f"this onnxruntime has no {wanted}; the package onnxruntime-gpu has")
    # rembg refuses a file outside a folder that it takes for its own.
    os.environ["U2NET_HOME"] = str(material.MODEL.parent)
    from rembg import new_session, remove

    session = new_session("u2net_custom", providers=[wanted], model_path=str(material.MODEL))
    return lambda photo: remove(photo, session=session, only_mask=True)


def _mtcnn(plan: Plan) -> Callable[[Image.Image], object]:
    from facenet_pytorch import MTCNN

    cfg = material.mtcnn()
    found = MTCNN(
        min_face_size=cfg.min_face, thresholds=list(cfg.thresholds), device=torch.device(plan.device)
    )
    return lambda photo: found.detect(photo)
