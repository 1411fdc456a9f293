"""What ``dvc exp run -S`` gets wrong most easily is told in one line, and what that line says to type puts it right."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from dvc.utils.hydra import apply_overrides

from facemask.commands import assignments
from facemask.runtime.errors import UserError
from facemask.settings import loading

LOSSES = "cross_entropy, focal, soft_f1, symmetric_cross_entropy, multilabel_soft_margin, blend"
LINES = {
    "train.loss=focal": (
        f"train.loss: a choice of kinds ({LOSSES}), each a mapping with its knobs; type "
        "python -m facemask set train.loss focal gamma=2.0 or "
        "dvc exp run -S '~train.loss' -S '+train.loss={kind: focal, gamma: 2.0}'"
    ),
    "train.loss=multilabel_soft_margin": (
        f"train.loss: a choice of kinds ({LOSSES}), each a mapping with its knobs; type "
        "python -m facemask set train.loss multilabel_soft_margin "
        "train.head multilabel 'dropout={p: 0.2, samples: 1}' or "
        "dvc exp run -S '~train.loss' -S '+train.loss={kind: multilabel_soft_margin}' "
        "-S '~train.head' -S '+train.head={kind: multilabel, dropout: {p: 0.2, samples: 1}}'"
    ),
    "train.clip=nrm": (
        "train.clip: a choice of kinds (none, norm, value, agc), each a mapping with its knobs; type "
        "python -m facemask set train.clip norm limit=1.0 or "
        "dvc exp run -S '~train.clip' -S '+train.clip={kind: norm, limit: 1.0}'"
    ),
    "train.backbone.weights=hub": (
        "train.backbone.weights: a choice of kinds (scratch, hub, file), each a mapping with its knobs; type "
        "python -m facemask set train.backbone.weights hub or "
        "dvc exp run -S '~train.backbone.weights' -S '+train.backbone.weights={kind: hub}'"
    ),
    "infer.views=[hflip]": (
        "infer.views: a choice of kinds (identity, hflip, crop, scale), each a mapping with its knobs; type "
        "python -m facemask set infer.views '[{kind: hflip}]' or dvc exp run -S 'infer.views=[{kind: hflip}]'"
    ),
    "infer.views=[identity,{kind: hflip},scale]": (
        "infer.views: a choice of kinds (identity, hflip, crop, scale), each a mapping with its knobs; type "
        "python -m facemask set infer.views "
        "'[{kind: identity}, {kind: hflip}, {kind: scale, factor: 1.2, flip: false}]' or "
        "dvc exp run -S 'infer.views=[{kind: identity}, {kind: hflip}, {kind: scale, factor: 1.2, flip: false}]'"
    ),
    "infer.views=hflip": (
        "infer.views: a list is wanted; type python -m facemask set infer.views '[{kind: hflip}]' or "
        "dvc exp run -S 'infer.views=[{kind: hflip}]'"
    ),
    "train.folds=1": (
        "train.folds: a list is wanted; type python -m facemask set train.folds '[1]' or "
        "dvc exp run -S 'train.folds=[1]'"
    ),
    "train.precision=16": (
        "train.precision: 16 is read as a number, but text is wanted; type "
        """python -m facemask set train.precision '"16"' or dvc exp run -S 'train.precision="16"'"""
    ),
    "data.root=2024": (
        "data.root: 2024 is read as a number, but text is wanted; type "
        """python -m facemask set data.root '"2024"' or dvc exp run -S 'data.root="2024"'"""
    ),
    "combine.members=[cut-58,1234]": (
        "combine.members: 1234 is read as a number, but text is wanted; type "
        """python -m facemask set combine.members '[cut-58, "1234"]' or """
        """dvc exp run -S 'combine.members=[cut-58, "1234"]'"""
    ),
    "train.loss.kind=focal": (
        "train.loss: kind focal needs gamma (number ≥ 0; 0 is cross-entropy; 2 is the paper's), and smoothing is left "
        "over from another kind; type python -m facemask set train.loss focal gamma=2.0"
    ),
    "build_manifest.balance.kind=oversample": (
        "build_manifest.balance.ratio: missing (number > 0, ≤ 1; each class is raised towards this fraction of the "
        "largest class); build_manifest.balance.cap: missing (integer ≥ 1; no photo is seen more often than this in "
        "one epoch); type python -m facemask set build_manifest.balance oversample ratio=0.5 cap=2"
    ),
    "face_crop.finder.kind=fixed": (
        "face_crop.finder: kind fixed needs box (4 × number ≥ 0, ≤ 1; x0, y0, x1, y1 as fractions of the photo's width "
        "and height), and min_face and thresholds are left over from another kind; type "
        "python -m facemask set face_crop.finder fixed 'box=[0.167, 0.1875, 0.833, 0.8125]'"
    ),
    "train.loss.kind=multilabel_soft_margin": (
        "train.loss.smoothing: unknown key; a knob of kind cross_entropy, not of multilabel_soft_margin (known here: "
        "kind); to drop it, type python -m facemask set train.loss multilabel_soft_margin"
    ),
    "+train.loss.gamma=2": (
        "train.loss.gamma: unknown key; a knob of kind focal, not of cross_entropy (known here: kind, smoothing); to "
        "drop it, type python -m facemask set train.loss cross_entropy"
    ),
}


@pytest.fixture
def target(tmp_path: Path, repository: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    path = Path("params.yaml")
    path.write_bytes((repository / "params.yaml").read_bytes())
    return path


def told(target: Path) -> str:
    with pytest.raises(UserError) as caught:
        loading.load(target)
    return str(caught.value)


@pytest.mark.parametrize("override", LINES)
def test_the_line_is_exact(override: str, target: Path) -> None:
    apply_overrides(target, [override])
    assert told(target) == f"params.yaml: {LINES[override]}"


@pytest.mark.slow
@pytest.mark.parametrize("override", [override for override, line in LINES.items() if "type python" in line])
def test_what_it_says_to_type_puts_it_right(override: str, target: Path) -> None:
    """In the file as ``dvc exp run`` left it."""
    apply_overrides(target, [override])
    wrong = target.read_bytes()
    by_set = re.search(r"type (python -m facemask set .*?)( or dvc|$)", told(target))
    by_dvc = re.search(r" or (dvc exp run .*)$", told(target))
    assert by_set
    if (
        override != "train.loss.kind=multilabel_soft_margin"
    ):  # wants another head as well, as the next line says
        assert assignments.apply(shlex.split(by_set[1])[4:], target)
        loading.load(target)
    if by_dvc:
        target.write_bytes(wrong)
        apply_overrides(target, shlex.split(by_dvc[1])[4::2])
        loading.load(target)


def test_several_mistakes_stay_one_line(target: Path) -> None:
    apply_overrides(target, ["train.loss=focal", "train.precision=16", "infer.views=[hflip]", "train.lr=0"])
    line = told(target)
    assert "\n" not in line
    for override in ("train.loss=focal", "train.precision=16", "infer.views=[hflip]"):
        assert LINES[override] in line
    assert "train.lr: input should be greater than 0" in line


ODD: tuple[Any, ...] = (
    None,
    True,
    3,
    -1.5,
    "x",
    [],
    {},
    ["x"],
    [1],
    [{}],
    {"kind": "x"},
    {"kind": 3},
    {"kind": "none", "x": 1},
)


def test_of_many_mistakes_the_first_are_told_and_the_others_counted(params_yaml: dict[str, Any]) -> None:
    train = params_yaml["train"]
    kept = dict(list(train.items())[:5])
    with pytest.raises(UserError) as told:
        loading.parse(params_yaml | {"train": kept}, "p")
    line = str(told.value)
    assert line.count("; train.") == 7
    assert f"; and {len(train) - 5 - 8} more (was the file cut short?)" in line
    assert len(line) < 2000


@pytest.mark.slow
def test_whatever_stands_at_a_key_is_told_in_one_line(params_yaml: dict[str, Any]) -> None:
    def places(content: Any) -> Iterator[tuple[Any, Any]]:
        for key in list(content) if isinstance(content, dict) else range(len(content)):
            yield content, key
            if isinstance(content[key], (dict, list)):
                yield from places(content[key])

    told = 0
    for section, key in list(places(params_yaml)):
        before = section[key]
        for odd in ODD:
            section[key] = odd
            try:
                loading.parse(params_yaml, "params.yaml")
            except UserError as error:
                told += 1
                assert "\n" not in str(error)
                assert str(error).startswith("params.yaml: ")
                assert len(str(error)) > len("params.yaml: ")
        section[key] = before
    assert told > 1000
