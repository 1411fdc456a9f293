"""Answers to photos: what may be handed over, which faces are answered, which model is meant, and what is refused."""

from __future__ import annotations

import contextlib
import dataclasses
import io
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import yaml
from dvc.repo import Repo
from PIL import Image

import facemask
from facemask.ensemble import combiner
from facemask.faces import finders
from facemask.records import classes
from facemask.runtime.errors import UserError

pytestmark = pytest.mark.slow

COLUMNS = list(classes.columns())


def test_a_file_its_bytes_and_its_pixels_are_answered_alike(model, photo, tmp_path, encoded):
    path = tmp_path / "a.png"
    path.write_bytes(encoded(photo))
    table = model.predict([path, str(path), encoded(photo), photo])
    assert table["file"].tolist() == [str(path), str(path), "image 2", "image 3"]
    assert (table[COLUMNS] == table[COLUMNS].iloc[0]).all(axis=None)
    # A batch of another size sums in another order.
    np.testing.assert_allclose(table[COLUMNS].sum(axis=1), 1)
    np.testing.assert_allclose(model.predict(photo)[COLUMNS], table[COLUMNS].iloc[:1], atol=1e-6)


def test_the_answer_is_the_most_probable_class_and_each_part_has_its_own_probability(model, photo):
    row = model.predict(photo).iloc[0]
    table = row[COLUMNS].to_numpy(float)
    assert row["class"] == table.argmax()
    assert f"{row['mask']} {row['gender']} {row['age']}" == classes.NAMES[row["class"]]
    for name, values in classes.ATTRIBUTES.items():
        place = values.index(row[name])
        assert row[f"p_{name}"] == pytest.approx(classes.marginals(table)[name][0, place])


@pytest.mark.parametrize(
    "wrong", [np.zeros((8, 8), np.uint8), np.zeros((8, 8, 3)), np.zeros((0, 8, 3), np.uint8), 7]
)
def test_what_is_no_image_is_refused(model, wrong):
    with pytest.raises(ValueError, match="image 0: a file, bytes or RGB pixels"):
        model.predict([wrong])


def test_unreadable_photos_keep_their_rows(model, photo, tmp_path, encoded):
    whole = encoded(photo)
    (tmp_path / "text.jpg").write_text("hello")
    given = [b"", whole, whole[:200], tmp_path / "text.jpg", tmp_path / "absent.jpg", tmp_path]
    table = model.predict(given)
    assert table["found"].tolist() == ["unreadable", "fixed", *["unreadable"] * 4]
    assert table["reason"].str.len().gt(0).tolist() == [True, False, *[True] * 4]
    assert table["class"].tolist() == [-1, table["class"][1], -1, -1, -1, -1]
    assert table[COLUMNS].isna().all(axis=1).tolist() == [True, False, True, True, True, True]


def test_heic_and_the_first_picture_of_an_animation_are_read(model, photo, encoded):
    pillow_heif = pytest.importorskip("pillow_heif")
    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(photo)).save(stream, quality=95)
    moving = io.BytesIO()
    pictures = [Image.fromarray(photo), Image.fromarray(255 - photo)]
    pictures[0].save(moving, "GIF", save_all=True, append_images=pictures[1:])
    table = model.predict([stream.getvalue(), moving.getvalue(), encoded(photo, "GIF")])
    assert set(table["found"]) == {"fixed"}
    assert (table[COLUMNS].iloc[1] == table[COLUMNS].iloc[2]).all()


class Several(finders.Finder):
    """Finds as many faces as the photo's first pixel says, from left to right, the last one the largest."""

    kind, status, searches = "several", "found", True

    def fingerprint(self):
        return ""

    def find(self, pixels):
        return [
            np.array([[k, 2.0, k + 5 + k / 10, 60.0, 0.9] for k in range(int(one[0, 0, 0]))]).reshape(-1, 5)
            for one in pixels
        ]


