"""The face-pretrained backbone: the library's network and weights, and one clear line where they cannot be had."""

from __future__ import annotations

import hashlib
import time
from pathlib import Path

import pytest
import safetensors.torch
import timm
import torch
from facenet_pytorch import InceptionResnetV1

from facemask.network import facenet
from facemask.runtime.errors import UserError
from facemask.settings import recipes

SCRATCH = recipes.Scratch(kind="scratch")
VGGFACE = recipes.VggFace2(kind="vggface2")


def build(
    weights: recipes.Scratch | recipes.VggFace2 | recipes.CasiaWebFace | recipes.WeightsFile,
) -> facenet.FaceNet:
    return facenet.build(recipes.FaceNet(kind="facenet", weights=weights)).eval()


def file(path: Path) -> recipes.WeightsFile:
    return recipes.WeightsFile(
        kind="file", path=str(path), sha256=hashlib.sha256(path.read_bytes()).hexdigest()
    )


@pytest.fixture(scope="module")
def donor() -> InceptionResnetV1:
    """The library's own network, with a classifier of some other people, and statistics of its own."""
    torch.manual_seed(0)
    network = InceptionResnetV1(classify=True, num_classes=9)
    with torch.no_grad():
        network(torch.randn(4, 3, 96, 96))
    network.classify = False
    return network.eval()


@pytest.fixture
def torch_home(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Path:
    """An empty cache, and no network."""
    monkeypatch.setenv("TORCH_HOME", str(tmp_path / "torch"))
    monkeypatch.setattr(facenet, "RELEASE", "http://127.0.0.1:9/")
    return tmp_path / "torch"


def same_faces(donor: InceptionResnetV1, found: facenet.FaceNet) -> bool:
    photos = torch.randn(2, 3, 96, 96, generator=torch.Generator().manual_seed(5))
    with torch.inference_mode():
        embeddings = found(photos)
        assert embeddings.shape == (2, 512)
        return torch.allclose(torch.nn.functional.normalize(embeddings), donor(photos), atol=1e-5)


@pytest.mark.slow
def test_a_file_gives_the_library_s_embeddings(donor, tmp_path):
    safetensors.torch.save_file(donor.state_dict(), tmp_path / "w.safetensors")
    assert same_faces(donor, build(file(tmp_path / "w.safetensors")))
    assert not same_faces(donor, build(SCRATCH))


@pytest.mark.slow
def test_a_file_as_old_as_the_library_s_is_read(donor, tmp_path):
    """Saved before torch's zip format, by a batch normalisation that did not yet count its batches."""
    old = {k: v for k, v in donor.state_dict().items() if "num_batches" not in k}
    torch.save(old, tmp_path / "w.pt", _use_new_zipfile_serialization=False)
    assert same_faces(donor, build(file(tmp_path / "w.pt")))


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["vggface2", "casia_webface"])
def test_a_file_in_the_cache_is_used_without_a_network(donor, torch_home, kind):
    path = torch_home / "checkpoints" / facenet.FILES[kind]
    path.parent.mkdir(parents=True)
    torch.save(donor.state_dict(), path)
    cfg = VGGFACE if kind == "vggface2" else recipes.CasiaWebFace(kind="casia_webface")
    assert same_faces(donor, build(cfg))


@pytest.mark.slow
def test_file_names_are_the_library_s(monkeypatch, torch_home):
    """They are copied from it; it must go on to look for the same."""
    asked = []

    def download(url: str, path: str) -> None:
        asked.append(Path(path).name)
        assert url.endswith(asked[-1])
        raise OSError

    monkeypatch.setattr("facenet_pytorch.models.inception_resnet_v1.download_url_to_file", download)
    for name in ("vggface2", "casia-webface"):
        with pytest.raises(OSError):
            InceptionResnetV1(pretrained=name)
    assert asked == list(facenet.FILES.values())


def test_without_file_and_network_it_says_what_to_put_where_within_seconds(torch_home):
    start = time.monotonic()
    with pytest.raises(UserError) as caught:
        build(VGGFACE)
    assert time.monotonic() - start < 20
    assert f"{facenet.RELEASE}20180402-114759-vggface2.pt" in str(caught.value)
    assert str(torch_home / "checkpoints" / "20180402-114759-vggface2.pt") in str(caught.value)


@pytest.mark.slow
def test_a_download_is_kept_where_the_library_looks(donor, monkeypatch, torch_home):
    def download(url: str, path: str) -> None:
        assert url == "http://127.0.0.1:9/20180402-114759-vggface2.pt"
        torch.save(donor.state_dict(), path)

    monkeypatch.setattr(facenet.weights, "reachable", lambda url: True)
    monkeypatch.setattr(facenet, "download_url_to_file", download)
    assert same_faces(donor, build(VGGFACE))
    monkeypatch.setattr(facenet, "download_url_to_file", None)
    assert same_faces(donor, build(VGGFACE))


