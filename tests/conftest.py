"""Shared pieces of the tests: a tiny contest folder, small params, and the optional development data."""

from __future__ import annotations

import copy
import gc
import itertools
import os
import signal
import subprocess
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

# Before numpy and torch are imported: tests run side by side, and none may wait for a network. numba (by way of rembg)
# would raise OpenMP's threads again, and threads that wait by spinning slow a small network down forty times.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("NUMBA_NUM_THREADS", "1")
os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
os.environ.setdefault("HF_HUB_OFFLINE", "1")
os.environ.setdefault("DVC_NO_ANALYTICS", "true")

import hypothesis
import numpy as np
import pytest
import yaml
from dvc.repo import Repo
from PIL import Image

from facemask.settings import loading, params
from tests import headless, warm

# A suite that a shell started in the background inherits a Ctrl-C that is ignored.
signal.signal(signal.SIGINT, signal.default_int_handler)

# The same cases on every run and no folder of found ones; a shared machine makes single cases slow by chance.
hypothesis.settings.register_profile(
    "here", max_examples=40, deadline=None, derandomize=True, database=None, print_blob=False
)
hypothesis.settings.load_profile("here")

REPOSITORY = Path(__file__).resolve().parents[1]
KINDS = ("mask1", "mask2", "mask3", "mask4", "mask5", "incorrect_mask", "normal")
AGES = ((19, 24, 29), (30, 45, 59), (60, 60, 60))
GENDERS = ("male", "female")


def pytest_sessionstart() -> None:
    """Collect no garbage while the tests and two dozen libraries are imported: there is none."""
    gc.disable()


def pytest_collection_finish() -> None:
    """From here on look only at what comes: going through a million imported objects takes a fifth of a second."""
    gc.freeze()
    gc.enable()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Begin with the longest files: with one at the end, the other workers would wait for its."""
    heavy = {"quick_stages", "machines", "pipeline"}
    longest = {item.path for item in items if heavy & set(getattr(item, "fixturenames", ()))}
    items.sort(key=lambda item: item.path not in longest)


@pytest.fixture(scope="session")
def repository() -> Path:
    """The project's own folder."""
    return REPOSITORY


@pytest.fixture(scope="session")
def shared() -> Path:
    """The optional folder of development data and models beside the repository; skips where it is absent."""
    folder = REPOSITORY.parent / "shared"
    for part in (folder / "data" / "realfaces", folder / "models"):
        if not part.is_dir():
            pytest.skip(f"development data: ../{part.relative_to(REPOSITORY.parent).as_posix()} is absent")
    return folder


def _photo(kind: str, gender: int, band: int, size: tuple[int, int], rng: np.random.Generator) -> Image.Image:
    """Noise around a colour that tells the class: red the mask state, green the gender, blue the age band."""
    state = 2 if kind == "normal" else 1 if kind == "incorrect_mask" else 0
    colour = np.array([40 + 85 * state, 60 + 130 * gender, 40 + 85 * band], dtype=np.float64)
    noisy = colour + rng.normal(0, 12, (*size, 1)) + rng.normal(0, 6, (*size, 3))
    return Image.fromarray(noisy.clip(0, 255).astype(np.uint8))