def faces(photo, count):
    photo = photo.copy()
    photo[0, 0, 0] = count
    return photo


def test_one_face_or_all_of_them(write_run, photo, tmp_path, monkeypatch):
    monkeypatch.setattr(finders, "in_order", lambda cfg: (Several(),))
    model = facemask.load(write_run(tmp_path))
    photos = [faces(photo, count) for count in (0, 3, 40, 0, 1)]
    one, every = model.predict(photos), model.predict(photos, faces="all")
    assert one["faces"].tolist() == [0, 3, 40, 0, 1]
    assert one["found"].tolist() == every.groupby("file")["found"].first().tolist()
    assert one["found"].tolist() == ["frame", "found", "found", "frame", "found"]
    assert every.groupby("file")["face"].agg(list).tolist() == [[0], [*range(3)], [*range(40)], [0], [0]]
    # As in training, the photo's person is the largest face.
    largest = every[(every["file"] == "image 2") & (every["face"] == 39)]
    assert one["x0"][2] == 39
    np.testing.assert_allclose(largest[COLUMNS].to_numpy()[0], one[COLUMNS].iloc[2], atol=1e-6)


def test_a_further_finder_is_shown_what_the_first_found_nothing_in(write_run, photo, tmp_path, monkeypatch):
    class Second(Several):
        def find(self, pixels):
            assert len(pixels) == 1
            return [np.array([[1.0, 2.0, 30.0, 40.0, 0.5]])]

    monkeypatch.setattr(finders, "in_order", lambda cfg: (Several(), Second()))
    table = facemask.load(write_run(tmp_path)).predict([faces(photo, 2), faces(photo, 0)])
    assert table["score"].tolist() == [0.9, 0.5]
    assert table["found"].tolist() == ["found", "found"]


@pytest.mark.parametrize(
    ("harm", "told"),
    [
        (lambda at: (at / "dvc.lock").unlink(), "no dvc.lock, so no finished run"),
        (
            lambda at: (at / "dvc.lock").rename(at / "model.onnx"),
            "a folder that export wrote, .* its example.py",
        ),
        (lambda at: (at / "dvc.lock").write_text("a: ["), "not a lock file of DVC"),
        (lambda at: (at / "dvc.lock").write_text("stages: 3"), "not a lock file of DVC"),
        (lambda at: (at / "dvc.lock").write_text("stages: {face_crop: {}}"), "nothing about 'params'"),
        (lambda at: (at / "data/combine/combiner.json").unlink(), "no such file"),
        (lambda at: (at / "models/train/fold1/model.json").unlink(), "no model.json"),
        (
            lambda at: (at / "models/train/fold1/weights.safetensors").write_bytes(b"x" * 99),
            "not the file that was written there",
        ),
        (
            lambda at: (at / "models/train/fold0/model.json").write_text("{}"),
            "damaged, or of another version",
        ),
    ],
)
def test_what_is_no_finished_run_is_told_in_a_line(write_run, tmp_path, harm, told):
    folder = write_run(tmp_path / "project")
    harm(folder)
    with pytest.raises(UserError, match=told) as error:
        facemask.load(folder)
    assert "\n" not in str(error.value)


def test_params_of_another_version_are_named(write_run, tmp_path):
    folder = write_run(tmp_path / "project")
    lock = yaml.safe_load((folder / "dvc.lock").read_text())
    lock["stages"]["face_crop"]["params"]["params.yaml"]["face_crop.zoom"] = 2
    (folder / "dvc.lock").write_text(yaml.safe_dump(lock))
    with pytest.raises(UserError, match="face_crop in dvc.lock is of another version of facemask: .*zoom"):
        facemask.load(folder)


DAG = """
stages:
  face_crop:
    cmd: "true"
    params: [face_crop.finder, face_crop.choose, face_crop.fallback, face_crop.margin, face_crop.size, face_crop.align]
  background_removal:
    cmd: "true"
    params: [background_removal]
  infer:
    cmd: cp -r made/* .
    params: [infer, train.folds]
    outs: [models/train, data/combine]
"""


