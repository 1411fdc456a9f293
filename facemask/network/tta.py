"""Test-time augmentation: the views of a photo whose predictions are averaged."""

from __future__ import annotations

from typing import assert_never

from torch import Tensor
from torch.nn import functional

from facemask.settings import params


def view(photos: Tensor, cfg: params.View) -> Tensor:
    """Show photos in another way.

    Parameters
    ----------
    photos
        (N, H, W, 3) uint8, of the network's size.
    cfg
        ``identity``; ``hflip``, mirrored left to right; ``crop``, a part enlarged to H x W; ``scale``, the whole at
        another size.

    Returns
    -------
    (N, H, W, 3) uint8; for ``scale`` (N, factor H, factor W, 3), rounded, at least 1 pixel.
    """
    height, width = photos.shape[1:3]
    match cfg:
        case params.Identity():
            return photos
        case params.Flip():
            return photos.flip(2)
        case params.Crop():
            rows, columns = (max(1, round(cfg.keep * length)) for length in (height, width))
            top, left = _corner(cfg.at, height - rows, width - columns)
            part = photos[:, top : top + rows, left : left + columns]
            return _mirrored(_resized(part, height, width), cfg.flip)
        case params.Scale():
            size = (max(1, round(cfg.factor * length)) for length in (height, width))
            return _mirrored(_resized(photos, *size), cfg.flip)
        case _:
            assert_never(cfg)


def _corner(at: str, down: int, right: int) -> tuple[int, int]:
    """Top and left pixel of a part that could move ``down`` and ``right`` by that many pixels."""
    if at == "centre":
        return down // 2, right // 2
    vertical, horizontal = at.split("_")
    return (down if vertical == "bottom" else 0), (right if horizontal == "right" else 0)


def _resized(photos: Tensor, height: int, width: int) -> Tensor:
    if photos.shape[1:3] == (height, width):
        return photos
    # Whole numbers again: the network is shown what a photo can hold, on a GPU too, where torch resizes floats alone.
    smooth = functional.interpolate(
        photos.permute(0, 3, 1, 2).float(), (height, width), mode="bilinear", antialias=True
    )
    return smooth.round().clamp(0, 255).to(photos.dtype).permute(0, 2, 3, 1)


def _mirrored(photos: Tensor, flip: bool) -> Tensor:
    return photos.flip(2) if flip else photos
