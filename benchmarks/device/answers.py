"""Answering photos: images/s of one network, two views, on pixels that are in memory."""

from __future__ import annotations

import time

from benchmarks.device import plan as plans
from benchmarks.device.plan import Figures, Plan
from facemask.network.classifier import Classifier
from facemask.network.predict import predict
from facemask.runtime.errors import UserError


def measure(plan: Plan) -> Figures:
    """Images/s by precision, compiled and not; a first pass warms up."""
    recipe = plans.recipe(plans.LARGE, plan)
    cfg = plans.shipped(plans.LARGE).infer
    model, batch = Classifier(recipe).eval(), 8 if plan.tiny else 128
    pixels = plans.noise(batch, recipe.image.size)
    found: Figures = {}
    for name, precision, compiled in (
        ("32", "32", False),
        ("bf16", "bf16", False),
        ("bf16, compiled", "bf16", True),
    ):
        if plan.tiny and name != "32":
            continue
        try:
            how = {"precision": precision, "compiled": compiled}
            predict([model], [pixels] * 2, cfg.views, cfg.average, **how)  # type: ignore[arg-type]
            start, count = time.perf_counter(), 1 if plan.tiny else 20
            predict([model], [pixels] * count, cfg.views, cfg.average, **how)  # type: ignore[arg-type]
            rate = batch * count / (time.perf_counter() - start)
            found[name] = {
                "images_per_second": round(rate, 1),
                "views": len(cfg.views),
                "peak_gib": plans.peak(),
            }
        except (UserError, RuntimeError) as error:
            found[name] = {"error": plans.told(error)}
    return {"by_precision": found}
