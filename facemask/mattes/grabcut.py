"""The person by OpenCV's GrabCut, told where a portrait's person usually is; needs no weights.

References
----------
Rother, Kolmogorov, Blake: "GrabCut": interactive foreground extraction using iterated graph cuts, 2004.
https://doi.org/10.1145/1015706.1015720
He, Sun, Tang: Guided Image Filtering, 2010 (the soft edge). https://doi.org/10.1007/978-3-642-15549-9_1
"""

from __future__ import annotations

import functools

import cv2
import numpy as np
import numpy.typing as npt

from facemask.runtime.arrays import Floats, Pixels


def matte(photo: Pixels, *, iterations: int, height: int) -> Pixels:
    """Separate the person of a head-and-shoulders portrait.

    Parameters
    ----------
    photo
        (H, W, 3) RGB.
    iterations
        Rounds of colour-model fitting.
    height
        The photo is segmented at this height (pixels), its edge then refined at the photo's own.

    Returns
    -------
    (H, W) uint8, 255 for person; all 0 where no person could be told from the background
    """
    high, wide = photo.shape[:2]
    scale = min(1.0, height / high)
    small = (max(8, round(wide * scale)), max(8, round(high * scale)))
    shrunk = np.asarray(cv2.resize(photo, small, interpolation=cv2.INTER_AREA), dtype=np.uint8)
    person = _whole(_cut(shrunk, iterations))
    if not person.any():
        return np.zeros((high, wide), dtype=np.uint8)
    # In float64: the last bits, which differ from CPU to CPU, are then too small to move a grey level.
    soft = cv2.resize(person.astype(np.float64), (wide, high), interpolation=cv2.INTER_LINEAR)
    guide = cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY) / 255
    refined = _guided(guide, np.asarray(soft, dtype=np.float64), radius=max(1, round(high / 128)))
    # Stretched, so that noise far from the edge becomes plainly in or out.
    return np.asarray(np.rint(((refined - 0.5) * 1.5 + 0.5).clip(0, 1) * 255), dtype=np.uint8)


@functools.lru_cache(maxsize=4)
def _seeds(high: int, wide: int) -> Pixels:
    """(high, wide) GrabCut labels of a portrait: a head, hair beside it, a neck and shoulders; the frame is outside.

    The wide ring around the sure head starts as person: the background's colours are then learnt from the frame
    alone, and hair is not taken for background.
    """
    v, u = np.mgrid[0:high, 0:wide].astype(np.float64)
    u, v = np.abs((u + 0.5) / wide - 0.5), (v + 0.5) / high
    head = np.hypot(u / 0.23, (v - 0.39) / 0.25)
    body = np.hypot(u / 0.50, (v - 1.08) / 0.36)
    neck = np.where((v > 0.5) & (v < 0.85), u / 0.11, np.inf)
    hair = np.where(v > 0.39, u / 0.23, np.inf)
    labels = np.full((high, wide), cv2.GC_BGD, dtype=np.uint8)
    labels[(head < 1.6) | (body < 1.35) | (hair < 1.4) | (neck < 2)] = cv2.GC_PR_BGD
    labels[(head < 1.45) | (body < 1.1) | (hair < 1.3) | (neck < 1)] = cv2.GC_PR_FGD
    labels[(head < 0.72) | (body < 0.72) | (neck < 0.5)] = cv2.GC_FGD
    return labels


def _cut(photo: Pixels, iterations: int) -> npt.NDArray[np.bool_]:
    labels = _seeds(*photo.shape[:2]).copy()
    # The colour models start from a k-means with OpenCV's own generator: seeded for every photo alike.
    cv2.setRNGSeed(0)
    ground, figure = np.zeros((1, 65)), np.zeros((1, 65))
    swapped = np.ascontiguousarray(photo[..., ::-1])
    cv2.grabCut(swapped, labels, (0, 0, 0, 0), ground, figure, iterations, cv2.GC_INIT_WITH_MASK)
    return np.isin(labels, (cv2.GC_FGD, cv2.GC_PR_FGD))


def _whole(person: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Drop specks, keep the largest connected part and close its holes."""
    side = 2 * round(person.shape[0] / 96) + 1
    disc = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (side, side))
    smooth = cv2.morphologyEx(person.astype(np.uint8), cv2.MORPH_CLOSE, disc)
    smooth = cv2.morphologyEx(smooth, cv2.MORPH_OPEN, disc)
    count, parts, stats, _ = cv2.connectedComponentsWithStats(smooth, connectivity=4)
    if count < 2:
        return np.zeros_like(person)
    largest = parts == 1 + int(np.argmax(stats[1:, cv2.CC_STAT_AREA]))
    # Background reaches the frame's top or sides; what does not is a hole.
    ground = np.pad((~largest).astype(np.uint8), ((1, 0), (1, 1)), constant_values=1)
    _, outside = cv2.connectedComponents(ground, connectivity=4)
    return np.asarray(outside[1:, 1:-1] != outside[0, 0])


def _guided(guide: Floats, soft: Floats, radius: int, eps: float = 1e-4) -> Floats:
    """Smooth ``soft`` (0..1) along the edges of ``guide`` (0..1)."""

    def mean(values: Floats) -> Floats:
        return np.asarray(cv2.blur(values, (2 * radius + 1, 2 * radius + 1)), dtype=np.float64)

    mean_guide, mean_soft = mean(guide), mean(soft)
    slope = (mean(guide * soft) - mean_guide * mean_soft) / (mean(guide * guide) - mean_guide**2 + eps)
    offset = mean_soft - slope * mean_guide
    return mean(slope) * guide + mean(offset)
