"""Pretrained weights: fetched whole or not at all, and only those that were meant."""

from __future__ import annotations

import functools
import hashlib
import http.server
import re
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from facemask.commands import weights
from facemask.runtime.errors import UserError

CONTENT = b"weights" * 1000


class Quiet(http.server.SimpleHTTPRequestHandler):
    """Serves a folder without a word."""

    def log_message(self, *_: object) -> None:
        """Say nothing."""


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[Path]:
    """A registry of three files: one that is served, one that is another than its hash says, one without address."""
    served = tmp_path / "served"
    served.mkdir()
    (served / "good.onnx").write_bytes(CONTENT)
    with http.server.ThreadingHTTPServer(
        ("127.0.0.1", 0), functools.partial(Quiet, directory=served)
    ) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        entry = {
            "file": "good.onnx",
            "what": "a network",
            "licence": "MIT",
            "url": f"http://127.0.0.1:{server.server_port}/good.onnx",
            "hash": f"sha256:{hashlib.sha256(CONTENT).hexdigest()}",
        }
        other = entry | {"file": "other.onnx", "hash": f"sha256:{'0' * 64}"}
        gone = entry | {"file": "gone.onnx", "url": "http://127.0.0.1:9/gone.onnx"}
        path = tmp_path / "weights.yaml"
        path.write_text(
            yaml.safe_dump({"good": entry, "other": other, "gone": gone, "own": entry | {"url": None}})
        )
        yield path
        server.shutdown()


@pytest.mark.slow
def test_a_file_is_fetched_once_and_checked(registry: Path, tmp_path: Path) -> None:
    folder = tmp_path / "pretrained"
    assert weights.fetch(["good"], registry, folder) == [folder / "good.onnx"]
    assert (folder / "good.onnx").read_bytes() == CONTENT
    (tmp_path / "served" / "good.onnx").unlink()
    assert weights.fetch(["good", "own"], registry, folder) == [folder / "good.onnx"] * 2
    (folder / "good.onnx").write_bytes(b"another")
    with pytest.raises(UserError, match=r"good\.onnx: its hash is not sha256:.*fetch it anew"):
        weights.fetch(["good"], registry, folder)


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "told"),
    [
        ("goot", r"no weights 'goot'; did you mean good\? \(known: gone, good, other, own\)"),
        ("other", r"other: what http.* gave has not the hash sha256:0+; it was not kept"),
        ("gone", r"gone: http.* cannot be fetched \(no network\); fetch it .* put it at .*gone\.onnx"),
        ("own", r"own: has no public address; put good\.onnx into .*pretrained/"),
    ],
)
def test_what_cannot_be_had_is_one_line_and_leaves_nothing(
    registry: Path, tmp_path: Path, name: str, told: str
) -> None:
    folder = tmp_path / "pretrained"
    with pytest.raises(UserError, match=told) as caught:
        weights.fetch([name], registry, folder)
    assert "\n" not in str(caught.value)
    assert not list(folder.glob("*")) if folder.exists() else True


@pytest.mark.slow
def test_the_list_says_which_are_here(registry: Path, tmp_path: Path) -> None:
    weights.fetch(["good"], registry, tmp_path)
    told = weights.listed(registry, tmp_path)
    assert [line.split()[:2] for line in told] == [
        ["gone", "absent"],
        ["good", "here"],
        ["other", "absent"],
        ["own", "here"],
    ]


def test_presets_name_files_of_the_registry_and_nothing_outside(repository: Path) -> None:
    known = yaml.safe_load((repository / weights.REGISTRY).read_text())
    hashes = {str(weights.FOLDER / one["file"]): one["hash"] for one in known.values()}
    named = {}
    for preset in (repository / "presets").glob("*.yaml"):
        text = preset.read_text()
        assert "../" not in text
        named |= dict(re.findall(r"path: (\S+)\n\s+sha256: (\w{64})", text))
    assert named
    assert {path: f"sha256:{digest}" for path, digest in named.items()}.items() <= hashes.items()
    readme = (repository / "models" / "README.md").read_text()
    for name, one in known.items():
        assert f"| {name} | `{one['file']}` |" in readme
        assert one["licence"] in readme
