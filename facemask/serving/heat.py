"""Pictures of where the networks look, as the report draws them."""

from __future__ import annotations

import copy
import threading
from collections.abc import Sequence

import numpy as np

from facemask.pixels import codec
from facemask.runtime.arrays import Pixels
from facemask.serving.predictor import Predictor


class HeatMaps:
    """Grad-CAM of the first fold, see :mod:`facemask.report.gradcam`; what it needs is imported with the first picture.

    Works on a copy of the network, and one request at a time: it hangs hooks into the layers, through which photos of
    others must not go.
    """

    def __init__(self, model: Predictor) -> None:
        self._model = copy.deepcopy(model.folds[0])
        self._alone = threading.Lock()

    def draw(self, crops: Pixels, labels: Sequence[int]) -> list[bytes | None]:
        """JPEGs of crops (N, H, W, 3) with what speaks for their classes; None where the network has no maps."""
        from facemask.report import gradcam

        with self._alone:
            found = gradcam.heat(self._model, crops, np.asarray(labels, dtype=np.int64))
        if found is None:
            return [None] * len(crops)
        return [
            codec.encode_jpeg(gradcam.overlay(photo, heated))
            for photo, heated in zip(crops, found, strict=True)
        ]
