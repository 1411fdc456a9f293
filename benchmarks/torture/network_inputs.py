"""Damaged checkpoints, pretrained weights and ONNX files."""

from __future__ import annotations

import contextlib
import hashlib
import json
import shutil
from pathlib import Path
from typing import Final

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper
from safetensors.torch import save_file

from benchmarks.speed import material
from benchmarks.torture import mutations
from benchmarks.torture.text_inputs import Altered, Rng, Try
from facemask.mattes import saliency
from facemask.network import checkpoints, onnx_file, weights
from facemask.network.classifier import Classifier
from facemask.runtime import files
from facemask.runtime.errors import UserError
from facemask.settings import recipes
from facemask.training import resuming

_SIZE: Final = (32, 24)


def _recipe() -> recipes.Recipe:
    image = {"size": list(_SIZE)}
    return material.recipe_of(
        material.shipped(train={"image": image, "precision": "32", "channels_last": False})
    )


def folds(folder: Path) -> Try:
    """A trained fold, its seal broken or made anew over what was damaged."""
    recipe = _recipe()
    torch.manual_seed(0)
    made = checkpoints.Checkpoint(Classifier(recipe).eval(), recipe, np.full(18, 1 / 18))
    checkpoints.save(folder / "origin", made, {"fold": 0})
    text = {
        name: (folder / "origin" / name).read_bytes() for name in (checkpoints.MODEL, checkpoints.WEIGHTS)
    }

    def attempt(rng: Rng) -> None:
        tried = folder / "tried"
        shutil.rmtree(tried, ignore_errors=True)
        shutil.copytree(folder / "origin", tried)
        name = str(rng.choice(list(text)))
        if name == checkpoints.MODEL and rng.integers(2):
            content = mutations.value(json.loads(text[name]), rng)
            (tried / name).write_text(json.dumps(content))
        else:
            content = json.loads(text[checkpoints.MODEL])
            (tried / name).write_bytes(mutations.data(text[name], rng))
        if rng.integers(2) and isinstance(content, dict):
            content.pop(files.SEAL, None)
            with contextlib.suppress(ValueError):
                files.write_sealed(tried / checkpoints.MODEL, content)
        elif any((tried / one).read_bytes() != text[one] for one in text):
            try:
                checkpoints.load(tried)
            except UserError:
                raise
            same = json.loads((tried / checkpoints.MODEL).read_text()) == json.loads(text[checkpoints.MODEL])
            if not same or (tried / checkpoints.WEIGHTS).read_bytes() != text[checkpoints.WEIGHTS]:
                raise Altered(name)
        checkpoints.load(tried)

    return attempt


def pretrained(folder: Path) -> Try:
    """Weights of a user's: safetensors, and what ``torch.save`` makes."""
    tensors = {f"layer{k}.weight": torch.arange(24.0).reshape(4, 6) * k for k in range(5)}
    save_file(tensors, folder / "w.safetensors")
    torch.save({"state_dict": tensors, "epoch": 3}, folder / "w.pth")
    seeds = {path.suffix: path.read_bytes() for path in (folder / "w.safetensors", folder / "w.pth")}

    def attempt(rng: Rng) -> None:
        suffix = str(rng.choice(list(seeds)))
        path = folder / f"tried{suffix}"
        path.write_bytes(mutations.data(seeds[suffix], rng))
        try:
            weights.read(path)
        except ValueError as error:
            raise UserError(str(error)) from None

    return attempt


def resumed(folder: Path) -> Try:
    """The checkpoint of a training under way: taken up whole, or passed over with a line."""
    state = {"epochs": 2, "steps": 9, "finished": False}
    torch.save({"state_dict": {"w": torch.ones(9)}, "epoch": 2, "resume": state}, folder / "origin.ckpt")
    content = (folder / "origin.ckpt").read_bytes()

    def attempt(rng: Rng) -> None:
        path = folder / "tried.ckpt"
        path.write_bytes(mutations.data(content, rng))
        taken = resuming.Resume(path)
        if taken.found() is None:
            raise UserError("passed over")
        if taken.files.loaded["resume"] != state or not taken.files.loaded["state_dict"]["w"].equal(
            torch.ones(9)
        ):
            raise Altered("resume")

    return attempt


