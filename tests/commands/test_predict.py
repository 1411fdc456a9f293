"""``python -m facemask predict``: what is printed, drawn and returned."""

from __future__ import annotations

import io
import json
import shutil
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import facemask
from facemask import __main__
from facemask.pixels import codec


@pytest.fixture
def predict(write_run, tmp_path, monkeypatch, capsys):
    """Run the command in a project's folder; gives its exit code and what it printed."""
    write_run(tmp_path / "project")
    monkeypatch.chdir(tmp_path / "project")

    def run(*words):
        monkeypatch.setattr(sys, "argv", ["facemask", "predict", *map(str, words)])
        code = 0
        try:
            __main__.main()
        except SystemExit as ended:
            if isinstance(ended.code, str):
                sys.stderr.write(f"{ended.code}\n")
            code = 1 if isinstance(ended.code, str) else ended.code
        said = capsys.readouterr()
        return code, said.out, said.err

    return run


@pytest.fixture
def folder(photo, tmp_path):
    """Three photos, one in a folder of its own, and a text."""
    for place, name in enumerate(("a.png", "b.JPG", "deep/a.png")):
        path = tmp_path / "photos" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(np.roll(photo, place)).save(path, quality=95)
    (tmp_path / "photos" / "notes.txt").write_text("no photo")
    return tmp_path / "photos"


def test_a_table_of_a_folder(predict, folder):
    code, out, err = predict(folder)
    assert (code, err) == (0, "")
    heading, _, *rows = out.splitlines()
    assert heading.split() == ["photo", "mask", "gender", "age", "face"]
    assert [row.split()[0] for row in rows] == [
        str(folder / name) for name in ("a.png", "b.JPG", "deep/a.png")
    ]
    row = facemask.load().predict(folder / "a.png").iloc[0]
    for name in ("mask", "gender", "age"):
        assert f"{row[name]} {row[f'p_{name}']:.0%}" in rows[0]
    assert rows[0].endswith("fixed box")


def test_lines_and_rows_hold_what_python_gets(predict, folder):
    table = facemask.load().predict(sorted(folder.rglob("*.[pJ]*")))
    code, out, _ = predict("--csv", folder)
    rows = pd.read_csv(io.StringIO(out), keep_default_na=False, dtype={"reason": str})
    assert code == 0
    pd.testing.assert_frame_equal(rows, table.fillna({"reason": ""}), rtol=1e-5, check_dtype=False)
    code, out, _ = predict("--json", folder)
    lines = [json.loads(line) for line in out.splitlines()]
    assert [line["class"] for line in lines] == table["class"].tolist()
    assert [line["mask"]["answer"] for line in lines] == table["mask"].tolist()
    np.testing.assert_allclose(
        [line["probabilities"] for line in lines], table[[f"p{k}" for k in range(18)]], atol=1e-6
    )


def test_unreadable_photos_have_a_row_and_code_1(predict, folder):
    (folder / "empty.jpg").write_bytes(b"")
    code, out, err = predict(
        "--json", folder / "a.png", folder / "notes.txt", folder / "empty.jpg", "absent.jpg"
    )
    assert (code, err) == (1, "3 of 4 photos could not be read\n")
    first, *others = [json.loads(line) for line in out.splitlines()]
    assert "probabilities" in first
    assert [(one["found"], bool(one["reason"])) for one in others] == [("unreadable", True)] * 3
    code, out, _ = predict(folder / "empty.jpg")
    assert code == 1
    assert "the file is empty" in out


def test_a_photo_from_standard_input(predict, folder, monkeypatch):
    data = (folder / "a.png").read_bytes()
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(data)))
    code, out, _ = predict("--json", "-")
    _, same, _ = predict("--json", folder / "a.png")
    assert code == 0
    assert json.loads(out) == json.loads(same) | {"file": "stdin"}


def test_answers_are_drawn_on_copies(predict, folder, tmp_path):
    code, _, _ = predict("--save", tmp_path / "out", folder)
    drawn = sorted(path.name for path in (tmp_path / "out").iterdir())
    assert (code, drawn) == (0, ["a-2.jpg", "a.jpg", "b.jpg"])
    before, after = (
        codec.decode(path.read_bytes()) for path in (folder / "a.png", tmp_path / "out" / "a.jpg")
    )
    assert before.shape == after.shape
    x0, y0, x1, _ = (
        facemask.load().predict(folder / "a.png")[["x0", "y0", "x1", "y1"]].iloc[0].round().astype(int)
    )
    edge = after[y0, x0 + 3 : x1 - 3].astype(int)
    assert np.abs(edge - edge.mean(0)).max() < 40 < np.abs(before[y0, x0 + 3 : x1 - 3] - edge.mean(0)).max()


def test_another_project_s_model(predict, folder, tmp_path, write_run):
    write_run(tmp_path / "other", seed=9)
    shutil.rmtree("models")
    assert predict(folder)[0] == 1
    code, out, _ = predict("--json", "--model", tmp_path / "other", folder / "a.png")
    assert code == 0
    row = facemask.load(tmp_path / "other").predict(folder / "a.png").iloc[0]
    assert json.loads(out)["class"] == row["class"]


def test_mistakes_are_one_line(predict, tmp_path):
    (tmp_path / "texts").mkdir()
    (tmp_path / "texts" / "a.txt").write_text("x")
    for words, told in (
        ((tmp_path / "texts",), "no photo in this folder"),
        (("--model", tmp_path / "nowhere", "a.jpg"), "no dvc.lock"),
        (("--model", tmp_path / "texts" / "a.txt", "a.jpg"), "no dvc.lock"),
        (("--rev", "nowhere", "a.jpg"), "DVC"),
    ):
        code, out, err = predict(*words)
        assert (code, out, err.count("\n")) == (1, "", 1), err
        assert err.startswith("error: ")
        assert told in err
    assert Path.cwd().name == "project"


@pytest.mark.slow
def test_a_huge_photo_is_a_row(predict, tmp_path):
    """Its size is told before a pixel is decoded."""
    Image.new("1", (30_000, 30_000)).save(tmp_path / "huge.png")
    code, out, _ = predict("--json", tmp_path / "huge.png")
    assert code == 1
    assert "pixels" in json.loads(out)["reason"]
