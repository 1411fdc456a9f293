"""``python -m facemask set``: kinds with all their knobs and plain values, written whole or not at all."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from dvc.utils.serialize import load_yaml

from facemask.commands import assignments
from facemask.runtime.errors import UserError
from facemask.settings import loading


@pytest.fixture
def target(tmp_path: Path, repository: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_bytes((repository / "params.yaml").read_bytes())
    return path


def put(content: dict[str, Any], key: str, value: Any) -> None:
    *parents, last = key.split(".")
    for part in parents:
        content = content[part]
    content[last] = value


DROPOUT = {"p": 0.2, "samples": 4}
UNDERSAMPLE = {"kind": "undersample", "keep": [3, 1, 1]}
MTCNN = {"kind": "mtcnn", "min_face": 40, "thresholds": [0.6, 0.7, 0.7]}


@pytest.mark.parametrize(
    ("words", "changes"),
    [
        # plain values, as YAML
        (["train.lr", "3e-5"], {"train.lr": 3e-5}),
        (["train.folds", "[0,1]"], {"train.folds": [0, 1]}),
        (["train.channels_last", "false"], {"train.channels_last": False}),
        (["train.patience", "4"], {"train.patience": 4}),
        (["train.precision", "16"], {"train.precision": "16"}),
        (["data.root", "../photos"], {"data.root": "../photos"}),
        (["infer.views", "[{kind: hflip}]"], {"infer.views": [{"kind": "hflip"}]}),
        (["train.backbone.options.drop_rate", ".1"], {"train.backbone.options": {"drop_rate": 0.1}}),
        # kinds
        (["train.loss", "focal", "gamma=2"], {"train.loss": {"kind": "focal", "gamma": 2}}),
        (
            ["build_manifest.balance", "undersample", "keep=[3, 1, 1]"],
            {"build_manifest.balance": UNDERSAMPLE},
        ),
        (["combine.adjust", "fixed", "tau=-1"], {"combine.adjust": {"kind": "fixed", "tau": -1}}),
        (["background_removal.matting", "none"], {"background_removal.matting": {"kind": "none"}}),
        # a kind that stays keeps its knobs
        (["train.optimiser", "adamw", "weight_decay=0"], {"train.optimiser.weight_decay": 0}),
        (["train.optimiser", "adamw"], {}),
        # choices inside choices, and sections
        (
            ["train.head.age", "bins", "edges=[30, 60]"],
            {"train.head.age": {"kind": "bins", "edges": [30, 60]}},
        ),
        (["train.backbone.weights", "hub"], {"train.backbone.weights": {"kind": "hub"}}),
        (
            ["train.backbone", "facenet", "weights=vggface2"],
            {"train.backbone": {"kind": "facenet", "weights": {"kind": "vggface2"}}},
        ),
        (
            ["train.head", "joint", "dropout.p=0.2", "dropout.samples=4"],
            {"train.head": {"kind": "joint", "dropout": DROPOUT}},
        ),
        (
            [
                "face_crop.finder",
                "in_order",
                "finders=[{kind: mtcnn, min_face: 40, thresholds: [.6, .7, .7]}]",
            ],
            {"face_crop.finder": {"kind": "in_order", "finders": [MTCNN]}},
        ),
        # several at once, where one needs the other
        (
            [
                "train.head",
                "multilabel",
                "dropout.p=0.2",
                "dropout.samples=4",
                "train.loss",
                "multilabel_soft_margin",
            ],
            {
                "train.head": {"kind": "multilabel", "dropout": DROPOUT},
                "train.loss": {"kind": "multilabel_soft_margin"},
            },
        ),
        (
            ["train.folds", "[6]", "build_manifest.folds", "7"],
            {"train.folds": [6], "build_manifest.folds": 7},
        ),
    ],
)
def test_what_is_named_changes_and_nothing_else(
    target: Path, params_yaml: dict[str, Any], words: list[str], changes: dict[str, Any]
) -> None:
    for key, value in changes.items():
        put(params_yaml, key, value)
    assert bool(assignments.apply(words, target)) == bool(changes)
    assert loading.read(target)[1] == params_yaml
    assert assignments.apply(words, target) == ""


def test_knobs_left_over_from_another_kind_go(target: Path, params_yaml: dict[str, Any]) -> None:
    """As ``dvc exp run -S train.loss.kind=focal`` leaves them; so does a choice that was given as text."""
    for left in ("loss:\n    kind: focal\n    smoothing: 0.1\n", "loss: focal\n"):
        text = target.read_text()
        target.write_text(text.replace("loss:\n    kind: cross_entropy\n    smoothing: 0.1\n", left))
        assert target.read_text() != text
        assignments.apply(["train.loss", "focal", "gamma=2"], target)
        params_yaml["train"]["loss"] = {"kind": "focal", "gamma": 2}
        assert loading.read(target)[1] == params_yaml
        target.write_text(text)


@pytest.mark.parametrize(
    ("words", "told"),
    [
        (
            ["train.loss", "focal"],
            "params.yaml with train.loss focal: train.loss.gamma: missing (number ≥ 0; 0 is cross-entropy; 2 is the "
            "paper's); type python -m facemask set train.loss focal gamma=2.0",
        ),
        (
            ["train.head", "joint"],
            "params.yaml with train.head joint: train.head.dropout.p: missing (number ≥ 0, < 1; share of features "
            "dropped in training); train.head.dropout.samples: missing (integer ≥ 1; draws a photo, whose losses are "
            "averaged (multi-sample dropout); 1 is usual); type "
            "python -m facemask set train.head joint 'dropout={p: 0.2, samples: 1}'",
        ),
        (
            ["train.backbone", "facenet"],
            "params.yaml with train.backbone facenet: train.backbone.weights: missing (kind scratch, vggface2, "
            "casia_webface, file; initial weights: vggface2 or casia_webface (downloaded once), a file, or scratch); "
            "type python -m facemask set train.backbone facenet 'weights={kind: vggface2}'",
        ),
        (
            ["train.loss", "focl", "gamma=2"],
            "params.yaml with train.loss focl gamma=2: train.loss.kind: 'focl' is not one of cross_entropy, focal, "
            "soft_f1, symmetric_cross_entropy, multilabel_soft_margin, blend; did you mean focal?",
        ),
        (
            ["train.head", "multilabel", "dropout={p: 0, samples: 1}"],
            "params.yaml with train.head multilabel dropout={p: 0, samples: 1}: train: head multilabel needs loss "
            "multilabel_soft_margin",
        ),
        (["train.lr", "0"], "params.yaml with train.lr 0: train.lr: input should be greater than 0"),
        (["train.lr"], "train.lr: KEY VALUE is wanted, then knob=value for the knobs of a kind"),
        (["train.lr=1"], "train.lr=1: KEY VALUE is wanted, then knob=value for the knobs of a kind"),
    ],
)
def test_a_mistake_is_one_line_and_changes_nothing(
    target: Path, monkeypatch: pytest.MonkeyPatch, words: list[str], told: str
) -> None:
    before = target.read_bytes()
    monkeypatch.chdir(target.parent)
    with pytest.raises(UserError) as caught:
        assignments.apply(words, Path(target.name))
    assert str(caught.value) == told
    assert target.read_bytes() == before


@pytest.mark.parametrize(
    ("words", "parts"),
    [
        (["trian.lr", "3"], ["trian: unknown key; did you mean train?"]),
        (["train.learning_rate", "3"], ["train.learning_rate: unknown key"]),
        (["train.loss.gamma", "3"], ["train.loss.gamma: unknown key"]),
        (["train.lr.x", "3"], ["train.lr: input should be a valid number"]),
        (["infer.views.0.kind", "hflip"], ["infer.views: input should be a valid array"]),
        (["train.folds", "[0"], ["train.folds=[0: not valid YAML: "]),
    ],
)
def test_a_key_or_value_that_cannot_be_is_told(target: Path, words: list[str], parts: list[str]) -> None:
    with pytest.raises(UserError) as caught:
        assignments.apply(words, target)
    assert "\n" not in str(caught.value)
    for part in parts:
        assert part in str(caught.value)


ODD = r"""/x/사진 ~ ~/mine [a] 2021_01 null 1e3 true {x} *foo &x #x 2021-01-02 !x %x @x a\b ${x} a,b 0x10 = a=b |"""


@pytest.mark.slow
@pytest.mark.parametrize("name", [*ODD.split(), "a: b", "a #b", "- a", "? x", " a", "'", "'a", "it's"])
def test_any_folder_can_be_named(target: Path, name: str) -> None:
    """Whatever YAML would take it for."""
    assignments.apply(["data.root", name], target)
    assert loading.load(target).data.root == name
    assert load_yaml(target)["data"]["root"] == name


def test_quotes_of_yaml_may_stay(target: Path) -> None:
    assignments.apply(["data.root", '"2021_01"'], target)
    assert loading.load(target).data.root == "2021_01"
