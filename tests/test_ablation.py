"""The ablation's table: scores, differences and intervals of answers that are known."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from benchmarks import ablation
from benchmarks.ablation import Answers
from facemask.records import classes

PEOPLE, PHOTOS = 30, 18
PLAN = {
    "preset": "realfaces",
    "base": {"train": {"epochs": 2}},
    "notes": "Read it well.",
    "variants": [{"name": name, "title": f"the {name}"} for name in ("worse", "better", "absent", "alone")],
}


def answers(right: float, loss: float, seed: int = 0) -> Answers:
    """Everybody is shown once in each class; of each class this share is answered rightly, else as the next."""
    chance = np.random.default_rng(seed).random((PEOPLE, PHOTOS))
    counts = np.zeros((PEOPLE, PHOTOS, PHOTOS), np.int64)
    for person, truth in np.ndindex(PEOPLE, PHOTOS):
        counts[person, truth, truth if chance[person, truth] < right else (truth + 1) % PHOTOS] = 1
    return Answers(counts, np.stack([np.full(PEOPLE, loss * PHOTOS), np.full(PEOPLE, PHOTOS)], 1))


FOUND = {
    ("base", 1): answers(0.5, 1.0),
    ("base", 2): answers(0.5, 2.0, 1),
    ("better", 1): answers(1.0, 0.25, 2),
    ("better", 2): answers(1.0, 0.75, 3),
    ("worse", 1): answers(0.1, 4.0, 4),
    # Without a base of its seed it has nothing to be compared with.
    ("alone", 3): answers(1.0, 0.1),
}


def test_differences_are_means_over_seeds() -> None:
    shown = ablation.compare(FOUND, "better", [1, 2])
    assert shown["score"][0] == 1
    assert shown["gap"][0] == pytest.approx(1 - ablation.compare(FOUND, "base", [1, 2])["score"][0])
    assert shown["loss"][0] == pytest.approx(0.5)
    assert shown["loss_gap"] == pytest.approx((-1, -1, -1))
    value, low, high = shown["gap"]
    assert 0.3 < low < value < high < 0.7


def test_the_base_differs_from_itself_by_nothing() -> None:
    shown = ablation.compare(FOUND, "base", [1, 2])
    assert shown["gap"] == shown["loss_gap"] == (0, 0, 0)
    assert shown["loss"][0] == pytest.approx(1.5)


def test_the_table_is_ordered_by_score_and_leaves_out_what_cannot_be_compared() -> None:
    text = ablation.report(FOUND, PLAN)
    rows = re.findall(
        r"^\| the (\w+) \| (\d) \| ([\d.]+) \| ([+-][\d.]+) \| .* \| ([+-][\d.]+) \|", text, re.MULTILINE
    )
    assert [(name, seeds, loss) for name, seeds, _, _, loss in rows] == [
        ("better", "2", "-1.000"),
        ("worse", "1", "+3.000"),
    ]
    assert f"{PEOPLE} people" in text
    assert "(seeds 1, 2), with a log loss of 1.500 nats a photo" in text
    assert text.endswith("Read it well.\n")


PIPELINE = """\
stages:
  combine:
    cmd: mkdir -p data/combine && cp given.csv data/combine/oof.csv
    deps: [given.csv]
    outs: [data/combine]
"""


@pytest.mark.slow
def test_experiments_whose_answers_are_gone_are_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)

    def dvc(*arguments: str) -> None:
        subprocess.run([sys.executable, "-m", "dvc", *arguments], check=True)

    def experiment(name: str, surest: float) -> None:
        table = np.full((18, 18), (1 - surest) / 17)
        np.fill_diagonal(table, surest)
        rows = pd.DataFrame(table, columns=list(classes.columns()))
        rows = rows.assign(photo=[f"{k}.jpg" for k in range(18)], person=["a", "b"] * 9)
        rows.assign(**{"class": range(18)}).to_csv("given.csv", index=False)
        dvc("exp", "run", "--name", name)

    subprocess.run(["git", "init", "-q"], check=True)
    dvc("init", "-q")
    Path("dvc.yaml").write_text(PIPELINE)
    Path("given.csv").write_text("")
    subprocess.run(["git", "add", "."], check=True)
    subprocess.run(
        ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "commit", "-qm", "start"], check=True
    )
    experiment("base-seed1", 0.9)
    before = set(Path(".dvc/cache").rglob("*.dir"))
    experiment("mild-seed1", 0.8)
    for folder in set(Path(".dvc/cache").rglob("*.dir")) - before:
        folder.unlink()
    found = ablation._collect(tmp_path)
    assert list(found) == [("base", 1)]
    assert found["base", 1].losses[:, 0] == pytest.approx(-9 * np.log(0.9))
    assert "mild-seed1: left out: " in capsys.readouterr().err
