"""Presets: merged whole or not at all, with the file's comments, order and format kept."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from ruamel.yaml import YAML

from facemask.runtime.errors import UserError
from facemask.settings import loading, presets


@pytest.fixture
def target(tmp_path: Path, repository: Path) -> Path:
    path = tmp_path / "params.yaml"
    path.write_bytes((repository / "params.yaml").read_bytes())
    return path


def preset(tmp_path: Path, content: dict[str, Any], name: str = "mine") -> Path:
    folder = tmp_path / "presets"
    folder.mkdir(exist_ok=True)
    (folder / f"{name}.yaml").write_text(
        yaml.safe_dump({"description": "A test.", "params": content}, sort_keys=False)
    )
    return folder


def shipped(repository: Path) -> list[str]:
    return sorted(path.stem for path in (repository / "presets").glob("*.yaml"))


@pytest.mark.slow
def test_every_shipped_preset_applies_once(repository: Path, target: Path) -> None:
    assert shipped(repository)
    before = target.read_bytes()
    for name in shipped(repository):
        target.write_bytes(before)
        assert presets.apply(name, repository / "presets", target), name
        loading.load(target)
        once = target.read_bytes()
        assert presets.apply(name, repository / "presets", target) == ""
        assert target.read_bytes() == once


def test_the_age_cut_of_the_preset_for_real_faces_moves_alone(repository: Path, target: Path) -> None:
    presets.apply("realfaces", repository / "presets", target)
    whole = yaml.safe_load(target.read_text())
    whole["train"] |= {"age_cut": 60, "young_cut": 29}
    loading.parse(whole, "moved")


def test_every_shipped_preset_is_described(repository: Path) -> None:
    found = presets.available(repository / "presets")
    assert list(found) == shipped(repository)
    assert all(len(description) > 20 for description in found.values())


def split(text: str, key: str) -> tuple[list[str], list[str], list[str]]:
    """Lines before, of and behind a key's value."""
    path: list[tuple[int, str]] = []
    lines, own = text.splitlines(), []
    for at, line in enumerate(lines):
        if found := re.match(r"( *)(\w+):", line):
            path = [*(one for one in path if one[0] < len(found[1])), (len(found[1]), found[2])]
        here = ".".join(name for _, name in path)
        if f"{here}.".startswith(f"{key}.") and line and not line.lstrip().startswith("#"):
            own.append(at)
    return lines[: own[0]], lines[own[0] : own[-1] + 1], lines[own[-1] + 1 :]


# As YAML and as the grammar of `dvc exp run -S` alike.
CHANGES = {
    "seed": "7",
    "face_crop.size": "[64, 48]",
    "face_crop.fallback": "[]",
    "background_removal.matting": "{kind: none}",
    "build_manifest.balance": "{kind: undersample, keep: [3, 1, 1]}",
    "train.folds": "[1, 2, 4]",
    "train.augment": "[{name: Affine, scale: [0.9, 1.1], p: 0.5}]",
    "train.backbone.options": "{drop_rate: 0.1}",
    "train.loss": "{kind: focal, gamma: 2.0}",
    "train.lr": "3e-5",
    "train.patience": "4",
    "infer.views": "[{kind: identity}, {kind: scale, factor: 1.2, flip: true}]",
    "infer.precision": '"16"',
}


@pytest.fixture(params=CHANGES)
def change(request: pytest.FixtureRequest, tmp_path: Path) -> tuple[str, Path]:
    """A key, and a preset that changes it."""
    nested: dict[str, Any] = YAML(typ="safe").load(CHANGES[request.param])
    for part in reversed(request.param.split(".")):
        nested = {part: nested}
    return request.param, preset(tmp_path, nested)


def test_only_the_lines_of_a_key_change(change: tuple[str, Path], target: Path) -> None:
    """The shipped file has the form that DVC writes: ``dvc exp run -S`` changes the lines of its keys alone."""
    key, folder = change
    text = target.read_text()
    before, old, behind = split(text, key)
    value = CHANGES[key]
    apply_overrides(target, [f"~{key}", f"+{key}={value}"] if value.startswith("{") else [f"{key}={value}"])
    by_dvc = split(target.read_text(), key)
    assert (by_dvc[0], by_dvc[2]) == (before, behind)
    target.write_text(text)
    difference = presets.apply("mine", folder, target)
    own = by_dvc[1]
    assert split(target.read_text(), key) == (before, own, behind)
    assert own != old
    for line in set(own) ^ set(old):
        assert f"{'+' if line in own else '-'}{line}" in difference.splitlines()


