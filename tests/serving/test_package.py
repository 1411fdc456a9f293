"""The exported folder: graphs that answer as torch does, what they say of themselves, and use without this package."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import yaml
from PIL import Image

import facemask
from facemask.ensemble import combiner, temperature
from facemask.pixels import archive, codec
from facemask.records import classes, tables
from facemask.runtime import files
from facemask.runtime.errors import UserError
from facemask.serving import card, graph, onnx_export, package

PEOPLE = 6


def scores(**more):
    known = dict.fromkeys(classes.NAMES, 0.9) | {"wear male >=60": 0.125}
    return {
        **{"photos": 70, "people": 10, "macro_f1": 0.512, "macro_f1_low": 0.4, "macro_f1_high": 0.6},
        **{"accuracy": 0.7, "mask_f1": 0.9, "gender_f1": 0.8, "age_f1": 0.5, "log_loss": 0.9, "ece": 0.25},
        **{"f1": known, "people_of_class": dict.fromkeys(classes.NAMES, 20) | {"wear male >=60": 3}},
        **more,
    }


@pytest.fixture
def reported(write_run, tmp_path):
    """A run with its reports and some labelled crops."""

    def write(dataset="sample", **options):
        folder = write_run(tmp_path / "project", **options)
        details = {
            "oof": scores(),
            "holdout": scores(people=4),
            "confidence": 0.95,
            "eval_photos_used": False,
        }
        counts = {"dataset": dataset, "people": 12, "photos": {"labelled": 84, "eval": 9, "extra": 0}}
        for path, content in zip(
            card.REPORTS, (details, {"macro_f1": 0.625, "scored": 9}, counts), strict=True
        ):
            files.write_json(folder / path, content)
        rng = np.random.default_rng(0)
        kinds = {name: "" if kind is str else 0 for name, kind in tables.MANIFEST.columns.items()}
        rows = [
            kinds
            | {"photo": f"p{k}", "set": "labelled", "class": k % 18, "split": "holdout", "fold": -1}
            | {"matte": "none", "status": "ok", "cx1": 9.0, "cy1": 9.0}
            for k in range(PEOPLE)
        ]
        import pandas as pd

        tables.write(folder / package._MANIFEST, pd.DataFrame(rows), tables.MANIFEST)
        crops = {
            f"p{k}.jpg": codec.encode_jpeg(rng.integers(0, 256, (64, 48, 3), dtype=np.uint8))
            for k in range(PEOPLE)
        }
        archive.write(folder / "data/face_crop/labelled/crops.zip", crops)
        return folder

    return write


# Blocks whatever a bare environment with onnxruntime, OpenCV and numpy has not.
BARE = """
import importlib.abc, runpy, sys
class Bare(importlib.abc.MetaPathFinder):
    def find_spec(self, name, path=None, target=None):
        if name.split(".")[0] in {"torch", "facemask", "timm", "onnx", "pandas", "PIL", "pydantic", "yaml", "scipy"}:
            raise ModuleNotFoundError(name)
