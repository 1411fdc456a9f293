"""Backbones: the weights that were asked for, or one clear line within seconds."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch

from facemask.network import backbones
from facemask.runtime.errors import UserError
from facemask.settings import recipes

SCRATCH = recipes.Scratch(kind="scratch")
NATIVE = recipes.NativePool(kind="native")


def config(
    name: str = "test_efficientnet",
    weights: recipes.Scratch | recipes.Hub | recipes.WeightsFile = SCRATCH,
    pool: recipes.NativePool | recipes.Gem = NATIVE,
    **options: object,
) -> recipes.Timm:
    return recipes.Timm(kind="timm", name=name, weights=weights, options=options, pool=pool)


def gem(p: float = 3.0) -> recipes.Gem:
    return recipes.Gem(kind="gem", p=p, learn=True)


def file(path: Path) -> recipes.WeightsFile:
    return recipes.WeightsFile(
        kind="file", path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest()
    )


@pytest.mark.parametrize("name", ["test_efficientnet", "test_resnet", "test_vit", "mobilenetv3_small_050"])
def test_features_are_as_long_as_told(name):
    size = (64, 48)
    backbone = backbones.build(config(name), size)
    assert backbone(torch.zeros(2, 3, *size)).shape == (2, backbones.features(backbone, size))


def test_unknown_name_offers_the_nearest():
    with pytest.raises(UserError, match="test_eficientnet.*did you mean.*test_efficientnet"):
        backbones.build(config("test_eficientnet"), (32, 32))


def test_refused_option_is_named():
    with pytest.raises(UserError, match="colour_of_the_sea"):
        backbones.build(config(colour_of_the_sea="blue"), (32, 32))


@pytest.mark.parametrize(
    "option", ["pretrained", "checkpoint_path", "pretrained_cfg_overlay", "features_only"]
)
def test_options_leave_weights_and_output_alone(option):
    with pytest.raises(ValueError, match=f"options: {option} is not for options"):
        config(**{option: True})


def test_an_option_s_wrong_value_is_told():
    with pytest.raises(UserError, match=r"timm cannot make test_resnet with .*nope"):
        backbones.build(config("test_resnet", act_layer="nope"), (32, 32))


def test_a_size_that_the_network_cannot_take_is_told():
    with pytest.raises(UserError, match=r"train\.image\.size: \[32, 24\].*patch size"):
        backbones.features(backbones.build(config("test_vit"), (32, 24)), (32, 24))


def test_weights_file_is_loaded_whatever_classifier_it_has(tmp_path):
    donor = timm.create_model("test_efficientnet", num_classes=18)
    safetensors.torch.save_file(donor.state_dict(), tmp_path / "w.safetensors")
    loaded = backbones.build(config(weights=file(tmp_path / "w.safetensors")), (32, 32))
    for name, value in loaded.state_dict().items():
        assert torch.equal(value, donor.state_dict()[name]), name


def test_weights_are_skipped_when_a_checkpoint_follows(tmp_path):
    gone = recipes.WeightsFile(kind="file", path=str(tmp_path / "gone.pth"), sha256="0" * 64)
    backbones.build(config(weights=gone), (32, 32), pretrained=False)
    with pytest.raises(UserError, match=r"no file .*gone\.pth"):
        backbones.build(config(weights=gone), (32, 32))


def test_wrong_hash_and_wrong_network_are_refused(tmp_path):
    path = tmp_path / "w.safetensors"
    safetensors.torch.save_file(timm.create_model("test_resnet", num_classes=0).state_dict(), path)
    with pytest.raises(UserError, match="sha256"):
        backbones.build(
            config(weights=recipes.WeightsFile(kind="file", path=str(path), sha256="0" * 64)), (32, 32)
        )
    with pytest.raises(UserError, match="does not hold the weights of test_efficientnet"):
        backbones.build(config(weights=file(path)), (32, 32))


def test_a_file_that_fits_in_shape_but_lacks_most_matrices_is_refused(tmp_path):
    donor = timm.create_model("test_efficientnet", num_classes=0).state_dict()
    few = {name: value for name, value in donor.items() if name.startswith("conv_stem")}
    safetensors.torch.save_file(few, tmp_path / "few.safetensors")
    with pytest.raises(UserError, match="matrices are missing"):
        backbones.build(config(weights=file(tmp_path / "few.safetensors")), (32, 32))


def test_pickled_code_in_a_weights_file_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path(tmp_path / "sprung").touch, ())

    torch.save({"state_dict": Trap()}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="does not hold the weights"):
        backbones.build(config(weights=file(tmp_path / "w.pth")), (32, 32))
    assert not (tmp_path / "sprung").exists()


def test_hub_weights_without_network_say_what_to_fetch_within_seconds(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_OFFLINE", False)
    monkeypatch.setattr("huggingface_hub.constants.ENDPOINT", "http://127.0.0.1:9")
    start = time.monotonic()
    with pytest.raises(UserError, match=r"model\.safetensors of timm/mobilenetv3_small_050.*kind: file"):
        backbones.build(config("mobilenetv3_small_050", recipes.Hub(kind="hub")), (32, 32))
    assert time.monotonic() - start < 30


def test_a_network_without_hub_weights_says_so():
    with pytest.raises(UserError, match="no weights of"):
        backbones.build(config("efficientnet_b8", recipes.Hub(kind="hub")), (32, 32))


def test_real_weights_from_a_local_file_see_the_photo(shared):
    """ImageNet features of two photos of one person are closer than those of noise."""
    weights = file(shared / "models" / "mobilenetv2_100_imagenet_fp16.safetensors")
    backbone = backbones.build(config("mobilenetv2_100", weights, pad_type="same"), (128, 96)).eval()
    assert backbones.features(backbone, (128, 96)) == 1280
    from facemask.pixels import codec
    from facemask.pixels.compose import fit

    folder = sorted((shared / "data/realfaces/train/images").iterdir())[0]
    names = [next(folder.glob(f"{kind}.*")) for kind in ("mask1", "mask2")]
    photos = [
        torch.from_numpy(fit(codec.decode(n.read_bytes()), (128, 96))).permute(2, 0, 1) / 127.5 - 1
        for n in names
    ]
    noise = torch.rand(3, 128, 96, generator=torch.Generator().manual_seed(0)) * 2 - 1
    with torch.inference_mode():
        first, second, other = torch.nn.functional.normalize(backbone(torch.stack([*photos, noise])))
    assert first @ second > first @ other + 0.1


@pytest.mark.parametrize("name", ["test_resnet", "test_efficientnet", "test_convnext", "test_mambaout"])
def test_gem_pools_maps_to_vectors_and_is_trained(name):
    """The last of these gives its maps with the channels last."""
    size = (96, 64)
    native = backbones.features(backbones.build(config(name), size), size)
    backbone = backbones.build(config(name, pool=gem()), size)
    assert backbones.features(backbone, size) == native
    backbone(torch.randn(2, 3, *size)).square().sum().backward()
    assert backbone.get_parameter("gem.p").grad.abs() > 0


def test_gem_with_exponent_one_is_the_pooling_of_a_network_that_takes_the_mean(tmp_path):
    donor = timm.create_model("test_resnet", num_classes=0)
    safetensors.torch.save_file(donor.state_dict(), tmp_path / "w.safetensors")
    weights = file(tmp_path / "w.safetensors")
    photos = torch.randn(2, 3, 96, 64)
    plain, pooled = (
        backbones.build(config("test_resnet", weights, pool), (96, 64)).eval() for pool in (NATIVE, gem(1.0))
    )
    torch.testing.assert_close(pooled(photos), plain(photos), atol=1e-5, rtol=1e-4)


def test_gem_is_refused_where_there_is_no_map():
    with pytest.raises(
        UserError, match=r"train\.backbone\.pool: test_vit gives features of shape \(1, .*native"
    ):
        backbones.build(config("test_vit", pool=gem()), (96, 96))


def test_gem_and_an_own_pooling_are_one_too_many():
    with pytest.raises(UserError, match=r"train\.backbone\.options: global_pool"):
        backbones.build(config("test_resnet", pool=gem(), global_pool="max"), (32, 32))


@pytest.mark.slow
def test_a_size_that_is_too_small_for_gem_is_told():
    with pytest.raises(UserError, match=r"train\.image\.size: \[32, 24\]"):
        backbones.build(config("inception_v3", pool=gem()), (32, 24))


def test_weights_that_are_not_a_state_dict_are_refused(tmp_path):
    torch.save([1, 2], tmp_path / "list.pth")
    (tmp_path / "empty.pth").write_bytes(b"")
    for name in ("list.pth", "empty.pth"):
        with pytest.raises(UserError, match="does not hold the weights of test_resnet"):
            backbones.build(config("test_resnet", file(tmp_path / name)), (32, 32))


def test_networks_from_scratch_start_differently():
    first, second = (backbones.build(config(), (32, 32)) for _ in range(2))
    weights = zip(first.parameters(), second.parameters(), strict=True)
    assert any(not torch.equal(a, b) for a, b in weights)


def test_facenet_is_built_beside_timm():
    cfg = recipes.FaceNet(kind="facenet", weights=SCRATCH)
    backbone = backbones.build(cfg, (96, 80))
    assert backbones.features(backbone, (96, 80)) == 512
    with pytest.raises(UserError, match=r"train\.image\.size: \[60, 60\]"):
        backbones.features(backbone, (60, 60))
