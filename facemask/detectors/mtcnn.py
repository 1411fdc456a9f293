"""facenet-pytorch's three networks, run over batches of photos.

Finds what ``facenet_pytorch.MTCNN.detect`` finds, faster: channels-last networks, and pyramid and candidate crops
cut from integral images, which is exact area resampling without a loop over crops.

The same boxes on every CPU, whatever the photos beside one: what decides is computed in float64, where the order in
which a CPU adds moves a coordinate by 1e-11 pixels, and is then rounded to 0.01. Float32 (1e-4 pixels) serves only to
leave out, with a margin, the cells of the pyramid and the crops that show no face or one that a better crop shows.

References
----------
Zhang, Zhang, Li, Qiao: Joint Face Detection and Alignment Using Multitask Cascaded Convolutional Networks,
2016.
https://arxiv.org/abs/1604.02878
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import cv2
import numpy as np
import torch
from torch import Tensor

from facemask.detectors.sampling import crop, normalise, shrink
from facemask.detectors.suppression import DOUBT, best, outdone
from facemask.runtime import threads
from facemask.runtime.arrays import Floats, Pixels
from facemask.runtime.imports import lean

with lean():
    from facenet_pytorch.models.mtcnn import ONet, PNet, RNet
    from torchvision.ops import nms  # type: ignore[import-untyped]

FACTOR: Final = 0.709
_PHOTOS: Final = 8
_MOST_PIXELS: Final = 4_000_000
_CROPS: Final = 64
_CELL: Final = 12


class Networks:
    """The proposal, refinement and output networks with their thresholds; runs on one CPU thread.

    Parameters
    ----------
    min_face
        Smallest face looked for, pixels.
    thresholds
        Lowest score that passes each network.
    """

    def __init__(self, min_face: float, thresholds: tuple[float, float, float]) -> None:
        self.min_face = min_face
        self.thresholds = thresholds
        self._quick = [net().eval().to(memory_format=torch.channels_last) for net in (PNet, RNet, ONet)]
        # Its scores are so near 1 that float32 ranks only their log-odds.
        self._quick[2].softmax6_1 = torch.nn.Identity()
        self._exact = [
            net().eval().double().to(memory_format=torch.channels_last) for net in (PNet, RNet, ONet)
        ]

    def find(self, photos: Sequence[Pixels]) -> list[Floats]:
        """Find all faces.

        Parameters
        ----------
        photos
            (H, W, 3) each, of any sizes.

        Returns
        -------
        list of (N, 5)
            One array a photo: x0, y0, x1, y1 in pixels (may reach outside) and score 0..1, best first.
        """
        return [rows[:, :5] for rows in self.landmarks(photos)]

    def landmarks(self, photos: Sequence[Pixels]) -> list[Floats]:
        """Find all faces, and five points of each.

        Parameters
        ----------
        photos
            (H, W, 3) each, of any sizes.

        Returns
        -------
        list of (N, 15)
            One array a photo: the columns of :meth:`find`, then x and y in pixels of the eye on the left of the
            photo, the eye on the right, the nose's tip, the left and the right corner of the mouth.
        """
        found: list[Floats] = [np.zeros((0, 15))] * len(photos)
        sizes = sorted({photo.shape[:2] for photo in photos})
        with threads.one_thread(), torch.inference_mode():
            for height, width in sizes:
                alike = [place for place, photo in enumerate(photos) if photo.shape[:2] == (height, width)]
                batch = max(1, min(_PHOTOS, _MOST_PIXELS // (height * width)))
                for start in range(0, len(alike), batch):
                    some = alike[start : start + batch]
                    for place, rows in zip(some, self._batch([photos[i] for i in some]), strict=True):
                        found[place] = rows
        return found

    def _batch(self, photos: Sequence[Pixels]) -> list[Floats]:
        sums = torch.stack([torch.from_numpy(cv2.integral(np.ascontiguousarray(photo))) for photo in photos])
        boxes, owner = self._propose(sums)
        boxes, owner = self._refine(sums, boxes, owner)
        boxes, owner = self._finish(sums, boxes, owner)
        return [_tidy(boxes[owner == place].numpy()) for place in range(len(photos))]

    def _propose(self, sums: Tensor) -> tuple[Tensor, Tensor]:
        """Candidates over all scales: (N, 5) square boxes with score, (N,) photo."""
        count, height, width = len(sums), sums.shape[1] - 1, sums.shape[2] - 1
        pools: list[list[Tensor]] = [[torch.zeros((0, 9), dtype=torch.float64)] for _ in range(count)]
        scale = _CELL / self.min_face
        while min(height, width) * scale >= _CELL:
            small = normalise(shrink(sums, int(height * scale + 1), int(width * scale + 1)))
            rows = self._cells(small, scale)
            for place in range(count):
                candidates = rows[rows[:, 9] == place, :9]
                pools[place].append(candidates[nms(candidates[:, :4], candidates[:, 4], 0.5)])
            scale *= FACTOR
        kept = [pool[nms(pool[:, :4], pool[:, 4], 0.7)] for pool in map(torch.cat, pools)]
        owner = torch.cat([torch.full((len(some),), place) for place, some in enumerate(kept)])
        rows = torch.cat(kept)
        sides = (rows[:, 2:4] - rows[:, :2]).repeat(1, 2)
        return torch.cat([_square(rows[:, :4] + rows[:, 5:] * sides), rows[:, 4:5]], dim=1), owner

    def _cells(self, small: Tensor, scale: float) -> Tensor:
        """Cells of a pyramid's level that pass: (N, 10) box, score, four shifts, and the photo."""
        found = (self._quick[0](small.float())[1][:, 1] >= self.thresholds[0] - DOUBT).nonzero()
        rows = [torch.zeros((0, 10), dtype=torch.float64)]
        # The last cell of an odd side is one pixel shorter.
        short = 2 * found[:, 1:] + _CELL > torch.tensor(small.shape[2:])
        for lacks in ((0, 0), (0, 1), (1, 0), (1, 1)):
            place, y, x = found[(short == torch.tensor(lacks)).all(dim=1)].unbind(1)
            if not len(place):
                continue
            high, wide = (_CELL - lack for lack in lacks)
            patches = small.unfold(2, high, 1).unfold(3, wide, 1)[place, :, 2 * y, 2 * x]
            shifts, scores = (part[:, :, 0, 0] for part in self._exact[0](patches))
            at = torch.stack([x, y], dim=1).double()
            first, last = ((2 * at + 1) / scale).floor(), ((2 * at + _CELL) / scale).floor()
            cells = torch.cat([first, last, scores[:, 1:], shifts, place[:, None].double()], dim=1)
            rows.append(cells[scores[:, 1] >= self.thresholds[0]])
        return torch.cat(rows)

    def _refine(self, sums: Tensor, boxes: Tensor, owner: Tensor) -> tuple[Tensor, Tensor]:
        boxes, owner, (shifts, scores) = self._look(1, 24, sums, boxes, owner)
        passed = scores[:, 1] > self.thresholds[1]
        rows = torch.cat([boxes[passed, :4], scores[passed, 1:2], shifts[passed]], dim=1)
        owner = owner[passed]
        kept = [place[nms(rows[place, :4], rows[place, 4], 0.7)] for place in _by_photo(owner)]
        order = torch.cat(kept) if kept else torch.zeros(0, dtype=torch.int64)
        rows, owner = rows[order], owner[order]
        return torch.cat([_square(_shift(rows[:, :4], rows[:, 5:])), rows[:, 4:5]], dim=1), owner

    def _finish(self, sums: Tensor, boxes: Tensor, owner: Tensor) -> tuple[Tensor, Tensor]:
        boxes, owner, (shifts, points, scores) = self._look(2, 48, sums, boxes, owner)
        passed = scores[:, 1] > self.thresholds[2]
        owner = owner[passed]
        at = _points(boxes[passed, :4], points[passed])
        rows = torch.cat([_shift(boxes[passed, :4], shifts[passed]), scores[passed, 1:2], at], dim=1)
        kept = [place[best(rows[place, :4].numpy(), rows[place, 4].numpy())] for place in _by_photo(owner)]
        order = torch.cat(kept) if kept else torch.zeros(0, dtype=torch.int64)
        return rows[order], owner[order]

    def _undecided(self, crops: Tensor, boxes: Tensor, owner: Tensor) -> Tensor:
        """Which of the last network's crops float32 cannot leave out: (N,) bool."""
        shifts, _, scores = (part.double() for part in _outputs(self._quick[2], crops.float()))
        odds = scores[:, 1] - scores[:, 0]
        lowest = torch.logit(torch.tensor(self.thresholds[2], dtype=torch.float64)).item()
        needed = odds > lowest - DOUBT
        rows = _shift(boxes[:, :4], shifts)
        for place in _by_photo(owner):
            likely = place[needed[place]]
            needed[likely] = torch.from_numpy(~outdone(rows[likely].numpy(), odds[likely].numpy(), lowest))
        return needed

    def _look(
        self, net: int, side: int, sums: Tensor, boxes: Tensor, owner: Tensor
    ) -> tuple[Tensor, Tensor, list[Tensor]]:
        """Run one of the later networks on the boxes' crops; boxes wholly outside the photo are dropped."""
        height, width = sums.shape[1] - 1, sums.shape[2] - 1
        x0, y0, x1, y1 = boxes[:, :4].trunc().long().unbind(1)
        x0, y0, x1, y1 = x0.clamp(min=1) - 1, y0.clamp(min=1) - 1, x1.clamp(max=width), y1.clamp(max=height)
        inside = (x1 > x0) & (y1 > y0)
        boxes, owner = boxes[inside], owner[inside]
        crops = normalise(crop(sums, owner, y0[inside], y1[inside], x0[inside], x1[inside], side))
        if len(crops):
            if net == 1:
                _, scores = _outputs(self._quick[net], crops.float())
                needed = scores[:, 1] >= self.thresholds[net] - DOUBT
            else:
                needed = self._undecided(crops, boxes, owner)
            boxes, owner, crops = boxes[needed], owner[needed], crops[needed]
        # The networks take no empty batch.
        some = crops if len(crops) else crops.new_zeros((1, 3, side, side))
        return boxes, owner, [output[: len(crops)] for output in _outputs(self._exact[net], some)]