sys.meta_path.insert(0, Bare())
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def bare(folder, *words):
    command = [sys.executable, "-I", "-c", BARE, folder / "example.py", *map(str, words)]
    return subprocess.run(command, cwd="/", capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_folder_stands_by_itself(reported, photo, tmp_path):
    calibration = temperature.PerTask(mask=0.8, gender=1.2, age=1.1)
    fitted = combiner.Fitted(combiner.Mean((1.0,)), 0.3, tuple(np.arange(1, 19) / 171), calibration)
    project = reported(join=combiner.Combiner((), fitted, eval_photos_used=False))
    out = tmp_path / "export"
    about = package.write(out, project, "", package.Extras(folds=True, float16=True, int8=True))
    names = ["model.onnx", "model-fold0.onnx", "model-fold1.onnx", "model-float16.onnx", "model-int8.onnx"]
    assert list(about["files"]) == names
    assert sorted(path.name for path in out.iterdir()) == sorted(
        [*names, "README.md", "example.py", "model.json"]
    )
    assert json.loads((out / "model.json").read_text()) == about
    model = facemask.load(project)
    crops = np.random.default_rng(1).integers(0, 256, (5, 32, 24, 3), dtype=np.uint8)
    wanted = model.run.combiner.apply(model.tables(model.folds, crops)[None])
    found = {name: onnx_export.answer((out / name).read_bytes())(crops) for name in names}
    np.testing.assert_allclose(found["model.onnx"], wanted, atol=1e-4)
    for fold in (0, 1):
        alone = model.tables([model.folds[fold]], crops)
        np.testing.assert_allclose(found[f"model-fold{fold}.onnx"], alone, atol=1e-4)
    for name in names[3:]:
        facts = about["files"][name]
        assert facts["bytes"] < 0.8 * about["files"]["model.onnx"]["bytes"]
        assert 0 < facts["against"]["greatest_difference"] < 0.1
        assert facts["against"]["photos"] == PEOPLE
        np.testing.assert_allclose(found[name], wanted, atol=0.1)
    for name in names:
        content = (out / name).read_bytes()
        said = onnx_export.read_about(content, out / name)
        assert said["classes"] == list(classes.NAMES)
        assert (said["cuts"], said["face_crop"]["margin"], said["input"]["size"]) == ([30, 60], 0.3, [32, 24])
        # Nothing tells where it was made.
        assert b"/facemask/" not in content and b"site-packages" not in content
    # Without a box a photo is taken for a crop; with one it is cut as face_crop cuts.
    Image.fromarray(photo).save(tmp_path / "a.png")
    ended = bare(out, tmp_path / "a.png")
    assert (ended.returncode, len(ended.stdout.splitlines())) == (0, 3), ended.stderr
    row = model.predict(photo).iloc[0]
    told = bare(out, tmp_path / "a.png", *row[["x0", "y0", "x1", "y1"]])
    best = told.stdout.split(maxsplit=1)
    # The stored crop is a JPEG, which the example leaves out.
    assert abs(float(best[0]) - row[f"p{classes.NAMES.index(best[1].splitlines()[0])}"]) < 0.05
    with (out / "model.onnx").open("r+b") as file:
        file.seek(5000)
        file.write(b"tampered")
    ended = bare(out, tmp_path / "a.png")
    assert (ended.returncode, ended.stderr) == (1, "error: model.onnx is not the file that was exported\n")


@pytest.mark.parametrize(
    "fitted",
    [
        combiner.Fitted(combiner.Votes(1), 0.0, (1 / 18,) * 18, None),
        combiner.Fitted(combiner.Mean((1.0,)), -0.7, (*(1 / 17,) * 17, 0.0), temperature.Single(0.6)),
        combiner.Fitted(
            combiner.Stacker((0, 4), tuple((0.1 * k, *(0.02,) * 17) for k in (1, 2)), (0.3, -0.2)),
            0.4,
            (1 / 18,) * 18,
            None,
        ),
    ],
)
@pytest.mark.parametrize("average", ["probabilities", "logits"])
def test_a_graph_combines_as_the_run_does(write_run, tmp_path, fitted, average):
    join = combiner.Combiner((), fitted, eval_photos_used=False)
    model = facemask.load(write_run(tmp_path, join=join, change=lambda y: y["infer"].update(average=average)))
    crops = np.random.default_rng(1).integers(0, 256, (5, 32, 24, 3), dtype=np.uint8)
    import torch

    whole = graph.Whole(model.folds, model.run.infer.views, average, fitted)
    wanted = fitted(model.tables(model.folds, crops)[None])
    with torch.inference_mode():
        np.testing.assert_allclose(whole(torch.from_numpy(crops)), wanted, atol=1e-5)


def test_what_cannot_stand_alone_is_refused(reported, tmp_path):
    member = combiner.Combiner(
        (combiner.Member("past", "0" * 40),),
        combiner.Fitted(combiner.Mean((0.5, 0.5)), 0.0, (1 / 18,) * 18, None),
        eval_photos_used=False,
    )
    model = facemask.load(reported())
    import dataclasses

    model.run = dataclasses.replace(model.run, combiner=member)
    with pytest.raises(UserError, match="combined with past"):
        package._require_alone(model)
    model.image = model.image.model_copy(update={"background": "black"})
    with pytest.raises(UserError, match=r"background that is black \(train.image.background\)"):
        package._require_alone(model)


def test_another_folder_is_left_alone(reported, tmp_path):
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "thesis.txt").write_text("years of work")
    for name in ("mine", "mine/thesis.txt"):
        with pytest.raises(UserError, match="no exported model; name another folder"):
            package.write(tmp_path / name, reported(), "", package.Extras())
    assert (tmp_path / "mine" / "thesis.txt").read_text() == "years of work"


