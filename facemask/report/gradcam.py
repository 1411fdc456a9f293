"""Heat maps of where a network looks, by Grad-CAM: for convolutional networks and vision transformers alike.

References
----------
Selvaraju, R. R., Cogswell, M., Das, A., Vedantam, R., Parikh, D., and Batra, D. (2017). Grad-CAM: Visual Explanations
from Deep Networks via Gradient-based Localization. ICCV. https://arxiv.org/abs/1610.02391
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal, assert_never

import cv2
import numpy as np
import torch
from pytorch_grad_cam import GradCAM
from pytorch_grad_cam.utils.image import show_cam_on_image
from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget
from torch import Tensor, nn

from facemask.network.classifier import Classifier
from facemask.runtime import threads
from facemask.runtime.arrays import Floats32, Ints, Pixels

Form = Literal["channels first", "channels last", "tokens"]

BATCH: Final = 10
# Share of the photo in its heat map.
PHOTO: Final = 0.55


class _Channels(nn.Module):
    """A classifier that takes (N, 3, H, W), as Grad-CAM gives photos."""

    def __init__(self, model: Classifier) -> None:
        super().__init__()
        self.model = model

    def forward(self, photos: Tensor) -> Tensor:
        # A class's logarithm and its log-odds rise alike: their heat maps are the same.
        return self.model.log_table(photos.permute(0, 2, 3, 1))


def heat(model: Classifier, photos: Pixels, chosen: Ints) -> Floats32 | None:
    """How much each place speaks for a class: (N, H, W) in 0..1, each map's largest value 1.

    Parameters
    ----------
    model
        In evaluation mode; moved to the CPU, so that the same photos give the same maps, and unfrozen: what was not
        trained speaks for a class too.
    photos
        (N, H, W, 3), of the network's size.
    chosen
        (N,) classes 0..17.

    Returns
    -------
    None if no layer of the network gives a map of which its answer depends.
    """
    whole = _Channels(model.cpu().eval()).requires_grad_()
    with threads.one_thread():
        found = [_layer(whole, backbone, photos[:1]) for backbone in model.backbones.values()]
        layers = [one for one in found if one is not None]
        if len(layers) < len(found):
            return None
        maps = []
        # Several backbones are of one kind: what is true of the first one's layer is of all.
        with GradCAM(whole, [module for module, _ in layers], layers[0][1]) as cam:
            for start in range(0, len(photos), BATCH):
                targets = [ClassifierOutputTarget(int(k)) for k in chosen[start : start + BATCH]]
                maps.append(cam(_tensor(photos[start : start + BATCH]), targets))
    return np.concatenate(maps).astype(np.float32)


def overlay(photo: Pixels, heated: Floats32) -> Pixels:
    """Lay a heat map (h, w), resized, over a photo (H, W, 3)."""
    height, width = photo.shape[:2]
    smooth = cv2.resize(heated, (width, height), interpolation=cv2.INTER_CUBIC).clip(0, 1)
    shown = show_cam_on_image(
        photo.astype(np.float32) / 255,
        smooth,
        use_rgb=True,
        colormap=cv2.COLORMAP_INFERNO,
        image_weight=PHOTO,
    )
    return np.asarray(shown, dtype=np.uint8)


class _Maps:
    """Brings what a layer gives into the form (N, C, h, w)."""

    def __init__(self, form: Form, grid: tuple[int, int]) -> None:
        self.form, self.grid = form, grid

    def __call__(self, output: Tensor) -> Tensor:
        match self.form:
            case "channels first":
                # A copy, for what follows may change it in place.
                return output.clone()
            case "channels last":
                return output.permute(0, 3, 1, 2).clone()
            case "tokens":
                places = self.grid[0] * self.grid[1]
                # Tokens that stand for no place, such as the class token, come first.
                tokens = output[:, -places:].transpose(1, 2)
                return tokens.reshape(*tokens.shape[:2], *self.grid).clone()
            case _:
                assert_never(self.form)


def _tensor(photos: Pixels) -> Tensor:
    return torch.from_numpy(np.ascontiguousarray(photos.transpose(0, 3, 1, 2)))


def _layer(whole: _Channels, backbone: nn.Module, photo: Pixels) -> tuple[nn.Module, _Maps] | None:
    """Find the last layer that gives a map on which the answer depends in more than one place.

    The output of a vision transformer's last block will not do where the class token alone is read: nothing depends on
    its other tokens any more.
    """
    seen: list[tuple[nn.Module, _Maps, Tensor]] = []

    grids = [tuple(vars(module)["grid_size"]) for module in backbone.modules() if "grid_size" in vars(module)]

    def note(module: nn.Module, _: object, output: object) -> None:
        # What comes before the first weight, such as a normalisation, has no gradient.
        if not isinstance(output, Tensor) or not output.requires_grad:
            return
        if (maps := _form(backbone, output, grids)) is not None:
            seen.append((module, maps, output))

    # Inside attention there are maps of heads and of windows.
    outside = [module for name, module in backbone.named_modules() if "attn" not in name]
    handles = [module.register_forward_hook(note) for module in outside]
    try:
        answer = whole(_tensor(photo)).max()
    finally:
        for handle in handles:
            handle.remove()
    if not seen:
        return None
    gradients = torch.autograd.grad(answer, [output for *_, output in seen], allow_unused=True)
    for (module, maps, _), gradient in reversed(list(zip(seen, gradients, strict=True))):
        if gradient is not None and (maps(gradient)[0] != 0).any(0).sum() > 1:
            return module, maps
    return None


def _form(backbone: nn.Module, output: Tensor, grids: Sequence[tuple[int, int]]) -> _Maps | None:
    """How to read a layer's output as a map; None if it is none. ``grids`` are those of the patches, if there are."""
    width = getattr(backbone, "num_features", None)
    if output.ndim == 4:
        last = output.shape[3] == width and output.shape[1] != width
        height, breadth = output.shape[1:3] if last else output.shape[2:]
        form: Form = "channels last" if last else "channels first"
        return _Maps(form, (height, breadth)) if height * breadth > 1 else None
    if output.ndim == 3 and grids and output.shape[2] == width:
        height, breadth = grids[0]
        return _Maps("tokens", grids[0]) if 1 < height * breadth <= output.shape[1] else None
    return None