def test_comments_stay(change: tuple[str, Path], target: Path) -> None:
    key, folder = change
    before, old, behind = split(target.read_text(), key)
    before = [*before[:-1], f"{before[-1]}   # above"]
    behind = ["", "# next: mine, tuned by hand", *behind]
    old[-1] += "  # own"
    target.write_text("\n".join([*before, *old, *behind]) + "\n")
    presets.apply("mine", folder, target)
    after = split(target.read_text(), key)
    assert (after[0], after[2]) == (before, behind)
    # What is said of an item goes with it.
    assert sum("# own" in line for line in after[1]) == (CHANGES[key][0] not in "[{")


def test_a_choice_of_another_kind_is_replaced_whole(tmp_path: Path, target: Path) -> None:
    folder = preset(
        tmp_path,
        {"train": {"optimiser": {"kind": "sgd", "weight_decay": 0.1, "momentum": 0.9, "nesterov": True}}},
    )
    before = yaml.safe_load(target.read_text())
    presets.apply("mine", folder, target)
    after = yaml.safe_load(target.read_text())
    assert after["train"].pop("optimiser") == {
        "kind": "sgd",
        "weight_decay": 0.1,
        "momentum": 0.9,
        "nesterov": True,
    }
    del before["train"]["optimiser"]
    assert after == before


def test_a_choice_of_the_same_kind_is_merged(
    tmp_path: Path, target: Path, params_yaml: dict[str, Any]
) -> None:
    (knob,) = [key for key, value in params_yaml["train"]["schedule"].items() if key.startswith("warmup")]
    presets.apply("mine", preset(tmp_path, {"train": {"schedule": {knob: 0.5}}}), target)
    assert yaml.safe_load(target.read_text())["train"]["schedule"] == params_yaml["train"]["schedule"] | {
        knob: 0.5
    }


@pytest.mark.slow
def test_options_of_another_network_do_not_linger(tmp_path: Path, target: Path) -> None:
    for options in ({"drop_path_rate": 0.1, "global_pool": "avg"}, {"drop_rate": 1}, {"drop_rate": True}, {}):
        presets.apply("mine", preset(tmp_path, {"train": {"backbone": {"options": options}}}), target)
        found = yaml.safe_load(target.read_text())["train"]["backbone"]["options"]
        assert json.dumps(found) == json.dumps(options)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        ({"train": {"epoch": 3}}, "did you mean train.epochs"),
        ({"train": {"lr": "fast"}}, "train.lr: input should be a valid number"),
        ({"train": {"folds": [99]}}, "train.folds names fold 99"),
        ({"trian": {"lr": 1.0}}, "did you mean train"),
        ({"train": {"loss": {"kind": "focal"}}}, "train.loss.gamma: missing"),
    ],
)
def test_an_invalid_preset_changes_nothing(
    tmp_path: Path, target: Path, content: dict[str, Any], told: str
) -> None:
    before = target.read_bytes()
    with pytest.raises(UserError, match=told):
        presets.apply("mine", preset(tmp_path, content), target)
    assert target.read_bytes() == before


def test_a_preset_without_description_is_refused(tmp_path: Path, target: Path) -> None:
    folder = preset(tmp_path, {})
    (folder / "bare.yaml").write_text("train:\n  lr: 1.0\n")
    with pytest.raises(UserError, match="two keys, description and params"):
        presets.apply("bare", folder, target)


