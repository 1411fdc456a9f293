"""Backbones: timm's and facenet-pytorch's, from scratch, from the net or from a local file, and those of ONNX files."""

from __future__ import annotations

import difflib
from pathlib import Path
from typing import Any, assert_never

import huggingface_hub
import torch
from torch import nn

from facemask.network import facenet, onnx_file, pooling, weights
from facemask.network.libraries import timm
from facemask.runtime.errors import UserError
from facemask.settings import recipes


def build(cfg: recipes.Backbone, size: tuple[int, int], *, pretrained: bool = True) -> nn.Module:
    """Make the backbone without a classifier: (N, 3, H, W) in, (N, D) out.

    Parameters
    ----------
    size
        Height and width of the photos, pixels; given to networks that are built for one size.
    pretrained
        False leaves the weights random, whatever ``cfg.weights`` says: a checkpoint is about to be loaded.

    Raises
    ------
    UserError
        If there is no such network, an option is refused, or the weights cannot be had.
    """
    match cfg:
        case recipes.FaceNet():
            return facenet.build(cfg, pretrained=pretrained)
        case recipes.Onnx():
            # The file holds layers and weights in one.
            return onnx_file.build(cfg, size)
        case recipes.Timm():
            return _timm(cfg, size, pretrained=pretrained)
        case _:
            assert_never(cfg)


def require(cfg: recipes.Backbone) -> None:
    """Look whether the initial weights can be had, without loading them.

    Raises
    ------
    UserError
        If they are neither on this machine nor to be fetched, or the file is another one.
    """
    match cfg:
        case recipes.FaceNet():
            facenet.file(cfg)
        case recipes.Onnx():
            onnx_file.content(cfg)
        case recipes.Timm(weights=recipes.Hub()):
            _require_hub(cfg.name)
        case recipes.Timm(weights=recipes.WeightsFile() as file):
            weights.checked(file, cfg.name)
        case recipes.Timm():
            pass
        case _:
            assert_never(cfg)


def features(backbone: nn.Module, size: tuple[int, int]) -> int:
    """Length D of the feature vector that ``backbone`` makes of a photo of ``size``.

    Raises
    ------
    UserError
        If it takes no photos of that size, or does not make one vector of each.
    """
    found = _shape(backbone, size)
    if len(found) != 2:
        raise UserError(
            f"train.backbone: gives features of shape {found}, not one vector a photo; remove global_pool"
        )
    return found[1]


def _shape(backbone: nn.Module, size: tuple[int, int]) -> tuple[int, ...]:
    """Shape of what ``backbone`` makes of one photo."""
    training = backbone.training
    where = next((weight.device for weight in backbone.parameters()), None)
    try:
        with torch.inference_mode():
            found = backbone.eval()(torch.zeros(1, 3, *size, device=where)).shape
    except (ArithmeticError, AssertionError, RuntimeError) as error:
        reason = " ".join(str(error).split())[:200]
        raise UserError(f"train.image.size: {list(size)} does not suit train.backbone: {reason}") from None
    backbone.train(training)
    return tuple(found)


def _timm(cfg: recipes.Timm, size: tuple[int, int], *, pretrained: bool) -> nn.Module:
    if not timm.is_model(cfg.name):
        base = cfg.name.split(".")[0]
        near = difflib.get_close_matches(base, timm.list_models(), n=3, cutoff=0.5)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UserError(f"train.backbone.name: timm has no network {cfg.name!r}{hint}")
    options: dict[str, Any] = dict(cfg.options)
    known = timm.get_pretrained_cfg(cfg.name, allow_unregistered=True)
    if known is not None and known.fixed_input_size:
        options.setdefault("img_size", size)
    match cfg.pool:
        case recipes.NativePool():
            return _network(cfg, options, pretrained=pretrained)
        case recipes.Gem():
            return _with_gem(cfg, cfg.pool, options, size, pretrained=pretrained)
        case _:
            assert_never(cfg.pool)


