"""Do probabilities mean what they say? Reliability of the top label and its expected calibration error.

References
----------
Guo, C., Pleiss, G., Sun, Y., and Weinberger, K. Q. (2017). On Calibration of Modern Neural Networks. ICML.
https://arxiv.org/abs/1706.04599
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from facemask.runtime.arrays import Floats, Ints


@dataclass(frozen=True)
class Reliability:
    """Photos by the probability of their predicted class, in M equal-width bins ``(edges[m], edges[m+1]]``.

    Attributes
    ----------
    edges
        (M + 1,) from 0 to 1.
    photos
        (M,) photos in each bin.
    confidence
        (M,) mean probability of the predicted class, 0..1; NaN in an empty bin.
    accuracy
        (M,) fraction of correct predictions, 0..1; NaN in an empty bin.
    """

    edges: Floats
    photos: Ints
    confidence: Floats
    accuracy: Floats

    @property
    def error(self) -> float:
        """Expected calibration error, 0..1: mean distance of confidence and accuracy, weighted by photos."""
        filled = self.photos > 0
        gap = np.abs(self.confidence[filled] - self.accuracy[filled])
        return float((gap * self.photos[filled]).sum() / self.photos.sum())


def reliability(probabilities: npt.NDArray[np.floating], official: npt.ArrayLike, bins: int) -> Reliability:
    """Bin photos by the probability of their predicted class.

    Parameters
    ----------
    probabilities
        (N, K), rows summing to 1, N > 0.
    official
        (N,) true classes 0..K-1.
    bins
        Number of equal-width bins over 0..1, at least 1.

    Raises
    ------
    ValueError
        If there is no row, the lengths differ or bins is below 1.
    """
    table, truth = np.asarray(probabilities, dtype=np.float64), np.asarray(official, dtype=np.int64)
    if table.ndim != 2 or not len(table) or len(table) != len(truth) or bins < 1:
        raise ValueError(
            f"{table.shape} probabilities, {len(truth)} classes, {bins} bins: (N, K), N and 1 are the least"
        )
    top = table.max(1)
    edges = np.linspace(0, 1, bins + 1)
    where = np.digitize(top, edges[1:-1], right=True)
    photos = np.bincount(where, minlength=bins)

    def mean(values: Floats) -> Floats:
        total = np.bincount(where, weights=values, minlength=bins)
        out = np.full(bins, np.nan)
        np.divide(total, photos, out=out, where=photos > 0)
        return out

    right = (table.argmax(1) == truth).astype(np.float64)
    return Reliability(edges, photos.astype(np.int64), mean(top), mean(right))
