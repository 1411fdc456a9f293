"""Past experiments: their answers come from the commit that was meant, and what cannot be had is told in one line."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dvc.repo import Repo

from facemask.ensemble import combiner, experiments
from facemask.ensemble.combiner import Combiner, Fitted, Mean
from facemask.records import classes
from facemask.runtime import files
from facemask.runtime.errors import UserError
from facemask.scoring import predictions
from facemask.scoring.predictions import Predictions
from facemask.submission import submission

PEOPLE = [f"{number:06d}" for number in range(8)]
IMAGES = pd.Series(["b.jpg", "a.jpg", "007.jpg"])
DAG = """\
stages:
  combine:
    cmd: "true"
    outs:
    - data/combine
  infer:
    cmd: "true"
    outs:
    - data/infer
"""


def manifest(held: int = 2) -> pd.DataFrame:
    rows = [
        {"photo": f"{person}/{kind}.jpg", "person": person, "class": (index * 3 + mask * 6) % 18}
        | {"split": "holdout" if index < held else "train", "fold": -1 if index < held else index % 3}
        | {"status": "ok"}
        for index, person in enumerate(PEOPLE)
        for mask, kind in enumerate(("mask1", "incorrect_mask", "normal"))
    ]
    return pd.DataFrame(rows)


def split(rows: pd.DataFrame, seed: int = 0) -> Predictions:
    rows = rows.sort_values("photo")
    table = np.random.default_rng(seed).dirichlet(np.ones(18), len(rows))
    person, _ = pd.factorize(rows["person"])
    return Predictions(rows["photo"].tolist(), person.astype(np.int64), rows["class"].to_numpy(), table)


def write(rows: pd.DataFrame, seed: int, *, used: bool = False, images: pd.Series = IMAGES) -> None:
    """Leave in the current folder what combine and infer leave there."""
    for name, part in (("oof", "train"), ("holdout", "holdout")):
        chosen = rows[rows["split"] == part]
        predictions.write(Path(f"data/combine/{name}.csv"), split(chosen, seed), rows)
    whole = Combiner((), Fitted(Mean((1.0,)), 0.0, (1 / 18,) * 18, None), used)
    files.write_json(Path("data/combine/combiner.json"), whole.to_json())
    eval_table = np.random.default_rng(seed + 100).dirichlet(np.ones(18), len(images))
    submission.write(Path("data/infer"), images, eval_table)
    files.write_json(Path("data/infer/about.json"), {"eval_photos_used": used})


def save(name: str) -> None:
    with Repo(".") as repo:
        repo.experiments.save(name=name, include_untracked=["dvc.lock"], force=True)


@pytest.fixture(scope="module")
def saved(tmp_path_factory, start_project) -> Path:
    """A repository with the experiments alpha and beta (which used the eval photos), and an empty branch."""
    folder = tmp_path_factory.mktemp("experiments") / "repository"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        start_project(DAG, "/data\n")
        subprocess.run(["git", "branch", "empty"], check=True)
        for seed, name in enumerate(("alpha", "beta")):
            write(manifest(), seed, used=name == "beta")
            save(name)
    return folder


@pytest.fixture
def repository(saved, tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "repository"
    shutil.copytree(saved, folder)
    # As in an experiment in a temporary folder: outputs go there, experiments are those of the main checkout.
    monkeypatch.setenv("DVC_ROOT", str(folder))
    (tmp_path / "elsewhere").mkdir()
    monkeypatch.chdir(tmp_path / "elsewhere")
    return folder


@pytest.mark.slow
def test_honest_answers_are_those_of_the_experiment_in_the_order_asked_for(repository):
    rows = manifest()
    (alpha,), (beta,) = (experiments.resolve((name,)) for name in ("alpha", "beta"))
    asked = split(rows[rows["split"] == "train"].iloc[::-1], 0)
    np.testing.assert_allclose(experiments.load(alpha).honest(asked, rows), asked.probabilities, atol=1e-6)
    assert np.abs(experiments.load(beta).honest(asked, rows) - asked.probabilities).max() > 0.01


@pytest.mark.slow
def test_its_hold_out_may_be_among_our_folds_and_the_other_way_round(repository):
    (alpha,) = experiments.resolve(("alpha",))
    rows = manifest(held=4)
    for part in ("train", "holdout"):
        asked = split(rows[rows["split"] == part])
        assert experiments.load(alpha).honest(asked, rows).shape == asked.probabilities.shape


def test_eval_answers_stand_in_the_order_of_our_ids(repository):
    (alpha,) = experiments.resolve(("alpha",))
    expected = np.random.default_rng(100).dirichlet(np.ones(18), 3)
    np.testing.assert_allclose(experiments.answers(alpha, IMAGES[::-1])[0], expected[::-1], atol=1e-6)


def test_an_experiment_says_whether_it_used_the_eval_photos(repository):
    assert [experiments.load(m).eval_photos_used for m in experiments.resolve(("alpha", "beta"))] == [
        False,
        True,
    ]


def test_names_branches_and_commits_mean_a_commit(repository):
    (alpha,) = experiments.resolve(("alpha",))
    assert len(alpha.commit) == 40
    assert experiments.resolve((alpha.commit[:8],))[0].commit == alpha.commit
    subprocess.run(["git", "-C", repository, "branch", "good", alpha.commit], check=True)
    assert experiments.resolve(("good",)) == (combiner.Member("good", alpha.commit),)


def test_a_pinned_commit_stays_when_its_branch_moves_on(repository):
    commits = [member.commit for member in experiments.resolve(("alpha", "beta"))]
    subprocess.run(["git", "-C", repository, "branch", "moving", commits[0]], check=True)
    (pinned,) = experiments.resolve(("moving",))
    before, used = experiments.answers(pinned, IMAGES)
    assert used is False
    subprocess.run(["git", "-C", repository, "branch", "-f", "moving", commits[1]], check=True)
    assert np.array_equal(experiments.answers(pinned, IMAGES)[0], before)


def test_unknown_names_and_doubles_are_told(repository):
    with pytest.raises(UserError, match="combine.members: .*gamma.*dvc exp show"):
        experiments.resolve(("alpha", "gamma"))
    (alpha,) = experiments.resolve(("alpha",))
    with pytest.raises(UserError, match="alpha and .* are the same commit"):
        experiments.resolve(("alpha", alpha.commit))


def test_no_repository_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("DVC_ROOT", str(tmp_path))
    with pytest.raises(UserError, match="combine.members: .*DVC repository"):
        experiments.resolve(("alpha",))
    assert experiments.resolve(()) == ()


def test_an_experiment_that_never_ran_the_stage_is_told(repository):
    (empty,) = experiments.resolve(("empty",))
    with pytest.raises(
        UserError, match=r"empty \(.*it has no data/infer/probabilities\.csv; stage infer writes it"
    ):
        experiments.answers(empty, IMAGES)


@pytest.mark.parametrize("lost", ["all", "files"])
def test_outputs_that_are_not_in_the_cache_are_told(repository, lost):
    (alpha,) = experiments.resolve(("alpha",))
    cache = repository / ".dvc" / "cache" / "files" / "md5"
    for path in cache.rglob("*"):
        if path.is_file() and (lost == "all" or path.suffix != ".dir"):
            path.unlink()
    with pytest.raises(UserError, match=r"alpha \(.* in DVC's cache") as caught:
        experiments.load(alpha)
    assert "\n" not in str(caught.value)


@pytest.mark.slow
def test_a_photo_without_an_honest_answer_is_told(repository, monkeypatch):
    monkeypatch.chdir(repository)
    rows = manifest()
    write(rows[rows["fold"] != 1], 3)
    save("two-folds")
    (member,) = experiments.resolve(("two-folds",))
    asked = split(rows[rows["split"] == "train"])
    with pytest.raises(UserError, match=r"two-folds has no honest answer for 6 of 18 photos.*train\.folds"):
        experiments.load(member).honest(asked, rows)


@pytest.mark.slow
def test_another_data_set_is_told(repository):
    (alpha,) = experiments.resolve(("alpha",))
    others = manifest().assign(photo=lambda f: "other/" + f["photo"])
    with pytest.raises(UserError, match="alpha answered none of this experiment's photos.*another data set"):
        experiments.load(alpha).honest(split(others), others)
    namesakes = manifest().assign(**{"class": lambda f: (f["class"] + 1) % 18})
    with pytest.raises(UserError, match="alpha knows other people"):
        experiments.load(alpha).honest(split(namesakes), namesakes)
    with pytest.raises(UserError, match=r"alpha did not answer 1 of 4 eval photos, such as 'new\.jpg'"):
        experiments.answers(alpha, pd.concat([IMAGES, pd.Series(["new.jpg"])]))


def test_a_few_corrected_labels_are_no_other_data_set(repository):
    (alpha,) = experiments.resolve(("alpha",))
    rows = manifest()
    rows.loc[0, "class"] = (rows.loc[0, "class"] + 1) % 18
    asked = split(rows)
    assert experiments.load(alpha).honest(asked, rows).shape == (len(rows), classes.COUNT)
