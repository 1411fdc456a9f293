"""What cannot work is told before anything is written; what can work passes."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from facemask.commands import check
from facemask.mattes import saliency
from facemask.network import backbones
from facemask.runtime.errors import UserError
from facemask.settings import loading, presets
from stages import check as stage

PRESETS = sorted(path.stem for path in (Path(__file__).parents[2] / "presets").glob("*.yaml"))
FIXES = "dataset,id,field,old,new,status,source,note\n"
SHA256 = hashlib.sha256(b"weights").hexdigest()
GONE = {"kind": "file", "path": "gone.safetensors", "sha256": SHA256}
OTHER = {"kind": "file", "path": "other.safetensors", "sha256": "0" * 64}
YUNET = {"kind": "yunet", "path": "gone.onnx", "sha256": SHA256, "score": 0.6, "height": 256}
FACES = {"kind": "onnx", "path": "gone.onnx", "sha256": SHA256, "mean": 0.0, "std": 1.0, "similarity": 0.6}
TIMM = {"kind": "timm", "weight_decay": 0.0, "options": {}}

MISTAKES = [
    (
        "train.backbone.name",
        "test_resnett",
        r"^train\.backbone\.name: timm has no network 'test_resnett'; did you mean .*test_resnet",
    ),
    (
        "train.backbone.options",
        {"colour": "blue"},
        r"^train\.backbone: timm cannot make test_resnet with \{'colour': 'blue'\}",
    ),
    (
        "train.backbone.name",
        "test_vit",
        r"^train\.image\.size: \[96, 72\] does not suit train\.backbone: .*patch size",
    ),
    (
        "train.augment",
        [{"name": "HorizontalFlop", "p": 0.5}],
        r"^train\.augment\.0\.name: albumentations has no transform 'HorizontalFlop'; did you mean .*Flip",
    ),
    (
        "train.augment",
        [{"name": "HorizontalFlip", "p": 0.5}, {"name": "Affine", "colour": 3, "p": 0.5}],
        r"^train\.augment\.1: .*colour",
    ),
    (
        "train.optimiser",
        TIMM | {"name": "lambb"},
        r"^train\.optimiser\.name: timm has no optimiser 'lambb'; did you mean .*lamb",
    ),
    (
        "train.optimiser",
        TIMM | {"name": "lamb", "options": {"colour": 1}},
        r"^train\.optimiser\.options: lamb has no 'colour'; it takes ",
    ),
    (
        "train.backbone.weights",
        GONE,
        r"^train\.backbone\.weights\.path: no file gone\.safetensors; put the weights of test_resnet there or name",
    ),
    (
        "train.backbone.weights",
        OTHER,
        rf"^train\.backbone\.weights\.sha256: other\.safetensors has {SHA256}, not 0{{64}}; correct one of the two",
    ),
    (
        "background_removal.matting",
        {"kind": "rembg", "model": "u2nett", "path": None, "sha256": None},
        r"^background_removal\.matting\.model: no model 'u2nett'; did you mean .*u2net",
    ),
    (
        "background_removal.matting",
        {"kind": "rembg", "model": "u2net_custom", "path": "gone.onnx", "sha256": SHA256},
        r"^background_removal\.matting\.path: no file .*gone\.onnx; put the ONNX file there",
    ),
    ("face_crop.finder", YUNET, r"^face_crop\.finder: .*no file gone\.onnx; fetch face_detection_yunet"),
    (
        "audit.network",
        FACES,
        r"^audit\.network\.path: no file gone\.onnx; put the ONNX file there, or set audit",
    ),
    (
        "data.root",
        "data/mine",
        r"^data/mine: no such folder; set data\.root in params\.yaml to a folder with train/train\.csv",
    ),
]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with no data but an empty list of label fixes, and a file of weights."""
    (tmp_path / "data" / "extra").mkdir(parents=True)
    (tmp_path / "data" / "label_fixes.csv").write_text(FIXES)
    (tmp_path / "other.safetensors").write_bytes(b"weights")
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    return tmp_path


