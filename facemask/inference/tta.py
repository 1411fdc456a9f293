"""Test-time augmentation: the views of a photo whose predictions are averaged."""

from __future__ import annotations

from torch import Tensor


def view(photos: Tensor, name: str) -> Tensor:
    """Return (N, H, W, 3) photos as seen in view ``name``: ``identity`` or ``hflip`` (mirrored left to right)."""
    match name:
        case "identity":
            return photos
        case "hflip":
            return photos.flip(2)
        case _:
            raise ValueError(f"view {name!r} is not one of identity, hflip")
