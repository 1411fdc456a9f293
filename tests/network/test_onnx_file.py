"""ONNX backbones: what the file computes, in torch; what cannot be used is told in one line, and nothing in it runs."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from facemask.network import backbones, checkpoints, layers, onnx_file
from facemask.network.classifier import Classifier
from facemask.runtime.errors import UserError
from facemask.settings import recipes
from facemask.training import freezing, optimisers

SIZE = (16, 12)
DEPTH = 6


def tiny(
    path: Path, *, odd: str = "", names: str = "conv{}", height: object = "h", outside: bool = False
) -> Path:
    """Write two strided convolutions, each with normalisation and PReLU; then a map (N, 6, 4, 3) and its vector."""
    rng = np.random.default_rng(0)
    nodes, weights, before, width = [], [], "photos", 3
    for k in range(2):
        shapes = {
            "w": (DEPTH, width, 3, 3),
            "scale": (DEPTH,),
            "shift": (DEPTH,),
            "mean": (DEPTH,),
            "slope": (DEPTH, 1, 1),
        }
        for name, shape in shapes.items():
            weights.append(
                numpy_helper.from_array(rng.normal(0, 0.4, shape).astype(np.float32), f"{name}{k}")
            )
        weights.append(numpy_helper.from_array(rng.uniform(0.5, 2, DEPTH).astype(np.float32), f"var{k}"))
        nodes += [
            helper.make_node(
                "Conv",
                [before, f"w{k}"],
                [f"c{k}"],
                names.format(k),
                strides=[2, 2],
                pads=[1, 1, 1, 1],
                kernel_shape=[3, 3],
            ),
            helper.make_node(
                "BatchNormalization", [f"c{k}", f"scale{k}", f"shift{k}", f"mean{k}", f"var{k}"], [f"b{k}"]
            ),
            helper.make_node("PRelu", [f"b{k}", f"slope{k}"], [f"a{k}"]),
        ]
        before, width = f"a{k}", DEPTH
    if odd:
        nodes.append(helper.make_node(odd, ["a1"], ["strange"]))
        before = "strange"
    nodes.append(helper.make_node("GlobalAveragePool", [before], ["pooled"]))
    nodes.append(helper.make_node("Flatten", ["pooled"], ["vector"]))
    photos = helper.make_tensor_value_info("photos", TensorProto.FLOAT, ["n", 3, height, "w"])
    vector = helper.make_tensor_value_info("vector", TensorProto.FLOAT, ["n", DEPTH])
    graph = helper.make_graph(nodes, "tiny", [photos], [vector], weights)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    if outside:
        onnx.save_model(model, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    else:
        path.write_bytes(model.SerializeToString())
    return path


def config(path: Path, **changes: object) -> recipes.Onnx:
    plain = {
        "kind": "onnx",
        "path": str(path),
        "sha256": hashlib.sha256(path.read_bytes()).hexdigest(),
        "output": None,
        "channels": "rgb",
        "pool": {"kind": "native"},
        "batch_norm": "trained",
    }
    return recipes.Onnx.model_validate(plain | changes)


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tiny(tmp_path / "tiny.onnx")


def photos(count: int = 3) -> torch.Tensor:
    return torch.from_numpy(np.random.default_rng(1).uniform(-2, 2, (count, 3, *SIZE)).astype(np.float32))


def by_onnxruntime(path: Path, batch: torch.Tensor) -> np.ndarray:
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"photos": batch.numpy()})[0])


@pytest.mark.parametrize("channels", ["rgb", "bgr"])
@pytest.mark.parametrize("batch_norm", ["trained", "fixed"])
def test_the_file_s_own_runtime_agrees(file: Path, channels: str, batch_norm: str) -> None:
    network = backbones.build(config(file, channels=channels, batch_norm=batch_norm), SIZE).eval()
    shown = photos().flip(1) if channels == "bgr" else photos()
    with torch.inference_mode():
        assert np.allclose(network(photos()), by_onnxruntime(file, shown), atol=1e-5)
    assert backbones.features(network, SIZE) == DEPTH


def test_an_inner_tensor_is_cut_out_and_pooled(file: Path) -> None:
    mean = backbones.build(config(file, output="a1", pool={"kind": "mean"}), SIZE).eval()
    gem = backbones.build(
        config(file, output="a1", pool={"kind": "gem", "p": 30.0, "learn": True}), SIZE
    ).eval()
    with torch.inference_mode():
        assert np.allclose(mean(photos()), by_onnxruntime(file, photos()), atol=1e-5)
        assert (gem(photos()) > mean(photos())).float().mean() > 0.9
    grid = backbones.build(
        config(file, output="a1", pool={"kind": "grid", "rows": 2, "columns": 3}), SIZE
    ).eval()
    with torch.inference_mode():
        cells = grid(photos()).reshape(3, DEPTH, 6)
        # Four rows and three columns: no cell overlaps another, and their mean is that of the map.
        assert torch.allclose(cells.mean(2), mean(photos()), atol=1e-5)
    assert backbones.features(grid, SIZE) == 6 * DEPTH
    with pytest.raises(
        UserError, match=r"output: .*gives features of shape \(2, 6, 4, 3\).*pool mean, grid or gem"
    ):
        backbones.build(config(file, output="a1"), SIZE)
    with pytest.raises(UserError, match=r"output: .*computes no 'a7'; its last are .*vector"):
        backbones.build(config(file, output="a7"), SIZE)


def test_normalisation_is_trained_or_stays_as_in_the_file(file: Path) -> None:
    for batch_norm, moves in (("trained", True), ("fixed", False)):
        network = backbones.build(config(file, batch_norm=batch_norm), SIZE)
        before = {name: value.clone() for name, value in network.state_dict().items()}
        optimiser = torch.optim.SGD(network.parameters(), lr=0.1)
        network.train()(photos()).square().sum().backward()
        optimiser.step()
        moved = {name for name, value in network.state_dict().items() if not torch.equal(value, before[name])}
        assert any(name.endswith("running_mean") for name in moved) == moves
        assert any("Conv.weight" in name for name in moved)
        # What a network gives in training and in evaluation is then the same.
        same = torch.allclose(network.train()(photos()), network.eval()(photos()), atol=1e-6)
        assert same != moves


def test_layers_stand_in_order_for_decay_and_freezing(file: Path, toy_yaml) -> None:
    network = backbones.build(config(file), SIZE)
    fine = network.group_matcher()
    order = [fine(name) for name, weight in network.named_parameters() if weight.ndim > 1]
    assert order == sorted(order) and len(set(order)) == 2
    groups = layers.groups(network)
    assert sum(len(group) for group in groups) == len([*network.parameters(), *network.buffers()])
    branches = torch.nn.ModuleDict({"all": network})
    frozen = freezing.build(recipes.Gradual(kind="gradual", every=1), branches)
    frozen.start_epoch(1)
    thawed = [name for name, weight in network.named_parameters() if weight.requires_grad]
    assert thawed and all("n3_" in name or "n4_" in name for name in thawed)
    model = classifier(toy_yaml, file)
    built = optimisers.build(recipe(toy_yaml, file).optimiser, model, 0.1, 0.5, fused=False)
    rates = {id(w): group["lr"] for group in built.param_groups for w in group["params"]}
    named = dict(model.named_parameters())
    low, high = (rates[id(named[f"backbones.all.graph.n{k}_Conv.weight"])] for k in (0, 3))
    assert low == pytest.approx(high / 2) and high < 0.1


def recipe(toy_yaml, path: Path) -> recipes.Recipe:
    content = dict(toy_yaml["train"])
    content["backbone"] = config(path).model_dump(mode="json")
    content["image"] = {**content["image"], "size": list(SIZE)}
    return recipes.Recipe.model_validate_json(
        json.dumps({key: content[key] for key in recipes.Recipe.model_fields})
    )


def classifier(toy_yaml, path: Path) -> Classifier:
    return Classifier(recipe(toy_yaml, path)).eval()


def test_a_checkpoint_predicts_without_the_file(file: Path, toy_yaml, tmp_path: Path) -> None:
    model = classifier(toy_yaml, file)
    folder = tmp_path / "fold0"
    checkpoints.save(folder, checkpoints.Checkpoint(model, recipe(toy_yaml, file), np.full(18, 1 / 18)), {})
    file.unlink()
    batch = torch.randint(0, 256, (4, *SIZE, 3), dtype=torch.uint8)
    with torch.inference_mode():
        assert torch.equal(checkpoints.load(folder).model.log_table(batch), model.log_table(batch))


def test_shapes_are_known_without_numbers(file: Path, toy_yaml) -> None:
    with torch.device("meta"):
        assert Classifier(recipe(toy_yaml, file), pretrained=False).head.linears["mask"].in_features == DEPTH


@pytest.mark.parametrize(
    ("made", "told"),
    [
        ({"odd": "Hardmax"}, r"onnx2torch cannot convert Hardmax \(opset 15\)"),
        ({"height": 20}, r"train\.image\.size: \[16, 12\], but .* expects \[20, 0\]"),
        ({"outside": True}, "keeps weights in other files"),
    ],
)
def test_what_cannot_be_used_is_told_in_one_line(tmp_path: Path, made: dict[str, object], told: str) -> None:
    path = tiny(tmp_path / "made.onnx", **made)
    with pytest.raises(UserError, match=told) as caught:
        backbones.build(config(path), SIZE)
    assert "\n" not in str(caught.value)


def test_an_operator_whose_name_is_no_text_is_told_in_one_line(file: Path) -> None:
    file.write_bytes(file.read_bytes().replace(b"PRelu", b"PR\xfflu"))
    with pytest.raises(UserError, match="onnx2torch cannot convert b'PR.xfflu'"):
        backbones.build(config(file), SIZE)


def test_an_input_that_is_lacking_is_told_in_one_line(file: Path) -> None:
    """The inference of shapes has an exception of its own for it."""
    model = onnx.load(file)
    model.graph.node[-1].op_type = "Reshape"
    file.write_bytes(model.SerializeToString())
    with pytest.raises(UserError, match="cannot be converted: .*Reshape"):
        backbones.build(config(file), SIZE)


def test_damaged_other_and_missing_files_are_refused(file: Path, tmp_path: Path) -> None:
    whole = config(file)
    with pytest.raises(UserError, match="sha256"):
        backbones.build(whole.model_copy(update={"sha256": "0" * 64}), SIZE)
    with pytest.raises(UserError, match="no file"):
        backbones.require(whole.model_copy(update={"path": str(tmp_path / "gone.onnx")}))
    for name, data in (("cut", file.read_bytes()[:200]), ("text", b"no model at all"), ("empty", b"")):
        path = tmp_path / name
        path.write_bytes(data)
        with pytest.raises(UserError, match="is no ONNX file"):
            backbones.build(config(path), SIZE)


@pytest.mark.parametrize(
    "name",
    [
        "x\"), __import__('pathlib').Path('sprung').touch(), (\"{}",
        "a.b{}\n    __import__('pathlib').Path('sprung').touch()",
    ],
)
def test_names_in_a_file_never_become_code(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    """torch.fx writes layers' names into Python source."""
    monkeypatch.chdir(tmp_path)
    path = tiny(tmp_path / "trap.onnx", names=name)
    network = onnx_file.build(config(path), SIZE).eval()
    with torch.inference_mode():
        assert np.allclose(network(photos()), by_onnxruntime(path, photos()), atol=1e-5)
    assert not (tmp_path / "sprung").exists()


@pytest.mark.slow
def test_sface_is_converted_exactly(shared: Path) -> None:
    path = shared / "models" / "sface_2021dec_features.onnx"
    network = backbones.build(config(path, pool={"kind": "mean"}), (112, 112)).eval()
    batch = torch.from_numpy(np.random.default_rng(0).uniform(0, 255, (2, 3, 112, 112)).astype(np.float32))
    session = onnxruntime.InferenceSession(path.read_bytes(), providers=["CPUExecutionProvider"])
    wanted = session.run(None, {"data": batch.numpy()})[0].mean((2, 3))
    with torch.inference_mode():
        assert np.allclose(network(batch), wanted, atol=1e-3)
    assert len(layers.groups(network)) == 5