def run(content: dict[str, Any]) -> None:
    """As dvc.yaml calls the stage."""
    cfg = loading.parse(content, "params.yaml")
    data = Path("data")
    fixes, out = data / "label_fixes.csv", data / "check.txt"
    stage.run(
        cfg,
        root=Path(cfg.data.root),
        extra=Path(cfg.data.extra),
        sample=data / "sample",
        label_fixes=fixes,
        out=out,
    )


def refused(content: dict[str, Any], told: str) -> None:
    """Hold that one line tells of it, and that nothing is written or changed."""

    def found() -> dict[Path, tuple[bytes, int]]:
        files = [path for path in Path().rglob("*") if path.is_file()]
        return {path: (path.read_bytes(), path.stat().st_mtime_ns) for path in files}

    before = found()
    with pytest.raises(UserError, match=told) as caught:
        run(content)
    assert "\n" not in str(caught.value)
    assert found() == before


def changed(content: dict[str, Any], key: str, value: Any) -> dict[str, Any]:
    """``content`` with another value at a dotted key."""
    section = content
    *path, last = key.split(".")
    for name in path:
        section = section[name]
    section[last] = value
    return content


def test_shipped_params_pass_and_what_is_written_is_always_the_same(here, params_yaml):
    run(params_yaml)
    before = Path("data/check.txt").read_bytes()
    run(changed(params_yaml, "train.lr", 0.123))
    assert Path("data/check.txt").read_bytes() == before


def test_the_shipped_label_fixes_pass(here, params_yaml, repository):
    Path("data/label_fixes.csv").write_bytes((repository / "data/label_fixes.csv").read_bytes())
    run(params_yaml)


@pytest.mark.slow
@pytest.mark.parametrize("name", PRESETS)
def test_a_preset_passes_where_its_weights_can_be_had(
    here, params_yaml, repository, monkeypatch, request, name
):
    asked = []
    monkeypatch.setattr(backbones, "require", asked.append)
    monkeypatch.setattr(saliency, "weights", lambda *model: asked.append(model) or Path("weights.onnx"))
    preset = yaml.safe_load((repository / "presets" / f"{name}.yaml").read_text())["params"]
    content = presets.merge(params_yaml, preset)
    wanted = loading.parse(content, name)
    if wanted.train.backbone.kind == "onnx" or wanted.face_crop.finder.kind == "yunet":
        # What such a network is, its file alone says; a finder's must be there.
        (here / "models").mkdir(exist_ok=True)
        (here / "models" / "pretrained").symlink_to(request.getfixturevalue("shared") / "models")
    run(content)
    assert wanted.train.backbone in asked
    assert len(asked) == 1 + (wanted.background_removal.matting.kind == "rembg")


@pytest.mark.parametrize("kind", ["bins", "corn", "distribution"])
def test_fine_ages_may_be_folded_at_other_years_than_the_official_ones(here, toy_yaml, kind):
    fine = {"edges": [20, 29, 45, 58]} if kind != "distribution" else {"ages": [20, 59], "sigma": 2.0}
    toy_yaml["train"]["head"] |= {"age": {"kind": kind} | fine}
    toy_yaml["train"] |= {"young_cut": 29, "age_cut": 58}
    run(toy_yaml)


@pytest.mark.parametrize(("key", "value", "told"), MISTAKES, ids=[key for key, *_ in MISTAKES])
def test_a_name_that_means_nothing_is_told_before_anything_is_written(here, params_yaml, key, value, told):
    refused(changed(params_yaml, key, value), told)


@pytest.mark.slow
def test_a_network_that_does_not_look_at_the_whole_photo_is_told(here, params_yaml, capsys):
    run(changed(params_yaml, "train.image.size", [96, 72]))
    assert capsys.readouterr().out == ""
    run(changed(params_yaml, "train.backbone.name", "vit_tiny_patch16_224"))
    told = "train.backbone never looks at 8 columns of each photo; the nearest size of which it sees all is [96, 80]"
    assert capsys.readouterr().out == f"train.image.size: [96, 72]: {told}\n"