def _with_gem(
    cfg: recipes.Timm, pool: recipes.Gem, options: dict[str, Any], size: tuple[int, int], *, pretrained: bool
) -> nn.Module:
    if "global_pool" in options:
        raise UserError(
            "train.backbone.options: global_pool is in the way of pool: gem; remove one of the two"
        )
    network = _network(cfg, options | {"global_pool": ""}, pretrained=pretrained)
    shape = _shape(network, size)
    if len(shape) != 4:
        raise UserError(
            f"train.backbone.pool: {cfg.name} gives features of shape {shape}, not a map of height and width to pool; "
            "use {kind: native} or a convolutional network"
        )
    pooling.attach(network, pool)
    return network


def _network(cfg: recipes.Timm, options: dict[str, Any], *, pretrained: bool) -> nn.Module:
    if not pretrained:
        return _create(cfg.name, options)
    match cfg.weights:
        case recipes.Scratch():
            return _create(cfg.name, options)
        case recipes.Hub():
            _require_hub(cfg.name)
            return _create(cfg.name, options | {"pretrained": True})
        case recipes.WeightsFile():
            return _from_file(cfg.name, options, cfg.weights)
        case _:
            assert_never(cfg.weights)


def _create(name: str, options: dict[str, Any]) -> nn.Module:
    try:
        return timm.create_model(name, num_classes=0, **options)
    except (AssertionError, AttributeError, LookupError, RuntimeError, TypeError, ValueError) as error:
        raise UserError(
            f"train.backbone: timm cannot make {name} with {options}: {' '.join(str(error).split())[:300]}"
        ) from None


def _from_file(name: str, options: dict[str, Any], cfg: recipes.WeightsFile) -> nn.Module:
    path = weights.checked(cfg, name)
    with torch.random.fork_rng():
        torch.manual_seed(0)
        random = _create(name, options).state_dict()
        torch.manual_seed(0)
        try:
            overlay = {"file": str(path)}
            model = timm.create_model(
                name, num_classes=0, pretrained=True, pretrained_cfg_overlay=overlay, **options
            )
        except weights.BROKEN as error:
            reason = " ".join(repr(error).split())[:200]
            raise UserError(
                f"train.backbone.weights.path: {path} does not hold the weights of {name}: {reason}"
            ) from None
    # timm skips what does not fit; a matrix that is still at its random start was not in the file.
    loaded = {
        key: not torch.equal(value, random[key])
        for key, value in model.state_dict().items()
        if value.ndim > 1
    }
    missed = [key for key, changed in loaded.items() if not changed]
    if len(missed) > len(loaded) // 20:
        raise UserError(
            f"train.backbone.weights.path: {path} does not hold the weights of {name}: "
            f"{len(missed)} of {len(loaded)} matrices are missing, such as {missed[0]}"
        )
    return model


def in_hub_cache(name: str) -> bool:
    """Whether the hub's weights of a network of timm are on this machine."""
    known = timm.get_pretrained_cfg(name, allow_unregistered=True)
    if known is not None and known.hf_hub_id:
        files = ("model.safetensors", "pytorch_model.bin")
        return any(
            isinstance(huggingface_hub.try_to_load_from_cache(known.hf_hub_id, file), str) for file in files
        )
    url = known.url if known is not None and isinstance(known.url, str) else ""
    return bool(url) and (Path(torch.hub.get_dir()) / "checkpoints" / Path(url).name).is_file()


def _require_hub(name: str) -> None:
    """Fail within seconds, not after minutes of retries, if the weights are neither here nor to be had."""
    known = timm.get_pretrained_cfg(name, allow_unregistered=True)
    url = known.url if known is not None and isinstance(known.url, str) else ""
    if known is None or not (known.hf_hub_id or url):
        raise UserError(
            f"train.backbone.weights: the hub has no weights of {name}; use kind: scratch or file"
        )
    source = known.hf_hub_id or url
    if in_hub_cache(name):
        return
    endpoint = huggingface_hub.constants.ENDPOINT if known.hf_hub_id else url
    if not huggingface_hub.constants.HF_HUB_OFFLINE and weights.reachable(endpoint):
        return
    raise UserError(
        f"train.backbone.weights: the weights of {name} are not on this machine and the hub cannot be reached; fetch "
        f"model.safetensors of {source} where there is a network, put it under models/pretrained/ and set "
        "train.backbone.weights to {kind: file, path: ..., sha256: ...}, or use {kind: scratch}"
    )
