"""Networks from ONNX files, as backbones: most face networks are published so.

A file is data: it is read as a graph of known operators, whose names are replaced before any code is made of them.

References
----------
https://github.com/ENOT-AutoDL/onnx2torch, which makes a ``torch.fx`` graph of the operators.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, Final, assert_never

import onnx
import torch
from google.protobuf.message import DecodeError
from onnx.external_data_helper import uses_external_data
from torch import Tensor, fx, nn
from torch.nn import functional
from torch.nn.utils.fusion import fuse_conv_bn_eval

from facemask.network import layers, pooling
from facemask.network.libraries import timm
from facemask.runtime import files
from facemask.runtime.errors import UserError
from facemask.runtime.imports import lean
from facemask.settings import recipes

with lean():
    from onnx2torch import convert
    from onnx2torch.node_converters.registry import get_converter

_KEYS: Final = "train.backbone."
_FETCH: Final = "put the file there or name another one"
_OPERATOR: Final = re.compile(r"[A-Za-z][A-Za-z0-9]*")
# What the libraries raise for graphs that are damaged, or of a form that they do not know.
_REFUSALS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    LookupError,
    NotImplementedError,
    RuntimeError,
    TypeError,
    ValueError,
    onnx.shape_inference.InferenceError,
)


class OnnxNetwork(nn.Module):
    """Photos (N, 3, H, W) in, feature vectors (N, D) out.

    Parameters
    ----------
    graph
        The converted file.
    cfg
        Order of the channels, pooling, and whether batch normalisation is trained.
    """

    def __init__(self, graph: fx.GraphModule, cfg: recipes.Onnx) -> None:
        super().__init__()
        self.bgr = cfg.channels == "bgr"
        self.graph = graph if cfg.batch_norm == "trained" else _fixed(graph)
        self.gem = pooling.GeM(cfg.pool) if isinstance(cfg.pool, recipes.Gem) else None
        self.mean = isinstance(cfg.pool, recipes.MeanPool)
        self.grid = (cfg.pool.rows, cfg.pool.columns) if isinstance(cfg.pool, recipes.GridPool) else None

    def forward(self, photos: Tensor) -> Tensor:
        """Feature vectors (N, D) of normalised photos (N, 3, H, W)."""
        found: Tensor = self.graph(photos.flip(1) if self.bgr else photos)
        if self.gem is not None and found.ndim == 4:
            pooled: Tensor = self.gem(found)
            return pooled
        if self.grid is not None and found.ndim == 4:
            return functional.adaptive_avg_pool2d(found, self.grid).flatten(1)
        if self.mean and found.ndim > 2:
            # Of a map (N, D, h, w), or of tokens (N, T, D).
            return found.mean((2, 3)) if found.ndim == 4 else found.mean(1)
        return found

    def group_matcher(self, coarse: bool = False) -> Callable[[str], float]:
        """Layers from the photo upwards, in timm's form: one for each matrix or, if coarse, size of map."""
        return layers.by_child(self.graph, "graph.", opens=_shrinks if coarse else layers.has_matrix)


def _fixed(graph: fx.GraphModule) -> nn.Module:
    """Batch normalisation in evaluation mode for good, folded into the convolution below it where there is one."""
    parts = dict(graph.eval().named_modules())
    for node in list(graph.graph.nodes):
        below = node.args[0] if node.op == "call_module" and node.args else None
        if not isinstance(below, fx.Node) or below.op != "call_module" or len(below.users) > 1:
            continue
        convolution, norm = parts[str(below.target)], parts[str(node.target)]
        if isinstance(convolution, nn.Conv2d) and isinstance(norm, nn.BatchNorm2d):
            graph.add_submodule(str(below.target), fuse_conv_bn_eval(convolution, norm))
            node.replace_all_uses_with(below)
            graph.graph.erase_node(node)
    graph.delete_all_unused_submodules()
    graph.recompile()
    fixed: nn.Module = timm.layers.freeze_batch_norm_2d(graph)  # type: ignore[attr-defined, no-untyped-call]
    return fixed.train()


def _shrinks(module: nn.Module) -> bool:
    stride: Any = getattr(module, "stride", 1)
    return any(step > 1 for step in (stride if isinstance(stride, tuple) else (stride,)))


def build(cfg: recipes.Onnx, size: tuple[int, int]) -> OnnxNetwork:
    """Make the network of the file.

    Parameters
    ----------
    size
        Height and width of the photos, pixels.

    Raises
    ------
    UserError
        If the file is missing, another one, no ONNX, keeps weights elsewhere, or cannot be converted; if it expects
        photos of another size, or does not give what ``cfg.output`` and ``cfg.pool`` say.
    """
    model = _read(cfg)
    _check_input(cfg, model, size)
    model = _cut(cfg, model)
    _check_operators(cfg, model)
    for number, node in enumerate(model.graph.node):
        # Names become part of Python source: none of the file's own may reach it.
        node.name = f"n{number}_{node.op_type}"
    try:
        # Shapes alone do not tell what a graph computes of them: weights are numbers, whatever the caller's device.
        with torch.device("cpu"), warnings.catch_warnings():
            warnings.simplefilter("ignore")
            network = OnnxNetwork(convert(model), cfg)
    except _REFUSALS as error:
        raise UserError(f"{_KEYS}path: {cfg.path} cannot be converted: {_line(error)}") from None
    _check_output(cfg, network, size)
    return network