def test_weights_that_are_nowhere_are_told_and_scratch_needs_none(here, params_yaml, monkeypatch):
    monkeypatch.setenv("HF_HOME", str(here / "nothing"))
    monkeypatch.setattr("huggingface_hub.try_to_load_from_cache", lambda *_: None)
    told = r"^train\.backbone\.weights: .*not on this machine.*models/pretrained/.*scratch"
    refused(changed(params_yaml, "train.backbone.weights", {"kind": "hub"}), told)
    run(changed(params_yaml, "train.backbone.weights", {"kind": "scratch"}))


def test_the_right_weights_pass_without_being_read(here, params_yaml):
    run(changed(params_yaml, "train.backbone.weights", OTHER | {"sha256": SHA256}))


def test_members_are_looked_up(here, params_yaml, start_project: Callable[[str, str], None]):
    told = r"^combine\.members: .*'somebody'.*`dvc exp show` lists the experiments"
    start_project("stages: {}\n", "/data\n")
    run(changed(params_yaml, "combine.members", ["HEAD"]))
    Path("data/check.txt").unlink()
    refused(changed(params_yaml, "combine.members", ["HEAD", "somebody"]), told)


def test_photos_that_are_none_are_told_before_an_output_goes(here, params_yaml, contest_folder):
    """As far as their first bytes tell; the rest is found by fix_labels."""
    contest_folder("mine", people=4, size=(8, 6))
    content = params_yaml | {
        "data": params_yaml["data"] | {"root": "mine"},
        "fix_labels": {"dataset": "mine", "trust": "confirmed", "tolerate": 0.02},
    }
    pointer = b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 4096\n"
    (Path("mine/eval/images") / "0019919.jpg").write_bytes(pointer)
    refused(content, r"1 of 21 eval photos .* fix_labels\.tolerate .*Git LFS pointer.*`git lfs pull`")
    run(changed(content, "fix_labels.tolerate", 0.05))


@pytest.fixture
def own(here: Path, contest_folder: Callable[..., Path], params_yaml: dict[str, Any]) -> dict[str, Any]:
    """Params of a data set of one's own."""
    contest_folder("mine", people=2, size=(8, 6))
    return params_yaml | {
        "data": params_yaml["data"] | {"root": "mine"},
        "fix_labels": {"dataset": "mine", "trust": "confirmed", "tolerate": 0.02},
    }


@pytest.mark.parametrize(
    ("row", "told"),
    [
        (
            "mine,000009,gender,male,female,confirmed,seen,",
            r"no person of data set 'mine' has the id '000009'",
        ),
        ("mine,000001,age,29,30,confirmed,seen,", r"old age '29' does not match"),
        ("mine,000001,gender,male,man,confirmed,seen,", r"new 'man' is not one of male, female"),
    ],
)
def test_a_label_fix_that_does_not_fit_is_told_by_its_row(own, row, told):
    Path("data/label_fixes.csv").write_text(f"{FIXES}mine,000001,gender,male,female,confirmed,seen,\n{row}\n")
    refused(own, rf"^data/label_fixes\.csv: line 3: .*{told}")


def test_fixes_of_another_data_set_or_distrusted_ones_are_not_held_against_one_s_own(own):
    rows = (
        "other,000009,gender,male,female,confirmed,seen,\nmine,000009,gender,male,female,unconfirmed,seen,\n"
    )
    Path("data/label_fixes.csv").write_text(FIXES + rows)
    run(own)
    Path("data/check.txt").unlink()
    own["fix_labels"]["trust"] = "all"
    refused(own, r"^data/label_fixes\.csv: line 3: no person of data set 'mine'")