def _outputs(net: torch.nn.Module, crops: Tensor) -> list[Tensor]:
    """All outputs of a network, a few crops at a time."""
    parts = [net(part) for part in torch.split(crops, _CROPS)]
    return [torch.cat(part) for part in zip(*parts, strict=True)]


def _square(boxes: Tensor) -> Tensor:
    """Grow (N, 4) boxes to squares around their centres."""
    sides = boxes[:, 2:] - boxes[:, :2]
    longest = sides.max(dim=1, keepdim=True).values
    corner = boxes[:, :2] + sides * 0.5 - longest * 0.5
    return torch.cat([corner, corner + longest], dim=1)


def _shift(boxes: Tensor, shifts: Tensor) -> Tensor:
    """Move the corners of (N, 4) boxes by ``shifts``, in units of the boxes' sides."""
    sides = (boxes[:, 2:] - boxes[:, :2] + 1).repeat(1, 2)
    return boxes + shifts * sides


def _points(boxes: Tensor, shares: Tensor) -> Tensor:
    """Five points in pixels, x and y in turn (N, 10), given as shares of the boxes: all x, then all y."""
    x0, y0, x1, y1 = boxes[:, :4, None].unbind(1)
    x, y = (x1 - x0 + 1) * shares[:, :5] + x0 - 1, (y1 - y0 + 1) * shares[:, 5:] + y0 - 1
    return torch.stack([x, y], dim=2).flatten(1)


def _by_photo(owner: Tensor) -> list[Tensor]:
    return [(owner == place).nonzero()[:, 0] for place in np.unique(owner.numpy())]


def _tidy(rows: Floats) -> Floats:
    """Round to what is meant (0.01 pixels, score 0.0001) and put the best first."""
    # Adding zero turns -0.0 into 0.0.
    tidy = np.column_stack([rows[:, :4].round(2), rows[:, 4].round(4), rows[:, 5:].round(2)]) + 0.0
    order = sorted(range(len(tidy)), key=lambda row: (-tidy[row, 4], *tidy[row, :4]))
    return tidy[order]