def content(cfg: recipes.Onnx) -> bytes:
    """Bytes of the file.

    Raises
    ------
    UserError
        If it is missing or another one.
    """
    return files.checked(Path(cfg.path), cfg.sha256, keys=_KEYS, fetch=_FETCH)


def _read(cfg: recipes.Onnx) -> onnx.ModelProto:
    try:
        model = onnx.load_model_from_string(content(cfg))
    except DecodeError:
        raise UserError(f"{_KEYS}path: {cfg.path} is no ONNX file") from None
    if not len(model.graph.node):
        raise UserError(f"{_KEYS}path: {cfg.path} is no ONNX file, or one without a graph")
    if any(uses_external_data(tensor) for tensor in _tensors(model.graph)):
        raise UserError(
            f"{_KEYS}path: {cfg.path} keeps weights in other files, which its hash says nothing of; save it as one "
            "file (onnx.load and onnx.save do so)"
        )
    return model


def _tensors(graph: onnx.GraphProto) -> Iterator[onnx.TensorProto]:
    yield from graph.initializer
    for node in graph.node:
        for attribute in node.attribute:
            yield from (attribute.t, *attribute.tensors)
            for inner in (attribute.g, *attribute.graphs):
                yield from _tensors(inner)


def _inputs(graph: onnx.GraphProto) -> list[onnx.ValueInfoProto]:
    weights = {tensor.name for tensor in graph.initializer}
    return [value for value in graph.input if value.name not in weights]


def _check_input(cfg: recipes.Onnx, model: onnx.ModelProto, size: tuple[int, int]) -> None:
    inputs = _inputs(model.graph)
    if len(inputs) != 1:
        raise UserError(f"{_KEYS}path: {cfg.path} has {len(inputs)} inputs; a backbone has one, photos")
    # Sizes that are not fixed are 0.
    shape = [dim.dim_value for dim in inputs[0].type.tensor_type.shape.dim]
    if len(shape) != 4 or shape[1] not in (0, 3):
        raise UserError(
            f"{_KEYS}path: {cfg.path} expects an input of shape {shape}, not photos (N, 3, height, width)"
        )
    if any(fixed not in (0, wanted) for fixed, wanted in zip(shape[2:], size, strict=True)):
        raise UserError(f"train.image.size: {list(size)}, but {cfg.path} expects {shape[2:]}")
    if shape[0] > 1:
        raise UserError(f"{_KEYS}path: {cfg.path} takes {shape[0]} photos at once and no other number")


def _cut(cfg: recipes.Onnx, model: onnx.ModelProto) -> onnx.ModelProto:
    """The part of the graph that leads to the output that is asked for."""
    outputs = [value.name for value in model.graph.output]
    if cfg.output is None:
        if len(outputs) != 1:
            raise UserError(f"{_KEYS}output: {cfg.path} has the outputs {', '.join(outputs)}; name one")
        return model
    if outputs == [cfg.output]:
        return model
    names = [name for node in model.graph.node for name in node.output]
    if cfg.output not in names:
        raise UserError(
            f"{_KEYS}output: {cfg.path} computes no {cfg.output!r}; its last are {', '.join(names[-5:])}"
        )
    try:
        whole = onnx.shape_inference.infer_shapes(model)
        part = onnx.utils.Extractor(whole).extract_model([_inputs(whole.graph)[0].name], [cfg.output])
    except _REFUSALS as error:
        raise UserError(
            f"{_KEYS}output: {cfg.path} cannot be cut at {cfg.output!r}: {_line(error)}"
        ) from None
    return part


def _check_operators(cfg: recipes.Onnx, model: onnx.ModelProto) -> None:
    versions = {entry.domain: entry.version for entry in model.opset_import}
    lacking = set()
    for node in model.graph.node:
        name = f"{node.domain}.{node.op_type}" if node.domain else str(node.op_type)
        # Names that are no text are bytes.
        if node.domain not in versions or not _OPERATOR.fullmatch(str(node.op_type)):
            lacking.add(name)
            continue
        try:
            get_converter(node.op_type, versions[node.domain], node.domain)
        except NotImplementedError:
            lacking.add(name)
    if lacking:
        raise UserError(
            f"{_KEYS}path: {cfg.path}: onnx2torch cannot convert {', '.join(sorted(lacking))[:200]} (opset "
            f"{versions.get('', 'unknown')}); export the network anew with simpler operators or another opset"
        )


def _check_output(cfg: recipes.Onnx, network: OnnxNetwork, size: tuple[int, int]) -> None:
    try:
        with torch.inference_mode():
            found = network.eval()(torch.zeros(2, 3, *size, device="cpu"))
    except _REFUSALS as error:
        raise UserError(
            f"{_KEYS}path: {cfg.path} does not run on photos of {list(size)}: {_line(error)}"
        ) from None
    network.train()
    shape = tuple(found.shape) if isinstance(found, Tensor) else ()
    if len(shape) == 2 and shape[0] == 2 and found.is_floating_point():
        return
    match cfg.pool:
        case recipes.NativePool():
            hint = "use pool mean, grid or gem, or name another output"
        case recipes.Gem() | recipes.MeanPool() | recipes.GridPool():
            hint = "name another output"
        case _:
            assert_never(cfg.pool)
    raise UserError(
        f"{_KEYS}output: {cfg.path} gives features of shape {shape} for two photos, not two vectors; {hint}"
    )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:200] or type(error).__name__
