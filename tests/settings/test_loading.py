"""Reading ``params.yaml``: what passes, and what each mistake is told as."""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from dvc.utils.hydra import apply_overrides
from dvc.utils.serialize import load_yaml

from facemask.runtime.errors import UserError
from facemask.settings import loading, params, presets, recipes, schema

Change = Callable[[dict[str, Any]], object]


def message(content: dict[str, Any]) -> str:
    with pytest.raises(UserError) as caught:
        loading.parse(content, "params.yaml")
    text = str(caught.value)
    assert "\n" not in text
    assert text.startswith("params.yaml: ")
    return text.removeprefix("params.yaml: ")


def test_a_file_is_read_as_its_content(tmp_path: Path, params_yaml: dict[str, Any]) -> None:
    (tmp_path / "params.yaml").write_text(yaml.safe_dump(params_yaml))
    assert loading.load(tmp_path / "params.yaml") == loading.parse(params_yaml, "params.yaml")


def test_the_shipped_file_is_valid(repository: Path) -> None:
    loading.load(repository / "params.yaml")


@pytest.mark.parametrize(
    ("typed", "wanted"),
    [("3e-5", 3e-5), ("2.0e-5", 2e-5), ("1", 1.0), ("0.01", 0.01), ("1e-8", 1e-8), ("1e3", 1e3)],
)
def test_numbers_are_read_as_dvc_reads_them(
    tmp_path: Path, repository: Path, typed: str, wanted: float
) -> None:
    path = tmp_path / "params.yaml"
    path.write_bytes((repository / "params.yaml").read_bytes())
    apply_overrides(path, [f"train.lr={typed}", f"+train.backbone.options.drop_path_rate={typed}"])
    read = loading.load(path).train
    assert isinstance(read.backbone, recipes.Timm)
    assert (read.lr, read.backbone.options["drop_path_rate"]) == (wanted, wanted)
    assert loading.read(path)[1] == load_yaml(path)


def test_lists_stand_for_tuples(params_yaml: dict[str, Any]) -> None:
    params_yaml["train"]["folds"] = [0, 2]
    assert loading.parse(params_yaml, "params.yaml").train.folds == (0, 2)


def put(key: str, value: Any) -> Change:
    *parents, last = key.split(".")

    def change(content: dict[str, Any]) -> None:
        section = content
        for part in parents:
            section = section[part]
        section[last] = value

    return change


def drop(key: str) -> Change:
    *parents, last = key.split(".")

    def change(content: dict[str, Any]) -> None:
        section = content
        for part in parents:
            section = section[part]
        del section[last]

    return change