def test_no_photo_is_decoded(own):
    """A look at the first bytes has to do: whether the rest can be decoded is for fix_labels to find out."""
    for photo in Path("mine").rglob("*.jpg"):
        photo.write_bytes(b"\xff\xd8\xff\xe0" + b"nothing of a photo" * 100)
    run(own)


def test_the_layout_of_one_s_own_data_is_looked_at(own):
    Path("mine/train/train.csv").unlink()
    refused(own, r"^mine/train/train\.csv: no such file; set data\.root")


def test_extra_data_sets_are_looked_at(own):
    Path("data/extra/more").mkdir()
    refused(own, r"^data/extra/more: has neither train/ nor unlabelled/; an extra data set is a folder with")
    Path("data/extra/more/unlabelled").mkdir()
    run(own)
    Path("data/check.txt").unlink()
    Path("data/extra/more/labels.csv").write_text("who\n")
    refused(own, r"^data/extra/more/labels\.csv: nothing reads this table; .*rename it, or move it")


def test_extra_data_sets_beside_the_sample_are_looked_at_too(here, params_yaml):
    (here / "data/extra/more").mkdir()
    refused(params_yaml, r"^data/extra/more: has neither train/ nor unlabelled/")
    told = r"^data/others: no such folder; create it, or set data\.extra"
    refused(changed(params_yaml, "data.extra", "data/others"), told)


def test_the_sample_need_not_be_drawn_yet_but_one_s_own_data_must_be_there(here, params_yaml):
    assert not Path("data/sample").exists()
    cfg = loading.parse(params_yaml, "params.yaml")
    where = {"extra": Path("data/extra"), "label_fixes": Path("data/label_fixes.csv")}
    check.everything(cfg, root=Path("data/sample"), sample=Path("data/sample"), **where)
    with pytest.raises(UserError, match=r"^data/sample: no such folder"):
        check.everything(cfg, root=Path("data/sample"), sample=Path("data/other"), **where)


UDA = {"kind": "uda", "weight": 1.0, "ratio": 1, "temperature": 0.5, "threshold": 0.5}


@pytest.mark.slow
def test_unlabelled_photos_to_learn_from_must_be_there(own):
    changed(own, "train.unlabelled", UDA)
    run(changed(own, "train.pool", "eval"))
    Path("data/check.txt").unlink()
    Path("data/extra/more/unlabelled").mkdir(parents=True)
    refused(
        changed(own, "train.pool", "unlabelled"), r"^train\.pool is unlabelled, but there are no such photos"
    )
    Path("data/extra/more/unlabelled/photo.jpg").write_bytes(b"\xff\xd8\xff\xe0" + b"x" * 1000)
    run(own)
    Path("data/check.txt").unlink()
    shutil.rmtree("mine/eval")
    refused(changed(own, "train.pool", "eval"), r"^train\.pool is eval, but there are no such photos")
    run(changed(own, "train.unlabelled", {"kind": "none"}))


def test_a_sample_without_eval_people_has_none_to_learn_from(here, params_yaml):
    changed(params_yaml, "train.unlabelled", UDA)
    run(changed(params_yaml, "train.pool", "eval"))
    Path("data/check.txt").unlink()
    refused(changed(params_yaml, "sample_data.eval_people", 0), r"^train\.pool is eval")


@pytest.mark.slow
def test_params_are_looked_at_without_torchs_compiler(repository: Path) -> None:
    """It takes seconds to import, and this is the first stage of every experiment."""
    program = """
import sys
from pathlib import Path
from facemask.commands import check
from facemask.settings import loading
print(check._recipe(loading.load(Path("params.yaml")).train))
print([name for name in ("torch._dynamo", "torch.distributed.tensor", "lightning") if name in sys.modules])
import torch
print(torch.compile(lambda x: x + 1, backend="eager")(torch.ones(1)).item())
"""
    ended = subprocess.run(
        [sys.executable, "-c", program], cwd=repository, capture_output=True, text=True, check=False
    )
    assert ended.stdout.splitlines() == ["[]", "[]", "2.0"], ended.stderr
