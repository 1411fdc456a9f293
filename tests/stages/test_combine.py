"""Folds and past experiments become one table that evaluates like a single model's."""

from __future__ import annotations

import json
import shutil
import subprocess
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from dvc.repo import Repo

from facemask.ensemble import combiner
from facemask.records import classes, tables
from facemask.runtime import files
from facemask.runtime.errors import UserError
from facemask.scoring import metrics
from facemask.settings import params, recipes
from stages import combine

pytestmark = pytest.mark.slow

COLUMNS = list(classes.columns())
SOFT = params.SoftVote(kind="soft")
WEIGHTED = params.WeightedVote(kind="weighted")
STACKING = params.Stacking(kind="stacking", c=1.0)
NONE = recipes.Nothing(kind="none")
ONE = params.Temperature(kind="temperature")
TUNED = params.AdjustTuned(kind="tuned", taus=(0.0, 0.5, 1.0))
DAG = 'stages:\n  combine:\n    cmd: "true"\n    outs:\n    - data/combine\n'


def manifest(*, people: int = 45, holdout: int = 9) -> pd.DataFrame:
    rows = [
        {
            "photo": f"train/images/{index:06d}/{kind}.jpg",
            "person": f"{index:06d}",
            "kind": kind,
            "set": "labelled",
        }
        | {"age": (20, 45, 60)[index % 3], "class": mask * 6 + index // 3 % 2 * 3 + index % 3}
        | {"split": "holdout" if index < holdout else "train", "fold": -1 if index < holdout else index % 4}
        | {"repeats": int(index >= holdout), "face": "found", "matte": "ok", "status": "ok"}
        | {"cx0": 0.0, "cy0": 0.0, "cx1": 9.0, "cy1": 9.0, "turn": np.nan}
        for index in range(people)
        for kind, mask in (("mask1", 0), ("mask2", 0), ("incorrect_mask", 1), ("normal", 2))
    ]
    frame = pd.DataFrame(rows)
    return frame.assign(target=frame["class"])


class Experiment:
    """One experiment's manifest and folds, written into the current folder."""

    def __init__(self, *, skill: float, seed: int, folds=(0, 1, 2, 3), unlabelled="none", pool="eval"):
        self.rows, self.folds = manifest(), folds
        rng = np.random.default_rng(seed)
        self.tables: dict[tuple[int, str], pd.DataFrame] = {}
        for fold in folds:
            for name, chosen in (
                ("oof", self.rows["fold"] == fold),
                ("holdout", self.rows["split"] == "holdout"),
            ):
                part = self.rows[chosen].reset_index(drop=True)
                odds = np.exp(rng.normal(size=(len(part), 18)) + skill * np.eye(18)[part["class"]])
                shown = pd.DataFrame(odds / odds.sum(1, keepdims=True), columns=COLUMNS)
                self.tables[fold, name] = pd.concat([part[["photo", "person", "class"]], shown], axis=1)
        self.recipe = {"unlabelled": {"kind": unlabelled}, "pool": pool}

    def run(self, how=SOFT, adjust=NONE, members=(), calibrate=NONE) -> dict:
        shutil.rmtree("models", ignore_errors=True)
        tables.write(Path("manifest/manifest.csv"), self.rows, tables.MANIFEST)
        for (fold, name), frame in self.tables.items():
            folder = Path(f"models/fold{fold}")
            tables.write(folder / f"{name}.csv", frame, tables.PROBABILITIES)
            said = {"prior": [1 / 18] * 18, "recipe": self.recipe}
            files.write_sealed(folder / "model.json", said)
        combine.run(
            params.Combine(members=members, how=how, adjust=adjust, calibrate=calibrate),
            params.Folds(folds=self.folds),
            models=Path("models"),
            manifest=Path("manifest"),
            out=Path("data/combine"),
        )
        return json.loads(Path("data/combine/about.json").read_text(), parse_constant=pytest.fail)

    def all(self, name: str) -> pd.DataFrame:
        return pd.concat([self.tables[fold, name] for fold in self.folds])


def read(name: str) -> pd.DataFrame:
    return pd.read_csv(f"data/combine/{name}.csv", dtype={"person": str})


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return tmp_path


@pytest.fixture(scope="module")
def saved(tmp_path_factory, start_project) -> Path:
    """A repository with the experiments `good`, and `peeking`, which learnt from the eval photos."""
    folder = tmp_path_factory.mktemp("combine") / "repository"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        start_project(DAG, "/data\n/models\n/manifest\n")
        for name, made in (
            ("good", Experiment(skill=4.0, seed=1)),
            ("peeking", Experiment(skill=2.0, seed=2, unlabelled="uda")),
            ("halves", Experiment(skill=2.0, seed=3, folds=(0, 1))),
        ):
            made.run()
            with Repo(".") as repo:
                repo.experiments.save(name=name, include_untracked=["dvc.lock"], force=True)
    return folder


@pytest.fixture
def repository(saved, tmp_path, monkeypatch) -> Path:
    folder = tmp_path / "repository"
    shutil.copytree(saved, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    return folder


def test_alone_out_of_fold_rows_are_the_folds_and_the_hold_out_their_mean(here):
    made = Experiment(skill=2.0, seed=0)
    report = made.run()
    expected = made.all("oof").sort_values("photo")
    found = read("oof")
    assert found["photo"].tolist() == expected["photo"].tolist()
    np.testing.assert_allclose(found[COLUMNS], expected[COLUMNS], atol=2e-6)
    mean = made.all("holdout").groupby("photo")[COLUMNS].mean()
    np.testing.assert_allclose(read("holdout")[COLUMNS], mean, atol=2e-6)
    scores = metrics.score(expected[COLUMNS].to_numpy(), expected["class"])
    assert report["oof"] == report["members"]["this"]["oof"] == pytest.approx(scores, abs=1e-4)
    assert report["members"]["this"]["weight"] == 1.0
    assert report["eval_photos_used"] is False


def test_the_same_bytes_again(here):
    made = Experiment(skill=2.0, seed=0)
    made.run(STACKING, TUNED)
    before = {path.name: path.read_bytes() for path in Path("data/combine").iterdir()}
    assert set(before) == {"oof.csv", "holdout.csv", "combiner.json", "about.json"}
    made.run(STACKING, TUNED)
    assert before == {path.name: path.read_bytes() for path in Path("data/combine").iterdir()}


def test_calibration_keeps_answers_and_leaves_what_was_there_before(here):
    made = Experiment(skill=2.0, seed=0)
    made.run()
    plain = {name: read(name) for name in ("oof", "holdout")}
    assert not Path("data/combine/uncalibrated").exists()
    report = made.run(calibrate=ONE)
    for name, before in plain.items():
        pd.testing.assert_frame_equal(read(f"uncalibrated/{name}"), before)
        after = read(name)
        assert np.abs(after[COLUMNS] - before[COLUMNS]).max(axis=None) > 0.01
        assert np.array_equal(after[COLUMNS].to_numpy().argmax(1), before[COLUMNS].to_numpy().argmax(1))
    fitted = combiner.read(Path("data/combine/combiner.json")).fitted.calibration
    assert report["calibration"] == {"temperature": fitted.temperature}
    mean = made.all("holdout").groupby("photo")[COLUMNS].mean()
    np.testing.assert_allclose(read("holdout")[COLUMNS], fitted(mean.to_numpy()), atol=2e-6)


def test_nobody_held_out_gives_an_empty_table(here):
    made = Experiment(skill=2.0, seed=0)
    made.rows = made.rows[made.rows["split"] == "train"]
    for fold in made.folds:
        made.tables[fold, "holdout"] = made.tables[fold, "holdout"].iloc[:0]
    assert "holdout" not in made.run(WEIGHTED)
    assert len(read("holdout")) == 0


@pytest.mark.parametrize(("how", "calibrate"), [(WEIGHTED, NONE), (STACKING, NONE), (SOFT, ONE)])
def test_what_is_fitted_is_scored_on_other_folds_than_it_was_fitted_on(here, how, calibrate):
    """The labels of fold 1 may change the rows of all folds but their own."""
    made = Experiment(skill=1.0, seed=0)
    made.run(how, TUNED, calibrate=calibrate)
    before = read("oof")
    ours = made.rows["fold"] == 1
    for frame, chosen in ((made.rows, ours), (made.tables[1, "oof"], slice(None))):
        frame.loc[chosen, "class"] = 17 - frame.loc[chosen, "class"]
    made.run(how, TUNED, calibrate=calibrate)
    own = before["photo"].isin(made.rows["photo"][ours])
    assert np.array_equal(before[own][COLUMNS], read("oof")[own][COLUMNS])


def test_a_past_experiment_answers_beside_this_one(repository):
    made = Experiment(skill=2.0, seed=0)
    report = made.run(members=("good",))
    both = [one.all("oof").set_index("photo")[COLUMNS] for one in (made, Experiment(skill=4.0, seed=1))]
    expected = (both[0] + both[1]) / 2
    found = read("oof").set_index("photo")[COLUMNS]
    np.testing.assert_allclose(found, expected.loc[found.index], atol=2e-6)
    assert len(read("holdout")) == 36
    commit = subprocess.run(
        ["git", "for-each-ref", "--format=%(objectname)", "refs/exps/*/*/good"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout.strip()
    assert combiner.read(Path("data/combine/combiner.json")).members == (combiner.Member("good", commit),)
    assert report["members"]["good"]["oof"]["macro_f1"] > report["members"]["this"]["oof"]["macro_f1"]


def test_weights_favour_the_better_experiment_and_help(repository):
    made = Experiment(skill=1.0, seed=0)
    report = made.run(WEIGHTED, members=("good", "peeking"))
    weights = {name: one["weight"] for name, one in report["members"].items()}
    assert list(weights) == ["this", "good", "peeking"]
    assert weights["good"] == max(weights.values())
    for part in ("oof", "holdout"):
        assert report[part]["macro_f1"] >= report["members"]["this"][part]["macro_f1"]


def test_an_ensemble_can_be_a_member(repository):
    Experiment(skill=1.0, seed=0).run(members=("good", "peeking"))
    with Repo(".") as repo:
        repo.experiments.save(name="both", include_untracked=["dvc.lock"], force=True)
    report = Experiment(skill=1.0, seed=4).run(members=("both",))
    # It answers with what two members and itself made together, and passes on what one of them did.
    assert report["eval_photos_used"] is True
    assert report["members"]["both"]["oof"]["macro_f1"] > report["members"]["this"]["oof"]["macro_f1"]


def test_eval_photos_used_by_a_member_are_told(repository):
    assert Experiment(skill=1.0, seed=0).run(members=("good",))["eval_photos_used"] is False
    assert Experiment(skill=1.0, seed=0).run(members=("good", "peeking"))["eval_photos_used"] is True
    assert combiner.read(Path("data/combine/combiner.json")).eval_photos_used


@pytest.mark.parametrize("unlabelled", ["none", "self_training", "uda"])
@pytest.mark.parametrize("pool", ["eval", "unlabelled"])
def test_eval_photos_are_used_where_the_pool_is_theirs_and_is_learnt_from(here, unlabelled, pool):
    used = unlabelled != "none" and pool == "eval"
    report = Experiment(skill=1.0, seed=0, unlabelled=unlabelled, pool=pool).run()
    assert report["eval_photos_used"] is used
    assert combiner.read(Path("data/combine/combiner.json")).eval_photos_used is used


@pytest.mark.parametrize(
    ("member", "told"),
    [
        ("nowhere", "combine.members: .*'nowhere'"),
        ("HEAD", r"HEAD \(.*it has no data/combine/oof\.csv; stage combine writes it"),
        ("halves", "halves has no honest answer for 72 of 144 photos"),
    ],
)
def test_members_that_cannot_answer_are_told_in_one_line(repository, member, told):
    shutil.rmtree("data")
    with pytest.raises(UserError, match=told) as caught:
        Experiment(skill=1.0, seed=0).run(members=("good", member))
    assert "\n" not in str(caught.value)
    assert not Path("data").exists()


def test_a_fold_without_model_json_is_told(here):
    made = Experiment(skill=1.0, seed=0)
    made.run()
    Path("models/fold2/model.json").unlink()
    with pytest.raises(UserError, match=r"fold2: no model\.json; run `dvc repro train`"):
        combine.run(
            params.Combine(members=(), how=SOFT, adjust=NONE, calibrate=NONE),
            params.Folds(folds=made.folds),
            models=Path("models"),
            manifest=Path("manifest"),
            out=Path("out"),
        )
    assert not Path("out").exists()