def test_an_experiment_answers_without_being_checked_out(
    write_run, start_project, toy_yaml, photo, tmp_path, monkeypatch
):
    """And is a member of a later one, which is combined with it by weight."""
    monkeypatch.chdir(tmp_path)
    start_project(DAG, "made\nmodels\ndata\n")

    def ran(**options):
        write_run(Path("made"), **options)
        Path("made/dvc.lock").unlink()
        Path("params.yaml").write_text(yaml.safe_dump(toy_yaml))
        with Repo() as repo:
            repo.reproduce(force=True)
        subprocess.run(["git", "add", "--all"], check=True)
        subprocess.run(["git", "commit", "-q", "-m", "run"], check=True)
        return subprocess.run(
            ["git", "rev-parse", "HEAD"], check=True, capture_output=True, text=True
        ).stdout.strip()

    first = ran(folds=1, seed=1)
    subprocess.run(["git", "tag", "first"], check=True)
    alone = facemask.load(".").predict(photo)[COLUMNS].to_numpy()
    second = ran(folds=2, seed=2)
    other = facemask.load(".").predict(photo)[COLUMNS].to_numpy()
    assert np.abs(other - alone).max() > 1e-3
    for name in ("first", first):
        np.testing.assert_array_equal(facemask.load(".", name).predict(photo)[COLUMNS], alone)
    join = combiner.Combiner(
        (combiner.Member("first", first),),
        combiner.Fitted(combiner.Mean((0.25, 0.75)), 0.0, (1 / 18,) * 18, None),
        False,
    )
    ran(folds=2, seed=2, join=join)
    both = facemask.load(".").predict(photo)[COLUMNS].to_numpy()
    np.testing.assert_allclose(both, 0.25 * other + 0.75 * alone, atol=1e-6)
    np.testing.assert_array_equal(facemask.load(tmp_path, second).predict(photo)[COLUMNS], other)
    with pytest.raises(UserError, match="nowhere.*dvc exp show"):
        facemask.load(".", "nowhere")
    with contextlib.chdir("/"), pytest.raises(UserError, match="DVC"):
        facemask.load("/", "first")


def test_all_faces_of_members_with_other_crops_are_refused(write_run, photo, tmp_path):
    model = facemask.load(write_run(tmp_path / "a"))
    other = facemask.load(write_run(tmp_path / "b", change=lambda y: y["face_crop"].update(margin=0.1)))
    model._members = [other]
    model.run = dataclasses.replace(
        model.run,
        combiner=combiner.Combiner(
            (combiner.Member("b", "b"),),
            combiner.Fitted(combiner.Mean((0.5, 0.5)), 0.0, (1 / 18,) * 18, None),
            False,
        ),
    )
    assert len(model.predict(photo)) == 1
    with pytest.raises(UserError, match="face_crop differs"):
        model.predict(photo, faces="all")


def test_an_answer_needs_no_compiler(write_run, repository, tmp_path):
    """Neither torch's compiler nor wandb is imported on the way to an answer, and both can be afterwards."""
    write_run(tmp_path)
    program = """
import sys, facemask
assert "torch" not in sys.modules and "numpy" not in sys.modules
model = facemask.load(".")
import numpy as np
print(len(model.predict(np.zeros((80, 60, 3), np.uint8))))
heavy = ("torch._dynamo", "wandb", "lightning", "albumentations", "ray", "sklearn", "dvc", "matplotlib")
print([name for name in heavy if name in sys.modules])
import torch._dynamo.utils
print(torch._dynamo.utils.counters is not None, torch.compiler.disable.__module__)
"""
    command = [sys.executable, "-c", program]
    ended = subprocess.run(
        command,
        cwd=tmp_path,
        env=os.environ | {"PYTHONPATH": str(repository)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.stdout.splitlines() == ["1", "[]", "True torch.compiler"], ended.stderr
