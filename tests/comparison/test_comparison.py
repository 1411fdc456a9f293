"""Revisions compared: rows both scored, what could not be compared, and how it is told."""

from __future__ import annotations

import html.parser
import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from dvc.repo import Repo

from facemask.commands import compare as command
from facemask.comparison import pages, revisions
from facemask.comparison.comparison import compare
from facemask.pixels import archive, codec
from facemask.records import classes, tables
from facemask.runtime.errors import UserError
from facemask.scoring import predictions
from facemask.settings import params

pytestmark = pytest.mark.slow

CFG = params.Evaluate(bootstrap=100, confidence=0.95, calibration_bins=15)
COLUMNS = list(classes.columns())
NASTY = "홍길동 <script>alert(1)</script> | *x* @all"
DAG = """\
stages:
  combine:
    cmd: "true"
    outs:
    - data/combine
  build_manifest:
    cmd: "true"
    outs:
    - data/build_manifest/labelled
"""


def rows(people: int = 12) -> pd.DataFrame:
    frame = pd.DataFrame(
        {"photo": f"train/images/{person}/{kind}.jpg", "person": person, "class": mask * 6 + index % 6}
        | {"fold": index % 3, "split": "train"}
        for index, person in enumerate([NASTY, *(f"{number:06d}" for number in range(1, people))])
        for mask, kind in enumerate(("mask1", "incorrect_mask", "normal"))
    )
    return frame.sort_values("photo", ignore_index=True)


def write(
    whole: pd.DataFrame, *, skill: float = 1.5, seed: int = 0, folds=(0, 1, 2), **changed: object
) -> None:
    """Leave in the current folder what build_manifest and combine leave there, and params."""
    odds = np.exp(
        np.random.default_rng(seed).normal(size=(len(whole), 18)) + skill * np.eye(18)[whole["class"]]
    )
    table = pd.DataFrame(odds / odds.sum(1, keepdims=True), columns=COLUMNS)
    joined = pd.concat([whole[["photo", "person", "class"]], table], axis=1)[whole["fold"].isin(folds)]
    tables.write(Path("data/combine/oof.csv"), joined, predictions.COMBINED)
    Path("data/build_manifest/labelled").mkdir(parents=True, exist_ok=True)
    whole[["photo", "person", "fold"]].to_csv("data/build_manifest/labelled/manifest.csv", index=False)
    content = yaml.safe_load(Path("params.yaml").read_text())
    content["seed"] = changed.pop("seed_", 20)
    content["train"] |= changed
    Path("params.yaml").write_text(yaml.safe_dump(content, sort_keys=False))


def save(name: str) -> None:
    with Repo(".") as repo:
        repo.experiments.save(name=name, include_untracked=["dvc.lock", "params.yaml"], force=True)


@pytest.fixture(scope="module")
def saved(tmp_path_factory, start_project, repository) -> Path:
    folder = tmp_path_factory.mktemp("compare") / "repository"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        shutil.copy(repository / "params.yaml", "params.yaml")
        start_project(DAG, "/data\n")
        write(rows(), seed=1)
        save("main-run")
        for seed in (2, 3, 4):
            write(rows(), seed=seed, skill=1.6, lr=0.001, seed_=seed)
            save(f"seed-{seed}")
        write(rows(), seed=5, skill=6.0, lr=0.01)
    return folder


