"""Exact area resampling of photos and crops out of integral images, without a loop over crops."""

from __future__ import annotations

import torch
from torch import Tensor


def normalise(pixels: Tensor) -> Tensor:
    """(N, H, W, 3) 0..255 -> (N, 3, H, W) about -1..1, channels last in memory."""
    return ((pixels - 127.5) * 0.0078125).permute(0, 3, 1, 2)


def _edges(length: Tensor, cells: int) -> tuple[Tensor, Tensor]:
    """First and one-past-last pixel of ``cells`` cells over ``length`` (N, 1) pixels, as adaptive pooling."""
    cell = torch.arange(cells)
    return cell * length // cells, -(-(cell + 1) * length // cells)


def shrink(sums: Tensor, rows: int, columns: int) -> Tensor:
    """Area-resample whole photos, given their integral images, to (B, rows, columns, 3)."""
    top, bottom = _edges(torch.tensor(sums.shape[1] - 1), rows)
    left, right = _edges(torch.tensor(sums.shape[2] - 1), columns)
    bands = sums.index_select(1, bottom) - sums.index_select(1, top)
    totals = bands.index_select(2, right) - bands.index_select(2, left)
    return totals.double() / ((bottom - top)[:, None, None] * (right - left)[None, :, None])


def crop(sums: Tensor, owner: Tensor, y0: Tensor, y1: Tensor, x0: Tensor, x1: Tensor, side: int) -> Tensor:
    """Area-resample the crops [y0, y1) x [x0, x1) of photos ``owner`` to (N, side, side, 3)."""
    _, high, wide, _ = sums.shape
    top, bottom = _edges((y1 - y0)[:, None], side)
    left, right = _edges((x1 - x0)[:, None], side)
    area = ((bottom - top)[:, :, None] * (right - left)[:, None, :])[..., None]
    top, bottom = top + y0[:, None], bottom + y0[:, None]
    left, right = left + x0[:, None], right + x0[:, None]
    flat = sums.view(-1, 3)

    def corner(y: Tensor, x: Tensor) -> Tensor:
        places = (owner[:, None, None] * high + y[:, :, None]) * wide + x[:, None, :]
        return flat.index_select(0, places.reshape(-1)).view(len(owner), side, side, 3)

    # 32-bit sums may wrap around on large photos; differences are right all the same.
    totals = corner(bottom, right) - corner(top, right) - corner(bottom, left) + corner(top, left)
    return totals.double() / area