def test_a_download_that_breaks_off_is_told(monkeypatch, torch_home):
    def download(url: str, path: str) -> None:
        raise TimeoutError

    monkeypatch.setattr(facenet.weights, "reachable", lambda url: True)
    monkeypatch.setattr(facenet, "download_url_to_file", download)
    with pytest.raises(UserError, match="cannot be downloaded"):
        build(VGGFACE)


def test_weights_are_not_asked_for_when_a_checkpoint_follows(torch_home):
    facenet.build(recipes.FaceNet(kind="facenet", weights=VGGFACE), pretrained=False)


@pytest.mark.slow
@pytest.mark.parametrize("fault", ["lacking", "foreign", "reshaped", "other"])
def test_files_with_anything_missing_or_foreign_are_refused(donor, tmp_path, monkeypatch, fault):
    state = donor.state_dict()
    content = {
        "lacking": {k: v for k, v in state.items() if k != "block8.conv2d.bias"},
        "foreign": state | {"mouth.weight": torch.zeros(2)},
        "reshaped": state | {"last_linear.weight": torch.zeros(128, 1792)},
        "other": timm.create_model("test_resnet", num_classes=0).state_dict(),
    }[fault]
    (tmp_path / "w.pth").touch()
    monkeypatch.setattr(facenet.weights, "read", lambda path: content)
    with pytest.raises(UserError, match="w.pth does not hold the weights of InceptionResnetV1"):
        build(file(tmp_path / "w.pth"))


def test_a_broken_file_in_the_cache_says_which(torch_home):
    path = torch_home / "checkpoints" / facenet.FILES["vggface2"]
    path.parent.mkdir(parents=True)
    path.write_bytes(b"half a fi")
    with pytest.raises(UserError, match=f"{path.name} does not hold .*delete"):
        build(VGGFACE)


def test_wrong_hash_and_absent_file_are_told(tmp_path):
    path = tmp_path / "w.pth"
    path.write_bytes(b"something")
    with pytest.raises(UserError, match="sha256"):
        build(recipes.WeightsFile(kind="file", path=str(path), sha256="0" * 64))
    with pytest.raises(UserError, match=r"no file .*gone\.pth"):
        build(recipes.WeightsFile(kind="file", path=str(tmp_path / "gone.pth"), sha256="0" * 64))


def test_pickled_code_in_a_weights_file_is_not_run(tmp_path):
    class Trap:
        def __reduce__(self):
            return (Path(tmp_path / "sprung").touch, ())

    torch.save({"last_linear.weight": Trap()}, tmp_path / "w.pth")
    with pytest.raises(UserError, match="does not hold the weights"):
        build(file(tmp_path / "w.pth"))
    assert not (tmp_path / "sprung").exists()


@pytest.mark.slow
def test_embeddings_are_as_large_as_other_features_and_all_weights_learn():
    """Of length 1, their numbers would be .04."""
    network = build(SCRATCH).train()
    embeddings = network(torch.randn(4, 3, 96, 80))
    assert 0.5 < embeddings.detach().std() < 2
    (embeddings * torch.randn(4, 512)).sum().backward()
    assert all(weight.grad is not None for weight in network.parameters())


@pytest.mark.slow
def test_the_only_dropout_is_the_head_s():
    network = build(SCRATCH)
    photos = torch.randn(3, 3, 96, 80)
    for part in network.modules():
        if isinstance(part, torch.nn.Dropout):
            part.train()
    with torch.inference_mode():
        assert torch.equal(network(photos), network(photos))


def test_layers_are_grouped_from_the_bottom_up():
    """As freezing and layer-wise rates ask a timm network."""
    network = build(SCRATCH)
    order = [
        "conv2d_1a",
        "repeat_1.0",
        "repeat_1.4",
        "mixed_6a",
        "repeat_2.9",
        "mixed_7a",
        "repeat_3.0",
        "block8",
    ]
    for coarse in (False, True):
        groups = timm.models.group_parameters(network, network.group_matcher(coarse=coarse), reverse=True)
        assert set(groups) == {name for name, _ in network.named_parameters()}
        levels = [
            min(v for k, v in groups.items() if k.startswith(f"{part}.")) for part in [*order, "last_bn"]
        ]
        assert levels == sorted(levels)
        assert len(set(groups.values())) == (8 if coarse else 25)
        assert groups["last_linear.weight"] == groups["last_bn.bias"] == max(groups.values())