def _network(*, flat: bool) -> bytes:
    """Two convolutions with normalisation: a map, as networks for mattes give, or flat a backbone's vector."""
    rng, nodes, tensors, before, width = np.random.default_rng(0), [], [], "photos", 3
    for k in range(2):
        shapes = {"w": (6, width, 3, 3), "scale": (6,), "shift": (6,), "mean": (6,), "var": (6,)}
        tensors += [
            numpy_helper.from_array(rng.uniform(0.1, 1, shape).astype(np.float32), f"{name}{k}")
            for name, shape in shapes.items()
        ]
        nodes.append(
            helper.make_node("Conv", [before, f"w{k}"], [f"c{k}"], strides=[2, 2], pads=[1, 1, 1, 1])
        )
        norm = [f"c{k}", *(f"{name}{k}" for name in ("scale", "shift", "mean", "var"))]
        nodes += [
            helper.make_node("BatchNormalization", norm, [f"b{k}"]),
            helper.make_node("Relu", [f"b{k}"], [f"a{k}"]),
        ]
        before, width = f"a{k}", 6
    if flat:
        nodes += [
            helper.make_node("GlobalAveragePool", [before], ["pooled"]),
            helper.make_node("Flatten", ["pooled"], ["vector"]),
        ]
    photos = helper.make_tensor_value_info("photos", TensorProto.FLOAT, ["n", 3, "h", "w"])
    found = helper.make_tensor_value_info(
        "vector" if flat else before, TensorProto.FLOAT, ["n", 6] if flat else ["n", 6, "y", "x"]
    )
    graph = helper.make_graph(nodes, "tiny", [photos], [found], tensors)
    made = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    return bytes(made.SerializeToString())


def _edited(content: bytes, rng: Rng) -> bytes:
    """Damage in the bytes, or in the nodes of the graph."""
    if rng.integers(2):
        return mutations.data(content, rng)
    model = onnx.load_model_from_string(content)
    node = model.graph.node[int(rng.integers(len(model.graph.node)))]
    match int(rng.integers(5)):
        case 0:
            node.op_type = str(
                rng.choice(
                    ["Conv", "Add", "Loop", "If", "Reshape", "Gemm", "x y", "Resize", "Softmax", "Slice"]
                )
            )
        case 1 if node.input:
            node.input[int(rng.integers(len(node.input)))] = str(
                rng.choice(["", "photos", "nothing", "w0", "a1", "c0"])
            )
        case 2 if node.output:
            node.output[0] = str(rng.choice(["", "photos", "vector", "w0"]))
        case 3 if node.attribute:
            node.attribute[0].CopyFrom(
                helper.make_attribute(node.attribute[0].name, [int(rng.choice([-9, 0, 1, 2**40])), 1])
            )
        case _:
            tensor = model.graph.initializer[int(rng.integers(len(model.graph.initializer)))]
            tensor.dims[0] = int(rng.choice([-1, 0, 1, 7, 2**40]))
    return bytes(model.SerializeToString())


def backbones(folder: Path) -> Try:
    """An ONNX file as a backbone."""
    content, path = _network(flat=True), folder / "tried.onnx"
    plain = {
        "kind": "onnx",
        "path": str(path),
        "output": None,
        "channels": "rgb",
        "pool": {"kind": "native"},
        "batch_norm": "trained",
    }

    def attempt(rng: Rng) -> None:
        data = _edited(content, rng)
        path.write_bytes(data)
        digest = hashlib.sha256(data).hexdigest()
        onnx_file.build(recipes.Onnx.model_validate(plain | {"sha256": digest}), _SIZE)

    return attempt


def mattes(folder: Path) -> Try:
    """An ONNX file as the network that tells person from background."""
    content, path = _network(flat=False), folder / "tried.onnx"
    photo = np.zeros((40, 30, 3), np.uint8)

    def attempt(rng: Rng) -> None:
        path.write_bytes(_edited(content, rng))
        digest = hashlib.sha256(path.read_bytes()).hexdigest()
        saliency.Network("u2net_custom", saliency.weights("u2net_custom", str(path), digest)).matte(photo)

    return attempt


PARTS: Final = {
    "trained folds": (folds, 500),
    "pretrained weights": (pretrained, 800),
    "checkpoints to resume": (resumed, 600),
    "ONNX backbones": (backbones, 700),
    "ONNX mattes": (mattes, 300),
}
