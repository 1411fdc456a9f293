"""facenet-pytorch's InceptionResnetV1, trained to tell people apart, as a backbone."""

from __future__ import annotations

import socket
from pathlib import Path
from typing import Any, Literal, assert_never

from torch import nn

from facemask.network import weights
from facemask.runtime.errors import UserError
from facemask.runtime.imports import lean
from facemask.settings import recipes

with lean():
    from facenet_pytorch.models.inception_resnet_v1 import InceptionResnetV1, get_torch_home
    from facenet_pytorch.models.utils.download import download_url_to_file

RELEASE = "https://github.com/timesler/facenet-pytorch/releases/download/v2.2.9/"
FILES = {
    "vggface2": "20180402-114759-vggface2.pt",
    "casia_webface": "20180408-102900-casia-webface.pt",
}
NAME = "InceptionResnetV1"


class FaceNet(InceptionResnetV1):  # type: ignore[misc]
    """Photos (N, 3, H, W) in, embeddings (N, 512) out, not yet brought to length 1.

    So the library's own classifier reads them. In a vector of length 1 the numbers are near 0.04, and a linear layer on
    them would learn twenty times slower than on another backbone. The network's own dropout is off: the head has one.

    References
    ----------
    Schroff, Kalenichenko and Philbin, "FaceNet: A Unified Embedding for Face Recognition and Clustering", CVPR 2015,
    https://arxiv.org/abs/1503.03832
    """

    def __init__(self) -> None:
        super().__init__(dropout_prob=0.0)
        self.classify, self.logits = True, nn.Identity()

    def group_matcher(self, coarse: bool = False) -> dict[str, Any]:
        """Layers from the bottom up, as timm's networks tell theirs; ``coarse`` keeps repeated blocks together."""
        block = "" if coarse else r"\.(\d+)"
        return {
            "stem": r"^conv2d_",
            "repeat_1": rf"^repeat_1{block}",
            "mixed_6a": r"^mixed_6a",
            "repeat_2": rf"^repeat_2{block}",
            "mixed_7a": r"^mixed_7a",
            "repeat_3": rf"^repeat_3{block}",
            "block8": r"^block8",
            "embedding": r"^last_",
        }


def build(cfg: recipes.FaceNet, *, pretrained: bool = True) -> FaceNet:
    """Make the network with its initial weights.

    Parameters
    ----------
    pretrained
        False leaves the weights random, whatever ``cfg.weights`` says: a checkpoint is about to be loaded.

    Raises
    ------
    UserError
        If the weights cannot be had, or are those of another network.
    """
    path = file(cfg) if pretrained else None
    network = FaceNet()
    if path is not None:
        _load(network, path)
    return network


def file(cfg: recipes.FaceNet) -> Path | None:
    """Where the initial weights are; ``None`` if they are random.

    Raises
    ------
    UserError
        If they are neither on this machine nor to be fetched, or the file is another one.
    """
    match cfg.weights:
        case recipes.Scratch():
            return None
        case recipes.VggFace2() | recipes.CasiaWebFace():
            return _downloaded(cfg.weights.kind)
        case recipes.WeightsFile():
            return weights.checked(cfg.weights, NAME)
        case _:
            assert_never(cfg.weights)


def _load(network: FaceNet, path: Path) -> None:
    try:
        # The classifier over the people of the data set that it was trained on.
        found = {k: v for k, v in weights.read(path).items() if not k.startswith("logits.")}
        network.load_state_dict(found)
    except (RuntimeError, ValueError) as error:
        reason = " ".join(str(error).split())[:300]
        raise UserError(
            f"train.backbone.weights: {path} does not hold the weights of {NAME}: {reason}; "
            "name another file, or delete this one if a download broke off"
        ) from None


def _downloaded(kind: Literal["vggface2", "casia_webface"]) -> Path:
    """Where the library keeps the file of ``kind``, after a download if it is not there."""
    path = Path(get_torch_home()) / "checkpoints" / FILES[kind]
    if path.is_file():
        return path
    url = RELEASE + FILES[kind]
    if weights.reachable(url):
        waited = socket.getdefaulttimeout()
        # The library's download sets no limit and would wait for a silent server for ever.
        socket.setdefaulttimeout(20)
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            download_url_to_file(url, str(path))
            return path
        except OSError:
            pass
        finally:
            socket.setdefaulttimeout(waited)
    raise UserError(
        f"train.backbone.weights: the {kind} weights are not on this machine and cannot be downloaded; fetch {url} "
        f"where there is a network and put it at {path}, or use {{kind: scratch}}"
    )
