"""ONNX files of the model: written, checked against torch, made smaller."""

from __future__ import annotations

import contextlib
import io
import json
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
import onnx
import onnxruntime
import torch
from torch import nn

from facemask.runtime import files
from facemask.runtime.arrays import Floats32, Pixels, Table
from facemask.runtime.errors import UserError

INPUT: Final = "photos"
OUTPUT: Final = "probabilities"
# Under this key an ONNX file says what it is; its value is JSON.
ABOUT: Final = "facemask"
OPSET: Final = 18
# How far a probability may be from torch's.
CLOSE: Final = 1e-4
_BATCH: Final = 64


def build(whole: nn.Module, size: tuple[int, int], about: Mapping[str, Any]) -> bytes:
    """Turn a network into an ONNX file.

    Parameters
    ----------
    whole
        (N, H, W, 3) uint8 to (N, 18) float32; any N can be asked of the file.
    size
        H, W.
    about
        What the file says of itself.

    Raises
    ------
    UserError
        If ONNX has no words for one of its operations.
    """
    photos = torch.zeros((2, *size, 3), dtype=torch.uint8)
    try:
        with _quiet():
            program = torch.onnx.export(
                whole.eval(),
                (photos,),
                input_names=[INPUT],
                output_names=[OUTPUT],
                dynamic_shapes=({0: torch.export.Dim("N")},),
                opset_version=OPSET,
                dynamo=True,
                verbose=False,
            )
        assert program is not None
        model = program.model_proto
    except (torch.onnx.errors.OnnxExporterError, RuntimeError) as error:
        told = " ".join(str(error).split())[:200]
        raise UserError(f"export: this network cannot be written as ONNX ({told})") from None
    return with_about(model, about)


def with_about(model: onnx.ModelProto, about: Mapping[str, Any]) -> bytes:
    """Return a model's bytes with ``about`` in its metadata, and without notes of where it was made."""
    # The exporter leaves the paths of source files there.
    for node in model.graph.node:
        node.ClearField("metadata_props")
        node.ClearField("doc_string")
    for value in (*model.graph.input, *model.graph.output, *model.graph.value_info, *model.graph.initializer):
        value.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    for function in model.functions:
        function.ClearField("metadata_props")
        for node in function.node:
            node.ClearField("metadata_props")
    model.ClearField("metadata_props")
    entry = model.metadata_props.add()
    entry.key, entry.value = ABOUT, json.dumps(dict(about), ensure_ascii=False)
    return bytes(model.SerializeToString(deterministic=True))


def answer(content: bytes) -> Callable[[Pixels], Floats32]:
    """Open a file with onnxruntime; what is returned maps (N, H, W, 3) to (N, 18).

    Raises
    ------
    UserError
        If the bytes are no model that onnxruntime takes.
    """
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    try:
        session = onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])
    except Exception as error:  # onnxruntime's own errors share no public class
        told = " ".join(str(error).split())[:160]
        raise UserError(f"export: onnxruntime does not take the file ({told})") from None

    def run(photos: Pixels) -> Floats32:
        parts = [
            session.run([OUTPUT], {INPUT: photos[start : start + _BATCH]})[0]
            for start in range(0, len(photos), _BATCH)
        ]
        return np.asarray(np.concatenate(parts), dtype=np.float32)

    return run


def check(content: bytes, photos: Pixels, wanted: Table) -> float:
    """Compare a file's answers with torch's, in batches of several sizes; return the greatest difference.

    Raises
    ------
    UserError
        If a probability is further off than :data:`CLOSE`.
    """
    run = answer(content)
    sizes = sorted({1, min(3, len(photos)), len(photos)})
    apart = max(float(np.abs(run(photos[:size]) - wanted[:size]).max()) for size in sizes)
    if not apart <= CLOSE:
        raise UserError(
            f"export: the ONNX graph answers otherwise than torch (a probability is {apart:.2g} off, more than "
            f"{CLOSE:g}); nothing was written. Views that are scaled (infer.views) are a usual reason"
        )
    return apart


def halved(content: bytes) -> bytes:
    """Return the same file in float16, its input and output as they were."""
    from onnxconverter_common import float16

    with _quiet():
        # A cast keeps the type that it names.
        blocked = [*float16.DEFAULT_OP_BLOCK_LIST, "Cast"]
        whole = onnx.load_from_string(content)
        model = float16.convert_float_to_float16(whole, keep_io_types=True, op_block_list=blocked)
    return bytes(model.SerializeToString(deterministic=True))


def quantised(content: bytes) -> bytes:
    """Return the same file with weights in int8, activations quantised as they come (dynamic)."""
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with files.scratch("int8") as folder, _quiet():
        before, after = folder / "before.onnx", folder / "after.onnx"
        before.write_bytes(_unshared(content))
        # Where the shape of something is unknown, its type still is.
        options = {"DefaultTensorType": onnx.TensorProto.FLOAT}
        quantize_dynamic(before, after, weight_type=QuantType.QUInt8, extra_options=options)
        return after.read_bytes()


def _unshared(content: bytes) -> bytes:
    """Give each Gemm weights of its own: onnxruntime would transpose those that several views share once for each."""
    model = onnx.load_from_string(content)
    weights = {one.name: one for one in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type == "Gemm" and node.input[1] in weights:
            copy = model.graph.initializer.add()
            copy.CopyFrom(weights[node.input[1]])
            copy.name = f"{node.input[1]}/{node.name}"
            node.input[1] = copy.name
    return bytes(model.SerializeToString(deterministic=True))


def read_about(content: bytes, where: Path) -> dict[str, Any]:
    """Return what a file says of itself.

    Raises
    ------
    UserError
        If it is no such file.
    """
    try:
        model = onnx.load_from_string(content)
        found = {entry.key: entry.value for entry in model.metadata_props}
        about = json.loads(found[ABOUT])
    except Exception as error:  # protobuf's error is not part of its interface
        raise UserError(f"{where}: not a model that `python -m facemask export` wrote ({error})") from None
    return dict(about)


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep the exporters' warnings and progress from people who can do nothing about them."""
    logging.disable(logging.WARNING)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        logging.disable(logging.NOTSET)