def test_a_graph_that_answers_otherwise_is_not_written(monkeypatch, reported, tmp_path):
    content = b"graph"
    monkeypatch.setattr(
        onnx_export, "answer", lambda _: lambda photos: np.full((len(photos), 18), 1 / 18, np.float32)
    )
    photos, wanted = np.zeros((4, 8, 8, 3), np.uint8), np.full((4, 18), 1 / 18)
    assert onnx_export.check(content, photos, wanted) < 1e-7
    with pytest.raises(UserError, match="answers otherwise than torch"):
        onnx_export.check(content, photos, wanted + np.eye(18)[0] * 2e-4)
    with pytest.raises(UserError, match="answers otherwise than torch"):
        onnx_export.check(content, photos, wanted * np.nan)


def test_a_damaged_file_is_told_in_a_line(tmp_path):
    for content in (b"", b"no model", onnx.ModelProto().SerializeToString()):
        with pytest.raises(UserError, match="not a model that `python -m facemask export` wrote"):
            onnx_export.read_about(content, Path("model.onnx"))
        with pytest.raises(UserError, match="onnxruntime does not take the file"):
            onnx_export.answer(content)


def about():
    return {
        **{
            "folds": 2,
            "backbone": "net",
            "weights": "scratch",
            "views": [1],
            "revision": "abc",
            "cuts": [30, 58],
        },
        **{"input": {"size": [96, 72]}, "face_crop": {"finder": {"kind": "mtcnn"}, "margin": 0.3}},
        **{"difference_to_torch": 1e-6, "files": {"model.onnx": {"bytes": 1234, "sha256": ""}}},
    }


@pytest.mark.parametrize(("dataset", "licence"), [("sample", "mit"), ("mine", "other")])
def test_the_card_says_what_the_run_measured(reported, dataset, licence):
    folder = reported(dataset)
    text = card.render(folder, about())
    _, head, body = text.split("---\n", 2)
    facts = yaml.safe_load(head)
    assert facts["license"] == licence
    assert facts["model-index"][0]["results"][0]["metrics"][0]["value"] == 0.512
    assert "| 18-class macro-F1 | 0.512 (0.400-0.600) | 0.512 (0.400-0.600) | 0.625 |" in body
    assert "| wear male >=60 | 0.125 | 3 |" in body
    assert "Weakest class out-of-fold: wear male >=60 (F1 0.125)" in body
    assert "1 of 18 classes have fewer than 10 people: wear male >=60." in body
    assert "25 points off" in body
    assert ("drawn people" in body) == (dataset == "sample")
    assert text == card.render(folder, about())


def test_a_card_without_reports_says_what_to_run(reported):
    folder = reported()
    for harm, told in (
        (lambda path: path.write_text("[1]"), "a JSON object is wanted"),
        (lambda path: path.write_text("{"), "not JSON"),
        (lambda path: path.unlink(), "no such file"),
    ):
        harm(folder / card.COUNTS)
        with pytest.raises(UserError, match=f"{told}.*dvc repro"):
            card.render(folder, about())