@pytest.mark.parametrize(
    ("change", "parts"),
    [
        # unknown, with the nearest name
        (put("train.epoch", 3), ["train.epoch: unknown key", "did you mean train.epochs?"]),
        (
            put("train.loss.smothing", 0.2),
            ["train.loss.smothing: unknown key", "did you mean train.loss.smoothing?"],
        ),
        (put("trian", {}), ["trian: unknown key", "did you mean train?"]),
        # misplaced, with its home
        (put("train.bootstrap", 10), ["train.bootstrap: unknown key", "belongs to evaluate.bootstrap"]),
        (put("age_cut", 58), ["age_cut: unknown key", "belongs to train.age_cut"]),
        # a knob of another kind
        (put("train.loss.gamma", 2), ["train.loss.gamma: unknown key", "known here: kind, smoothing"]),
        # missing
        (drop("train.lr"), ["train.lr: missing"]),
        (drop("seed"), ["seed: missing"]),
        (drop("infer"), ["infer: missing"]),
        (drop("train.head.kind"), ["train.head.kind: missing"]),
        # wrong type
        (put("train.epochs", "many"), ["train.epochs: input should be a valid integer"]),
        (put("train.epochs", 2.5), ["train.epochs: "]),
        (put("train.lr", "fast"), ["train.lr: input should be a valid number"]),
        (put("train.lr", True), ["train.lr: input should be a valid number"]),
        (put("train.epochs", True), ["train.epochs: "]),
        (put("train.channels_last", "yes"), ["train.channels_last: input should be a valid boolean"]),
        (put("train.channels_last", 1), ["train.channels_last: input should be a valid boolean"]),
        (put("train.folds", 0), ["train.folds: "]),
        (put("train.image.size", [96]), ["train.image.size"]),
        (put("train", None), ["train: "]),
        # outside the range
        (put("train.lr", 0), ["train.lr: input should be greater than 0"]),
        (put("train.lr", float("nan")), ["train.lr: "]),
        (
            put("build_manifest.holdout", 0.9),
            ["build_manifest.holdout: input should be less than or equal to 0.5"],
        ),
        (put("train.folds", []), ["train.folds: "]),
        (
            put("combine.adjust", {"kind": "fixed", "tau": 1e308}),
            ["combine.adjust.tau: input should be less than or equal to 10"],
        ),
        (
            put("combine.adjust", {"kind": "fixed", "tau": -10.5}),
            ["combine.adjust.tau: input should be greater than or equal to -10"],
        ),
        (
            put("combine.adjust", {"kind": "tuned", "taus": [0.0, 1e308]}),
            ["combine.adjust.taus.1: input should be less than or equal to 10"],
        ),
        (
            put("evaluate.calibration_bins", 1001),
            ["evaluate.calibration_bins: input should be less than or equal to 1000"],
        ),
        # choices
        (
            put("train.loss.kind", "focl"),
            ["train.loss.kind: 'focl' is not one of", "cross_entropy", "did you mean focal?"],
        ),
        (
            put("infer.views", [{"kind": "hflop"}]),
            ["infer.views.0.kind: 'hflop' is not one of identity, hflip", "did you mean hflip?"],
        ),
        (
            put("infer.views", ["hflip"]),
            ["infer.views: a choice of kinds (identity, hflip, crop, scale), each a mapping with its knobs"],
        ),
        (
            put("train.head.age", {"kind": "bins", "edges": [20, 30]}),
            ["train: head.age.edges [20, 30] lack 60, the age_cut, where a band begins: add it"],
        ),
        (
            put("train.head.age", {"kind": "distribution", "ages": [15, 59], "sigma": 3.0}),
            ["train: head.age.ages [15, 59] must reach from below young_cut (30) to age_cut (60) or beyond"],
        ),
        (put("train.loss", {"kind": "multilabel_soft_margin"}), ["train", "needs head multilabel"]),
        (put("train.precision", "fp16"), ["train.precision", "'32'", "'bf16'"]),
        # sections that disagree
        (put("train.folds", [0, 0]), ["train", "names a fold twice"]),
        (put("train.folds", [5]), ["train.folds names fold 5", "build_manifest.folds is 5"]),
        (put("train.age_cut", 30), ["young_cut (30) must be below age_cut (30)"]),
    ],
)
def test_mistakes_are_told_by_their_full_key(
    params_yaml: dict[str, Any], change: Change, parts: list[str]
) -> None:
    change(params_yaml)
    text = message(params_yaml)
    for part in parts:
        assert part in text


def test_a_misspelt_key_is_told_as_missing_and_unknown_at_once(params_yaml: dict[str, Any]) -> None:
    params_yaml["train"]["learning_rate"] = params_yaml["train"].pop("lr")
    params_yaml["train"]["batchsize"] = params_yaml["train"].pop("batch_size")
    text = message(params_yaml)
    assert "train.lr: missing" in text
    assert "train.batch_size: missing ('batchsize' stands there instead)" in text
    assert "train.batchsize: unknown key; did you mean train.batch_size?" in text


def test_dates_and_sets_are_refused(params_yaml: dict[str, Any]) -> None:
    params_yaml["seed"] = yaml.safe_load("2026-01-01")
    assert "only text, numbers, lists" in message(params_yaml)


@pytest.mark.parametrize("content", [None, [], "seed", 3])
def test_a_file_that_is_no_mapping(content: Any) -> None:
    assert "dictionary" in message(content) or "object" in message(content)


def test_a_missing_file_says_where_to_run(tmp_path: Path) -> None:
    with pytest.raises(UserError, match="no such file; run from the project's folder"):
        loading.load(tmp_path / "params.yaml")


def test_broken_yaml_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_text("seed: [1\ntrain:\n  lr: }\n")
    with pytest.raises(UserError, match=r"not valid YAML: .*line") as caught:
        loading.load(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_utf_8_is_told(tmp_path: Path) -> None:
    (tmp_path / "params.yaml").write_bytes(b"seed: 1  # caf\xe9\n")
    with pytest.raises(UserError, match=r"params\.yaml: not UTF-8 \(byte 14\); save it as UTF-8$"):
        loading.load(tmp_path / "params.yaml")


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r": cannot be read: Is a directory$"):
        loading.load(tmp_path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("seed: 2026-99-01\n", "not valid YAML: month must be in 1..12"),
        # Python's parser of YAML needs half a minute to the end of these.
        ("seed: " + "[" * 5000 + "]" * 5000 + "\n", "line 1: nested too deeply"),
        ("seed:\n" + "- " * 60 + "1\n", "line 2: nested too deeply"),
    ],
)
def test_values_that_cannot_be_read_are_one_line(tmp_path: Path, text: str, told: str) -> None:
    (tmp_path / "params.yaml").write_text(text)
    with pytest.raises(UserError, match=told) as caught:
        loading.load(tmp_path / "params.yaml")
    assert "\n" not in str(caught.value)


