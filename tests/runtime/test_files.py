"""Whole files or none."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from facemask.runtime import files
from facemask.runtime.errors import UserError


def test_a_file_appears_whole(tmp_path: Path) -> None:
    target = tmp_path / "new" / "folder" / "table.csv"
    with files.replacing(target) as temporary:
        temporary.write_text("half")
        assert not target.exists()
        temporary.write_text("whole")
    assert target.read_text() == "whole"
    assert list(target.parent.iterdir()) == [target]


def test_a_failure_leaves_the_older_file(tmp_path: Path) -> None:
    target = tmp_path / "table.csv"
    target.write_text("old")
    with pytest.raises(RuntimeError, match="killed"), files.replacing(target) as temporary:
        temporary.write_text("half")
        raise RuntimeError("killed")
    assert target.read_text() == "old"
    assert list(tmp_path.iterdir()) == [target]


def test_folders_are_replaced_whole(tmp_path: Path) -> None:
    target = tmp_path / "plots"
    target.mkdir()
    (target / "stale.csv").write_text("from an earlier run")
    with files.replacing(target) as temporary:
        temporary.mkdir()
        (temporary / "new.csv").write_text("new")
    assert [path.name for path in target.iterdir()] == ["new.csv"]
    assert list(tmp_path.iterdir()) == [target]


def test_a_failure_leaves_the_older_folder(tmp_path: Path) -> None:
    target = tmp_path / "plots"
    target.mkdir()
    (target / "old.csv").write_text("old")
    with pytest.raises(RuntimeError, match="killed"), files.replacing(target) as temporary:
        temporary.mkdir()
        (temporary / "half.csv").write_text("half")
        raise RuntimeError("killed")
    assert [path.name for path in target.iterdir()] == ["old.csv"]
    assert list(tmp_path.iterdir()) == [target]


def test_json_keeps_the_order_and_ends_in_a_newline(tmp_path: Path) -> None:
    files.write_json(tmp_path / "m.json", {"b": 1, "a": {"é": 0.25}})
    text = (tmp_path / "m.json").read_text(encoding="utf-8")
    assert text.endswith("}\n")
    assert list(json.loads(text)) == ["b", "a"]
    assert "é" in text


@pytest.mark.parametrize("number", [float("nan"), float("inf")])
def test_json_refuses_what_is_no_number(tmp_path: Path, number: float) -> None:
    with pytest.raises(ValueError, match="not JSON compliant"):
        files.write_json(tmp_path / "m.json", {"score": number})
    assert list(tmp_path.iterdir()) == []


def test_what_a_killed_process_left_is_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    (tmp_path / f".table.csv.{gone.pid}.part").write_text("half")
    folder = tmp_path / f".plots.{gone.pid}.part"
    folder.mkdir()
    (folder / "half.csv").write_text("half")
    others = {f".table.csv.{os.getppid()}.part", f".other.csv.{gone.pid}.part", "table.csv.part"}
    for name in others:
        (tmp_path / name).write_text("another's")
    for name in ("table.csv", "plots"):
        with files.replacing(tmp_path / name) as temporary:
            temporary.write_text("whole")
    assert {path.name for path in tmp_path.iterdir()} == {"table.csv", "plots", *others}


@pytest.mark.parametrize("kind", ["file", "folder"])
def test_what_a_killed_process_of_the_same_number_left_is_not_taken_for_new(
    tmp_path: Path, kind: str
) -> None:
    """In a container the numbers of processes start anew, so that a stage has its killed predecessor's."""
    left = tmp_path / f".plots.{os.getpid()}.part"
    if kind == "file":
        left.write_text("half")
    else:
        left.mkdir()
        (left / "half.csv").write_text("half")
    with files.replacing(tmp_path / "plots") as temporary:
        temporary.mkdir()
        (temporary / "new.csv").write_text("new")
    assert [path.name for path in tmp_path.iterdir()] == ["plots"]
    assert [path.name for path in (tmp_path / "plots").iterdir()] == ["new.csv"]


def test_a_file_is_the_one_meant(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"network")
    sha256 = hashlib.sha256(b"network").hexdigest()
    assert files.checked(path, sha256, keys="a.", fetch="fetch it") == b"network"
    with pytest.raises(UserError, match=rf"^a\.sha256: .*net.onnx has {sha256}, not 00; .* or fetch it$"):
        files.checked(path, "00", keys="a.", fetch="fetch it")
    with pytest.raises(UserError, match=r"^a\.path: no file .*gone.onnx; fetch it$"):
        files.checked(tmp_path / "gone.onnx", sha256, keys="a.", fetch="fetch it")


def test_what_is_sealed_comes_back_and_any_other_bit_is_told(tmp_path: Path) -> None:
    (tmp_path / "table.csv").write_text("a,b\n1,2\n")
    content = {"word": "사진", "number": 0.1, "list": [1, {"x": None}]}
    files.write_sealed(tmp_path / "about.json", content)
    assert files.sealed(tmp_path / "about.json", "table.csv", remedy="do so") == content
    for name, before, after in (
        ("table.csv", "1,2", "1,3"),
        ("about.json", "0.1", "0.2"),
        ("about.json", "word", "ward"),
        ("about.json", '"sha256"', '"sha255"'),
    ):
        whole = (tmp_path / name).read_text()
        (tmp_path / name).write_text(whole.replace(before, after))
        with pytest.raises(UserError, match=f"{name}: (not the file|damaged).*; do so"):
            files.sealed(tmp_path / "about.json", "table.csv", remedy="do so")
        (tmp_path / name).write_text(whole)
    (tmp_path / "later.csv").write_text("")
    with pytest.raises(UserError, match="later.csv"):
        files.sealed(tmp_path / "about.json", "later.csv", remedy="do so")
    with pytest.raises(UserError, match="no gone.csv; do so"):
        files.sealed(tmp_path / "about.json", "gone.csv", remedy="do so")


@pytest.mark.parametrize(
    "text", ["", "[1]", "7", "{}", '{"sha256": []}', '{"sha256": {}, "x": NaN}', "[" * 100_000]
)
def test_what_was_never_sealed_is_told(tmp_path: Path, text: str) -> None:
    (tmp_path / "about.json").write_text(text)
    with pytest.raises(UserError, match="do so"):
        files.sealed(tmp_path / "about.json", remedy="do so")


def test_what_a_kill_left_of_a_scratch_folder_goes_at_the_next_start(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    child = os.fork()
    if not child:
        with files.scratch("work") as folder:
            (folder / "large").write_bytes(bytes(9))
            os.kill(os.getpid(), signal.SIGKILL)
    os.waitpid(child, 0)
    assert len(list((tmp_path / ".cache" / "tmp").iterdir())) == 1
    with files.scratch("work") as one, files.scratch("work") as other:
        assert {one, other} == set((tmp_path / ".cache" / "tmp").iterdir())
        assert one.is_absolute()
        assert list(one.iterdir()) == []
    assert list((tmp_path / ".cache" / "tmp").iterdir()) == []
