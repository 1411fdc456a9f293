"""The catalogue of timm's networks."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import timm

from facemask.commands import backbones
from facemask.runtime.errors import UserError


@pytest.fixture
def listed(tmp_path: Path):
    """The lines, as lists of words."""

    def run(pattern: str = "", *, here: bool = False, speed: bool = False, size=None) -> list[list[str]]:
        asked = backbones.Asked(pattern, here, speed, size)
        lines = backbones.listed(asked, tmp_path / "pretrained", tmp_path / "cache" / "backbones.json")
        return [line.split() for line in lines]

    return run


def test_parameters_are_those_without_the_classifier_and_kept(listed, tmp_path, monkeypatch):
    heading, row = listed("test_vit.")
    assert heading[:2] == ["network", "parameters"]
    count = sum(weight.numel() for weight in timm.create_model("test_vit", num_classes=0).parameters())
    assert row == ["test_vit.r160_in1k", f"{count / 1e6:.1f}", "M", "160", "x", "160"]
    kept = tmp_path / "cache" / "backbones.json"
    assert json.loads(kept.read_text()) == {timm.__version__: {"test_vit": count}}
    monkeypatch.setattr(backbones.backbones, "build", lambda *_, **__: pytest.fail("counted again"))
    assert listed("test_vit.")[1] == row


@pytest.mark.parametrize("content", ["", "[]", '{"0.1": {}}', '{"VERSION": {"test_vit": "many"}}'])
def test_damaged_counts_are_made_anew(listed, tmp_path, content):
    (tmp_path / "cache").mkdir()
    (tmp_path / "cache" / "backbones.json").write_text(content.replace("VERSION", timm.__version__))
    assert listed("test_vit.")[1][2] == "M"


def test_weights_of_the_same_network_alone_are_here(listed, tmp_path):
    (tmp_path / "pretrained").mkdir()
    for name in ("test_resnet_fp16.safetensors", "test_vit2.pth", "test_vit.txt"):
        (tmp_path / "pretrained" / name).touch()
    where = {row[0]: row[-1] for row in listed("test_*", here=True)[1:]}
    assert where == {
        "test_resnet.r160_in1k": str(tmp_path / "pretrained" / "test_resnet_fp16.safetensors"),
        "test_vit2.r160_in1k": str(tmp_path / "pretrained" / "test_vit2.pth"),
    }
    with pytest.raises(UserError, match="leave --here out"):
        listed("test_efficientnet", here=True)


def test_speed_is_measured_at_the_asked_size_and_told_where_that_does_not_suit(listed, monkeypatch):
    monkeypatch.setattr(backbones, "_SECONDS", 0.01)
    seen = []
    build = backbones.backbones.build
    monkeypatch.setattr(
        backbones.backbones, "build", lambda cfg, size, **more: seen.append(size) or build(cfg, size, **more)
    )
    row = listed("test_resnet.", speed=True, size=[32, 24])[1]
    assert float(row[6]) > 0
    assert seen[-1] == (32, 24)
    assert " ".join(listed("test_vit.", speed=True, size=[33, 24])[1]).endswith("no such size")


def test_without_a_filter_all_are_named_and_none_is_counted(listed, monkeypatch):
    monkeypatch.setattr(backbones.backbones, "build", lambda *_, **__: pytest.fail("counted"))
    monkeypatch.setattr(backbones, "_weights", lambda *_: "")
    *rows, last = listed()
    assert {row[0].split(".")[0] for row in rows[1:]} == set(timm.list_models())
    assert last[0] == str(len(rows) - 1)


def test_an_unknown_name_offers_the_nearest():
    with pytest.raises(UserError, match=r"no network 'test_vitt'; did you mean .*test_vit"):
        list(backbones.listed(backbones.Asked("test_vitt", False, False, None)))