def test_a_key_that_stands_twice_is_refused(tmp_path: Path, repository: Path) -> None:
    """YAML forbids it; PyYAML would take the last one."""
    text = (repository / "params.yaml").read_text()
    path = tmp_path / "params.yaml"
    path.write_text(f"{text}seed: 1\n")
    line = text.count("\n") + 1
    with pytest.raises(
        UserError, match=rf"params\.yaml: line {line}: seed stands twice in its section; keep one$"
    ):
        loading.load(path)
    path.write_text(text.replace("\n  lr: ", "\n  lr: 1.0\n  lr: "))
    with pytest.raises(UserError, match=r": lr stands twice in its section"):
        loading.load(path)


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("x: &a [*a]\n", "line 1: &a: "),
        ("a: {b: &b {x: 1}}\nd: {<<: *b, y: 4}\n", "line 1: &b: "),
        ("seed: &s 20\nsample_data:\n  seed: *s\n", "line 1: &s: "),
        ("seed: 20\nsample_data: *missing\n", r"line 2: \*missing: "),
        ("- &age-cut 1\n", "line 1: &age-cut: "),
    ],
)
def test_anchors_and_aliases_are_refused_by_name(tmp_path: Path, text: str, told: str) -> None:
    """`-S seed=21` would change whatever shares the value, or only half of it."""
    path = tmp_path / "params.yaml"
    path.write_text(text)
    with pytest.raises(UserError, match=rf"params\.yaml: {told}anchors .* write the values out$"):
        loading.read(path)


def test_a_file_that_grows_when_it_is_built_is_refused_before(tmp_path: Path) -> None:
    lines = ["a0: &a0 [x, x, x, x, x, x, x, x, x]"]
    lines += [f"a{k}: &a{k} [{', '.join([f'*a{k - 1}'] * 9)}]" for k in range(1, 60)]
    (tmp_path / "params.yaml").write_text("\n".join(lines))
    with pytest.raises(UserError, match="line 1: &a0: anchors"):
        loading.load(tmp_path / "params.yaml")


@pytest.mark.parametrize("value", [".nan", ".inf", "-.inf", ".NaN", "1e400"])
def test_no_number_without_end_passes_anywhere(
    tmp_path: Path, params_yaml: dict[str, Any], value: str
) -> None:
    """Also in what the schema leaves free: knobs of transforms and of networks."""
    places = {
        "train.augment.1.p": ("train", "augment", 1, "p"),
        "train.augment.0.knob": ("train", "augment", 0, "knob"),
        "train.backbone.options.rate": ("train", "backbone", "options", "rate"),
        "train.augment.0.deep.0": ("train", "augment", 0, "deep", 0),
    }
    for name, path in places.items():
        changed = copy.deepcopy(params_yaml)
        changed["train"]["augment"][0]["deep"] = [1.0]
        place: Any = changed
        for key in path[:-1]:
            place = place[key]
        place[path[-1]] = loading.decode(value, "x")
        with pytest.raises(UserError, match=rf"params\.yaml: {re.escape(name)}: a finite number is wanted"):
            loading.parse(changed, "params.yaml")


def test_keys_name_every_leaf_of_the_shipped_file(params_yaml: dict[str, Any]) -> None:
    known = {field.key: field.info.description for field in schema.walk()}

    def check(section: dict[str, Any], prefix: str) -> None:
        for key, value in section.items():
            full = f"{prefix}{key}"
            if isinstance(value, dict) and value:
                check(value, f"{full}.")
            elif key == "kind":
                assert known[full.removesuffix(".kind")], full
            else:
                assert known[full], f"{full} has no description in facemask/settings/params.py"

    check(params_yaml, "")


def test_params_are_frozen(toy_params: params.Params) -> None:
    with pytest.raises(ValueError, match="frozen"):
        toy_params.train.lr = 1.0  # type: ignore[misc]


@pytest.mark.parametrize(
    ("section", "key"),
    [
        ({"train": {"augment": [{"name": "RandomResizedCrop", "size": [96, 72]}]}}, "train.augment.0.size"),
        (
            {"train": {"augment": [{"name": "OneOf", "transforms": [{"name": "Blur", "nfiles": 1}]}]}},
            "train.augment.0.transforms.0.nfiles",
        ),
    ],
)
def test_keys_that_dvc_s_run_cache_leaves_out_are_refused(
    params_yaml: dict[str, Any], section: dict[str, Any], key: str
) -> None:
    with pytest.raises(UserError, match=rf"^here: {re.escape(key)}: DVC's run cache"):
        loading.parse(presets.merge(params_yaml, section), "here")