def _contest(
    root: Path,
    *,
    people: int = 12,
    eval_people: int = 3,
    size: tuple[int, int] = (64, 48),
    extensions: Sequence[str] = ("jpg",),
    seed: int = 0,
) -> Path:
    """Write ``root`` in the contest's layout and return it.

    Parameters
    ----------
    people
        Labelled people, seven photos each; six in a row cover every gender and age band.
    eval_people
        Unlabelled people, seven photos each; 0 leaves ``eval/`` out.
    size
        Height and width of the photos, pixels.
    extensions
        Taken in turn, photo by photo.
    """
    rng = np.random.default_rng(seed)
    endings = itertools.cycle(extensions)
    rows = ["id,gender,race,age,path"]
    for index in range(people):
        gender, band = index % 2, index // 2 % 3
        age = AGES[band][index // 6 % 3]
        person = f"{index + 1:06d}"
        folder = f"{person}_{GENDERS[gender]}_Asian_{age}"
        rows.append(f"{person},{GENDERS[gender]},Asian,{age},{folder}")
        (root / "train" / "images" / folder).mkdir(parents=True)
        for kind in KINDS:
            _photo(kind, gender, band, size, rng).save(
                root / "train" / "images" / folder / f"{kind}.{next(endings)}"
            )
    (root / "train").mkdir(parents=True, exist_ok=True)
    (root / "train" / "train.csv").write_text("\n".join(rows) + "\n")
    if eval_people:
        (root / "eval" / "images").mkdir(parents=True)
        images = []
        for index, kind in itertools.product(range(eval_people), KINDS):
            # Contest names say nothing about the person; these are merely unique and out of order.
            images.append(f"{(len(images) * 7919 + 104729) % 1_000_003:07x}.{next(endings)}")
            _photo(kind, index % 2, index // 2 % 3, size, rng).save(root / "eval" / "images" / images[-1])
        (root / "eval" / "info.csv").write_text("ImageID,ans\n" + "".join(f"{image},0\n" for image in images))
    return root


@pytest.fixture(scope="session")
def write_contest() -> Callable[..., Path]:
    """Write a tiny folder in the contest's layout; see ``_contest`` for its options."""
    return _contest


@pytest.fixture
def contest_folder(tmp_path: Path) -> Callable[..., Path]:
    """Factory of tiny folders in the contest's layout below ``tmp_path``, by name; see ``_contest`` for its options."""

    def make(name: str = "contest", **options: Any) -> Path:
        return _contest(tmp_path / name, **options)

    return make


@pytest.fixture(scope="session")
def list_photos() -> Callable[..., dict[str, Path]]:
    """Runs fix_labels on a folder in the contest's layout; see ``run``."""
    from stages import fix_labels

    def run(
        root: Path, *, dataset: str = "mine", trust: str = "confirmed", tolerate: float = 1.0
    ) -> dict[str, Path]:
        """Return where a photo stage finds the table and the photos, as it wants to be told.

        Beside ``root`` lie ``extra``, ``synthetic`` and ``label_fixes.csv``: empty unless a test has filled them.
        """
        places = {"root": root, "extra": root.with_name("extra"), "synthetic": root.with_name("synthetic")}
        for folder in places.values():
            folder.mkdir(exist_ok=True)
        listed = root.with_name("label_fixes.csv")
        if not listed.exists():
            listed.write_text("dataset,id,field,old,new,status,source,note\n")
        out = root.with_name("fix_labels")
        cfg = params.FixLabels.model_validate({"dataset": dataset, "trust": trust, "tolerate": tolerate})
        fix_labels.run(cfg, **places, label_fixes=listed, out=out)
        return places | {"photo_table": out / "photos.csv"}

    return run


@pytest.fixture(scope="session")
def start_project() -> Callable[[str, str], None]:
    """Make the current folder a git and DVC repository with a first commit of a ``dvc.yaml`` and a ``.gitignore``."""

    def start(dag: str, ignored: str) -> None:
        subprocess.run(["git", "init", "-q"], check=True)
        for key, value in (("user.name", "t"), ("user.email", "t@example.org")):
            subprocess.run(["git", "config", key, value], check=True)
        Repo.init(".").close()
        Path("dvc.yaml").write_text(dag)
        Path(".gitignore").write_text(ignored)
        subprocess.run(["git", "add", "."], check=True)
        subprocess.run(["git", "commit", "-q", "-m", "start"], check=True)

    return start


@pytest.fixture(scope="session")
def _stages_path(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with warm.packages(tmp_path_factory.mktemp("warm")) as path:
        yield path


@pytest.fixture(scope="module")
def quick_stages(_stages_path: str) -> Iterator[None]:
    """Let stages that DVC starts find their packages imported; see ``warm``."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", _stages_path)
        yield


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[Any]:
    """A browser without a window; a module that asks for it is marked ``headless.NEEDED``."""
    yield from headless.start(tmp_path / "profile")


@pytest.fixture(scope="module")
def machines() -> Iterator[Any]:
    """A Ray cluster of two machines with one CPU each, all of them this one; ``RAY_ADDRESS`` leads there."""
    from ray.cluster_utils import Cluster

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_USAGE_STATS_ENABLED", "0")
        each = {"num_cpus": 1, "object_store_memory": 2**27}
        cluster = Cluster(initialize_head=True, head_node_args={"include_dashboard": False, **each})
        cluster.add_node(**each)
        patch.setenv("RAY_ADDRESS", cluster.address)
        yield cluster
        cluster.shutdown()


@pytest.fixture(scope="session")
def _read_params() -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load((REPOSITORY / "params.yaml").read_text())
    return content


@pytest.fixture
def params_yaml(_read_params: dict[str, Any]) -> dict[str, Any]:
    """The repository's ``params.yaml`` as a fresh dict, to be changed at will."""
    return copy.deepcopy(_read_params)


@pytest.fixture
def toy_yaml(params_yaml: dict[str, Any]) -> dict[str, Any]:
    """``params.yaml`` shrunk to what a test can run in seconds, as a dict."""
    params_yaml["sample_data"] |= {"train_people": 12, "eval_people": 6}
    params_yaml["face_crop"] |= {"finder": {"kind": "fixed", "box": [0.2, 0.1, 0.8, 0.9]}, "size": [32, 24]}
    params_yaml["background_removal"]["matting"] = {"kind": "none"}
    params_yaml["fix_labels"]["tolerate"] = 1.0
    params_yaml["build_manifest"] |= {"folds": 2, "holdout": 0.0, "balance": {"kind": "none"}}
    train = params_yaml["train"]
    train["image"] |= {"size": [32, 24], "background": "keep"}
    train |= {"folds": [0], "augment": [{"name": "HorizontalFlip", "p": 0.5}]}
    train |= {"epochs": 1, "batch_size": 8, "precision": "32", "channels_last": False, "patience": None}
    params_yaml["evaluate"]["bootstrap"] = 20
    params_yaml["infer"]["batch_size"] = 16
    return params_yaml


@pytest.fixture
def toy_params(toy_yaml: dict[str, Any]) -> params.Params:
    """:func:`toy_yaml`, checked and typed."""
    return loading.parse(toy_yaml, "toy params")


@pytest.fixture(scope="session")
def write_lock() -> Callable[[dict[str, Any], Path], None]:
    """Write the ``dvc.lock`` of a run with some params into a folder, as far as the trained model's users read it."""

    def write(content: dict[str, Any], folder: Path) -> None:
        stages = {
            "face_crop": {f"face_crop.{key}": value for key, value in content["face_crop"].items()},
            "background_removal": {"background_removal": content["background_removal"]},
            "infer": {"infer": content["infer"], "train.folds": content["train"]["folds"]},
        }
        listed = {name: {"cmd": "true", "params": {"params.yaml": used}} for name, used in stages.items()}
        (folder / "dvc.lock").write_text(yaml.safe_dump({"schema": "2.0", "stages": listed}))

    return write


@pytest.fixture
def write_run(toy_yaml: dict[str, Any], write_lock: Callable[..., None]) -> Callable[..., Path]:
    """Write what a finished run leaves into a folder: tiny networks with weights by chance; see ``write``."""
    import torch

    from facemask.ensemble import combiner
    from facemask.network import checkpoints
    from facemask.network.classifier import Classifier
    from facemask.runtime import files, launch
    from facemask.settings import recipes

    prior = np.full(18, 1 / 18)

    def write(
        folder: Path,
        *,
        folds: int = 2,
        change: Callable[[dict[str, Any]], object] = lambda content: None,
        join: combiner.Combiner | None = None,
        seed: int = 0,
    ) -> Path:
        """Write ``folder`` and return it; ``change`` may edit the params, ``join`` is the combination."""
        content = toy_yaml
        content["train"]["folds"] = list(range(folds))
        change(content)
        recipe = launch.view(loading.parse(content, "toy"), recipes.Recipe)
        assert isinstance(recipe, recipes.Recipe)
        with torch.random.fork_rng():
            torch.manual_seed(seed)
            for fold in range(folds):
                made = checkpoints.Checkpoint(Classifier(recipe).eval(), recipe, prior)
                checkpoints.save(folder / "models" / "train" / f"fold{fold}", made, {"fold": fold})
        alone = combiner.Combiner((), combiner.Fitted(combiner.Mean((1.0,)), 0.0, tuple(prior), None), False)
        files.write_json(folder / "data" / "combine" / "combiner.json", (join or alone).to_json())
        write_lock(content, folder)
        return folder

    return write


@pytest.fixture
def photo() -> np.ndarray:
    """Pixels of a photo by chance, (80, 60, 3)."""
    return np.random.default_rng(3).integers(0, 256, (80, 60, 3), dtype=np.uint8)


@pytest.fixture
def write_faces() -> Callable[..., None]:
    """Write what face_crop leaves of one set, a crop of one colour a photo; see ``write``."""
    import pandas as pd

    from facemask.pixels import archive, codec
    from facemask.records import tables

    def write(folder: Path, colours: dict[str, tuple[int, int, int]], lost: Sequence[str] = ()) -> None:
        """Write ``folder``; in photos that are ``lost`` no face was found."""
        rows = [
            {name: 0.0 for name, kind in tables.BOXES.columns.items() if kind is float}
            | {"photo": photo, "status": "median" if photo in lost else "found", "faces": 1}
            | {"x1": 32.0, "y1": 32.0, "cx1": 32.0, "cy1": 32.0, "turn": float("nan")}
            for photo in colours
        ]
        tables.write(folder / tables.BOXES.name, pd.DataFrame(rows), tables.BOXES)
        pictures = {
            f"{photo}.jpg": codec.encode_jpeg(np.full((32, 32, 3), colour, np.uint8))
            for photo, colour in sorted(colours.items())
        }
        archive.write(folder / "crops.zip", pictures)

    return write


@pytest.fixture
def by_colour(tmp_path: Path) -> params.ByIdentity:
    """Groups photos by the mean colour of the face, which an ONNX file computes."""
    import hashlib

    import onnx
    from onnx import TensorProto, helper

    path = tmp_path / "colour.onnx"
    source = helper.make_tensor_value_info("data", TensorProto.FLOAT, ["N", 3, 4, 4])
    node = helper.make_node("AveragePool", ["data"], ["features"], kernel_shape=[4, 4])
    graph = helper.make_graph([node], "mean", [source], [helper.make_tensor_value_info("features", 1, None)])
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 15)], ir_version=8)
    onnx.save(model, str(path))
    return params.ByIdentity(
        kind="identity",
        path=str(path),
        sha256=hashlib.sha256(path.read_bytes()).hexdigest(),
        mean=0.0,
        std=1.0,
        similarity=0.9,
    )
