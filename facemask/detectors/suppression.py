"""Non-maximum suppression by overlap with the smaller of two boxes, and what is known of it before scores are exact."""

from __future__ import annotations

from typing import Final

import numpy as np
import numpy.typing as npt

from facemask.runtime.arrays import Floats, Ints

# How far float32 may be off in a score or its log-odds, and in an overlap; a thousand times what was seen.
DOUBT: Final = 0.01
# Of two boxes, as a share of the smaller one, above which only the better one stays.
_OVERLAP: Final = 0.7
# Of more boxes than that in one photo, the overlaps of each two would take 100 MB and more.
_HEAP: Final = 1000


def _overlaps(boxes: Floats, others: Floats) -> Floats:
    """Common area of (N, 4) boxes with each of (M, 4) others, as a share of the smaller one: (N, M)."""
    (ax0, ay0, ax1, ay1), (bx0, by0, bx1, by1) = boxes.T[:, :, None], others.T[:, None, :]
    wide = np.maximum(0, np.minimum(ax1, bx1) - np.maximum(ax0, bx0) + 1)
    high = np.maximum(0, np.minimum(ay1, by1) - np.maximum(ay0, by0) + 1)
    areas = (ax1 - ax0 + 1) * (ay1 - ay0 + 1), (bx1 - bx0 + 1) * (by1 - by0 + 1)
    shares: Floats = wide * high / np.minimum(*areas)
    return shares


def best(boxes: Floats, scores: Floats) -> Ints:
    """Non-maximum suppression by overlap with the smaller of two boxes; returns the kept rows, best first."""
    left = np.argsort(scores)
    kept = []
    while left.size:
        first, left = left[-1], left[:-1]
        kept.append(first)
        left = left[_overlaps(boxes[[first]], boxes[left])[0] <= _OVERLAP]
    return np.array(kept, dtype=np.int64)


def outdone(boxes: Floats, odds: Floats, lowest: float) -> npt.NDArray[np.bool_]:
    """Boxes that :func:`best` suppresses however far float32 is off: by one that nothing can suppress."""
    if len(boxes) > _HEAP:
        return np.zeros(len(boxes), dtype=bool)
    overlaps, lead = _overlaps(boxes, boxes), np.subtract.outer(odds, odds)
    rivals = (lead > -DOUBT) & (overlaps > _OVERLAP - DOUBT) & ~np.eye(len(boxes), dtype=bool)
    safe = ~rivals.any(axis=0) & (odds > lowest + DOUBT)
    return np.asarray((safe[:, None] & (lead > DOUBT) & (overlaps > _OVERLAP + DOUBT)).any(axis=0))