@pytest.fixture
def here(saved, tmp_path, monkeypatch) -> Path:
    """A repository with four experiments, and a workspace that is far better than they."""
    folder = tmp_path / "repository"
    shutil.copytree(saved, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return folder


def told(*names: str, seeds: int = 1):
    first, *second = (revisions.read(name) for name in names)
    return compare(first, second, CFG, seed=1)


def test_a_revision_is_read_without_checking_out(here):
    before = {path: path.read_bytes() for path in Path("data").rglob("*") if path.is_file()}
    head = subprocess.check_output(["git", "rev-parse", "HEAD"])
    found = told("main-run", "workspace")
    assert (found.people, found.photos) == (12, 36)
    assert found.scores["macro_f1"].value > 0.1
    assert [(knob.key, knob.before, knob.after) for knob in found.knobs] == [("train.lr", 0.004, 0.01)]
    assert before == {path: path.read_bytes() for path in Path("data").rglob("*") if path.is_file()}
    assert head == subprocess.check_output(["git", "rev-parse", "HEAD"])


def test_rows_that_one_side_scored_alone_are_left_out_and_told(here):
    write(rows(), seed=5, folds=(0, 1))
    found = told("main-run", "workspace")
    assert (found.people, found.photos) == (8, 24)
    assert any("12 photos of 4 people were scored by main-run" in note for note in found.notes)


def test_other_folds_are_told(here):
    moved = rows()
    moved["fold"] = (moved["fold"] + (moved["person"] == "000003")) % 3
    write(moved, seed=5)
    assert any(
        note.startswith("1 of 12 people are in another fold") for note in told("main-run", "workspace").notes
    )


def test_label_fixes_count_for_both_sides(here):
    fixed = rows()
    ours = fixed["person"] == "000003"
    fixed.loc[ours, "class"] = fixed.loc[ours, "class"] // 6 * 6 + 5
    write(fixed, seed=1)
    found = told("main-run", "workspace")
    assert any("3 photos of 1 people have another label in workspace" in note for note in found.notes)
    # Scored by the same labels, answers for the other people are the same.
    assert {flip.person for flip in found.flips} <= {"000003"}


def test_nothing_in_common_is_told(here):
    other = rows().assign(photo=lambda frame: "other/" + frame["photo"])
    write(other, seed=5)
    with pytest.raises(UserError, match="no photo was scored by both main-run .* other data sets"):
        told("main-run", "workspace")
    namesakes = rows().assign(**{"class": lambda frame: (frame["class"] + 1) % 18})
    write(namesakes, seed=5)
    with pytest.raises(UserError, match="know other people"):
        told("main-run", "workspace")


def test_what_is_not_in_the_cache_is_told_with_its_remedy(here):
    for path in (here / ".dvc/cache/files/md5").rglob("*"):
        if path.is_file():
            path.unlink()
    with pytest.raises(
        UserError, match=r"compare: main-run .*dvc exp pull REMOTE main-run.*dvc fetch"
    ) as caught:
        told("main-run", "workspace")
    assert "\n" not in str(caught.value)


def test_a_name_that_means_nothing_is_told(here):
    with pytest.raises(UserError, match="compare: .*'nowhere'.*dvc exp show"):
        revisions.read("nowhere")
    with pytest.raises(UserError, match=r"HEAD \(.*it has no data/combine/oof\.csv"):
        revisions.read("HEAD")


def test_flips_are_the_photos_that_one_side_alone_got_right(here):
    found = told("main-run", "workspace")
    first, second = (revisions.read(name).rows for name in ("main-run", "workspace"))
    right = {
        name: side[COLUMNS].to_numpy().argmax(1) == side["class"]
        for name, side in (("a", first), ("b", second))
    }
    assert {flip.photo for flip in found.flips if flip.better} == set(first.index[~right["a"] & right["b"]])
    assert {flip.photo for flip in found.flips if not flip.better} == set(
        first.index[right["a"] & ~right["b"]]
    )


def test_seeds_of_one_recipe_are_pooled_and_other_recipes_refused(here):
    found = told("main-run", "seed-2", "seed-3", "seed-4")
    assert found.scores["log_loss"].seeds == 3
    alone = [told("main-run", f"seed-{k}").scores["log_loss"].value for k in (2, 3, 4)]
    assert found.scores["log_loss"].value == pytest.approx(np.mean(alone))
    assert "over seeds" in pages.markdown(found)
    with pytest.raises(
        UserError, match=r"workspace differs from seed-2 .* in train\.lr, not in its seed alone"
    ):
        told("main-run", "seed-2", "workspace")


def test_a_difference_beyond_chance_is_called_so_and_chance_is_called_chance(here):
    far, near = told("main-run", "workspace"), told("seed-2", "seed-3")
    assert far.sentences[0].startswith("Better by")
    assert "more than chance" in far.sentences[0]
    assert "within chance" in near.sentences[0]
    assert "more people would be needed" in near.sentences[0] or "people can tell" in near.sentences[0]


class Tags(html.parser.HTMLParser):
    """Names of elements, and addresses that a page would load."""

    def __init__(self, page: str) -> None:
        super().__init__()
        self.names: list[str] = []
        self.loaded: list[str] = []
        self.text = ""
        self.feed(page)

    def handle_starttag(self, tag, attrs):
        self.names.append(tag)
        self.loaded += [value for name, value in attrs if name in ("src", "href") and value]

    def handle_data(self, data):
        self.text += data


def test_the_page_is_self_contained_and_shows_names_as_text(here):
    flip = np.full((64, 48, 3), 90, np.uint8)
    found = told("main-run", "workspace")
    names = [row.photo for row in found.flips]
    archive.write(Path("crops.zip"), {f"{name}.jpg": codec.encode_jpeg(flip) for name in names[1:]})
    page = Tags(pages.page(found, Path("crops.zip")))
    assert "script" not in page.names
    assert page.names.count("img") == len(names) - 1
    assert page.loaded
    assert all(address.startswith("data:image/jpeg;base64,") for address in page.loaded)
    assert "not in this workspace" in page.text
    assert pages.page(found, Path("crops.zip")) == pages.page(found, Path("crops.zip"))
    for name in names:
        assert name in page.text


def test_markdown_names_no_photo_and_escapes_values(here):
    write(rows(), seed=5, skill=6.0, lr=0.01, precision="a|b <img src=x> @all `c`")
    text = pages.markdown(told("main-run", "workspace"))
    assert "train/images" not in text
    row = next(line for line in text.splitlines() if "train.precision" in line)
    assert "<img" not in row
    assert "@" not in row
    assert row.replace("\\|", "").count("|") == 4


def test_the_command_prints_each_form_and_writes_the_page(here, monkeypatch):
    text = command.run("main-run", None, [], form="text", page=Path("page.html"))
    assert "page: page.html" in text
    assert Path("page.html").read_text().startswith("<!DOCTYPE html>")
    found = json.loads(command.run("main-run", "seed-2", ["seed-3"], form="json", page=None))
    assert found["scores"]["macro_f1"]["seeds"] == 2
    assert (found["power"], found["level"]) == (0.8, 0.05)
    assert command.run("main-run", "seed-2", [], form="markdown", page=None).startswith("### seed")