@pytest.mark.parametrize(
    ("content", "told"),
    [
        (b"description: x\nparams: [\n", r"not valid YAML: .*line"),
        (b"description: x\nparams: 3\n", r"params: sections and keys of params\.yaml are wanted"),
        (b"description: x\nparams:\n", r"params: sections and keys of params\.yaml are wanted"),
        (b"description:\nparams: {seed: 1}\n", r"description: text is wanted"),
        (b"description: caf\xe9\nparams: {seed: 1}\n", r"not UTF-8"),
        (b"description: x\nparams: {seed: 1, seed: 2}\n", r"line 2: seed stands twice"),
    ],
)
def test_a_broken_preset_is_one_line(tmp_path: Path, target: Path, content: bytes, told: str) -> None:
    folder = tmp_path / "presets"
    folder.mkdir()
    (folder / "mine.yaml").write_bytes(content)
    before = target.read_bytes()
    for use in (lambda: presets.apply("mine", folder, target), lambda: presets.available(folder)):
        with pytest.raises(UserError, match=rf"presets/mine\.yaml: {told}") as caught:
            use()
        assert "\n" not in str(caught.value)
    assert target.read_bytes() == before


def test_an_endless_preset_changes_nothing(tmp_path: Path, target: Path) -> None:
    folder = preset(tmp_path, {})
    (folder / "mine.yaml").write_text("description: x\nparams: &all {train: *all}\n")
    before = target.read_bytes()
    with pytest.raises(UserError, match=r"presets/mine\.yaml: line 2: &all: anchors"):
        presets.apply("mine", folder, target)
    assert target.read_bytes() == before


@pytest.mark.parametrize("layout", ["one line", "JSON", "merge key", "dashes to the right"])
def test_any_layout_can_be_changed(
    tmp_path: Path, target: Path, params_yaml: dict[str, Any], layout: str
) -> None:
    if layout == "one line":
        target.write_text(json.dumps(params_yaml))
    elif layout == "JSON":
        target.write_text(json.dumps(params_yaml, indent=2))
    elif layout == "merge key":
        target.write_text(target.read_text().replace("\n  lr: ", "\n  <<:\n    lr: "))
    else:
        target.write_text(target.read_text().replace("\n  folds:\n  - 0\n", "\n  folds:\n      - 0\n"))
    assert loading.load(target) == loading.parse(params_yaml, "params.yaml")
    presets.apply("mine", preset(tmp_path, {"train": {"lr": 0.125, "folds": [1]}}), target)
    params_yaml["train"] |= {"lr": 0.125, "folds": [1]}
    assert loading.read(target)[1] == params_yaml


def test_an_unknown_preset_offers_the_nearest(tmp_path: Path, target: Path) -> None:
    folder = preset(tmp_path, {}, "realfaces")
    with pytest.raises(UserError, match=r"no preset 'realface'; did you mean realfaces\?"):
        presets.apply("realface", folder, target)
    with pytest.raises(UserError, match="there are realfaces"):
        presets.apply("xyz", folder, target)


def test_merge_leaves_its_arguments_alone(params_yaml: dict[str, Any]) -> None:
    before = yaml.safe_dump(params_yaml)
    presets.merge(params_yaml, {"train": {"image": {"size": [8, 8]}}})
    assert yaml.safe_dump(params_yaml) == before


SYSTEMS = {
    "s0_effnet_lite0",
    "s0_effnet_b4",
    "s0_densenet161_fused",
    "s1_densenet161_kfold",
    "s2_swin_large_f1",
    "s3_effnet_b3_arcface",
    "s4_inception_three",
    "s4_effnet_b3_three",
    "s4_effnet_b3_multilabel",
    "s4_age_by_gender",
    "realfaces",
    "quick",
    "masks",
    "contest",
}


def test_every_system_is_shipped(repository: Path) -> None:
    assert set(presets.available(repository / "presets")) == SYSTEMS


def test_a_preset_leaves_nothing_of_the_one_before(repository: Path, target: Path) -> None:
    """An experiment never starts with another system's params: whatever came before, the result is the same."""
    clean = yaml.safe_load(target.read_text())
    systems = {
        name: yaml.safe_load((repository / "presets" / f"{name}.yaml").read_text())["params"]
        for name in SYSTEMS
    }
    alone = {name: presets.merge(clean, system) for name, system in systems.items()}
    for before, system in itertools.product(SYSTEMS, SYSTEMS):
        after = presets.merge(alone[before], systems[system])
        assert after == alone[system], f"{system} after {before}"
