"""Presets: merged whole or not at all, with the file's comments, order and format kept."""

from __future__ import annotations

import itertools
import json
from pathlib import Path
from typing import Any

import pytest
import yaml

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
    (folder / f"{name}.yaml").write_text(yaml.safe_dump({"description": "A test.", "params": content}))
    return folder


def shipped(repository: Path) -> list[str]:
    return sorted(path.stem for path in (repository / "presets").glob("*.yaml"))


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


def test_only_the_lines_named_change(tmp_path: Path, target: Path) -> None:
    target.write_text(
        target.read_text()
        .replace("  lr: ", "  # mine: tuned by hand\n  lr: ")
        .replace("  epochs: ", "  epochs:   ")
        .replace("  batch_size: 32", "  batch_size: 32   # fits 8 GB")
    )
    before = target.read_text().splitlines()
    folder = preset(
        tmp_path, {"train": {"lr": 2e-05, "batch_size": 7, "folds": [1, 2]}, "infer": {"batch_size": 5}}
    )
    difference = presets.apply("mine", folder, target)
    after = target.read_text().splitlines()
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    assert [new for _, new in changed] == [
        "  folds: [1, 2]",
        "  lr: 2.0e-05",
        "  batch_size: 7   # fits 8 GB",
        "  batch_size: 5",
    ]
    assert "+  lr: 2.0e-05" in difference
    assert loading.load(target).train.lr == 2e-5


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


def test_options_of_another_network_do_not_linger(tmp_path: Path, target: Path) -> None:
    for options in ({"drop_path_rate": 0.1, "global_pool": "avg"}, {"drop_rate": 0.2}, {}):
        presets.apply("mine", preset(tmp_path, {"train": {"backbone": {"options": options}}}), target)
        assert yaml.safe_load(target.read_text())["train"]["backbone"]["options"] == options


def test_lists_are_replaced_and_stay_readable(tmp_path: Path, target: Path) -> None:
    steps = [{"name": "HorizontalFlip", "p": 0.3}, {"name": "Affine", "rotate": [-5, 5], "p": 1.0}]
    presets.apply("mine", preset(tmp_path, {"train": {"augment": steps}}), target)
    lines = target.read_text().splitlines()
    at = lines.index("  augment:")
    # PyYAML sorted the keys of the preset that this test wrote.
    assert lines[at + 1] == "    - {name: HorizontalFlip, p: 0.3}"
    assert yaml.safe_load(target.read_text())["train"]["augment"] == steps
    presets.apply("mine", preset(tmp_path, {"train": {"augment": []}}), target)
    assert "  augment: []" in target.read_text().splitlines()


def test_comments_between_sections_stay(tmp_path: Path, target: Path) -> None:
    text = target.read_text().replace("\ninfer:", "\n# last of all\ninfer:")
    target.write_text(text)
    presets.apply(
        "mine",
        preset(tmp_path, {"evaluate": {"calibration_bins": 7}, "infer": {"views": [{"kind": "identity"}]}}),
        target,
    )
    after = target.read_text()
    assert "\n\n# last of all\ninfer:" in after
    assert after.count("#") == text.count("#")
    assert after.count("\n\n") == text.count("\n\n")


def test_what_dvc_wrote_can_be_merged(tmp_path: Path, target: Path, params_yaml: dict[str, Any]) -> None:
    """``dvc exp run -S`` may write lists as blocks whose dashes stand right below the key."""
    params_yaml["train"]["folds"] = [0, 1]
    target.write_text(yaml.safe_dump(params_yaml, sort_keys=False))
    presets.apply("mine", preset(tmp_path, {"train": {"folds": [2], "image": {"size": [64, 48]}}}), target)
    params_yaml["train"]["folds"] = [2]
    params_yaml["train"]["image"]["size"] = [64, 48]
    assert yaml.safe_load(target.read_text()) == params_yaml


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
    with pytest.raises(UserError, match=r"presets/mine\.yaml: an alias"):
        presets.apply("mine", folder, target)
    assert target.read_bytes() == before


@pytest.mark.parametrize("layout", ["one line", "JSON", "merge key"])
def test_a_layout_that_cannot_be_edited_is_left_alone(
    tmp_path: Path, target: Path, params_yaml: dict[str, Any], layout: str
) -> None:
    if layout == "one line":
        target.write_text(json.dumps(params_yaml))
    elif layout == "JSON":
        target.write_text(json.dumps(params_yaml, indent=2))
    else:
        target.write_text(target.read_text().replace("\n  lr: ", "\n  <<:\n    lr: "))
    assert loading.load(target) == loading.parse(params_yaml, "params.yaml")
    before = target.read_bytes()
    with pytest.raises(UserError, match="cannot be edited line by line"):
        presets.apply("mine", preset(tmp_path, {"train": {"lr": 0.125}}), target)
    assert target.read_bytes() == before


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
