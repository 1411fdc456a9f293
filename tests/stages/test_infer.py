"""Answers for the eval photos: this experiment's and those of past ones, combined as combine decided."""

from __future__ import annotations

import hashlib
import json
import shutil
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
from dvc.api import DVCFileSystem
from dvc.repo import Repo

from facemask.ensemble import combiner, experiments
from facemask.ensemble.combiner import Combiner, Fitted, Mean
from facemask.ensemble.temperature import Single
from facemask.records import classes, tables
from facemask.runtime import files
from facemask.runtime.errors import UserError
from facemask.scoring import metrics, predictions
from facemask.settings import params, recipes
from facemask.submission import answering, log, submission
from stages import infer

pytestmark = pytest.mark.slow

IMAGES = [f"{number:03d}.jpg" for number in range(6)]
PRIOR = np.linspace(1, 2, 18) / np.linspace(1, 2, 18).sum()
CFG = params.Infer(
    views=(params.Identity(kind="identity"), params.Flip(kind="hflip")),
    average="logits",
    batch_size=4,
    precision="bf16",
    compile=True,
    log=False,
    consensus=recipes.Nothing(kind="none"),
)
DAG = 'stages:\n  infer:\n    cmd: "true"\n    outs:\n    - data/infer\n'
OURS = np.random.default_rng(0).dirichlet(np.ones(18), 6)
THEIRS = np.random.default_rng(1).dirichlet(np.ones(18), 6)


@pytest.fixture(scope="module")
def saved(tmp_path_factory, start_project) -> Path:
    folder = tmp_path_factory.mktemp("infer") / "repository"
    folder.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.delenv("DVC_ROOT", raising=False)
        start_project(DAG, "/data\n")
        answers = submission.write(Path("data/infer"), pd.Series(IMAGES), THEIRS)
        files.write_json(Path("data/infer/about.json"), {"answers": answers})
        with Repo(".") as repo:
            repo.experiments.save(name="past", include_untracked=["dvc.lock"])
        # Experiments leave the workspace as a new one would find it.
        shutil.rmtree("data")
    return folder


@pytest.fixture
def repository(saved, tmp_path, monkeypatch) -> Path:
    """The repository with a manifest of six eval photos whose class nobody knows; networks answer ``OURS``."""
    folder = tmp_path / "repository"
    shutil.copytree(saved, folder)
    monkeypatch.chdir(folder)
    monkeypatch.delenv("DVC_ROOT", raising=False)
    manifest = pd.DataFrame(
        {"photo": IMAGES, "set": "eval", "image_id": IMAGES, "face": "found", "matte": "ok", "status": "ok"}
        | dict.fromkeys(("cx0", "cy0"), 0.0)
        | dict.fromkeys(("cx1", "cy1"), 9.0)
        | {"turn": np.nan}
    )
    manifest.loc[2, "status"] = "unreadable"
    tables.write(Path("manifest/manifest.csv"), manifest, tables.UNLABELLED_MANIFEST)
    know({})
    loaded = SimpleNamespace(recipe=SimpleNamespace(image=None), prior=PRIOR, model=None)
    monkeypatch.setattr(answering.checkpoints, "load", lambda path: loaded)
    monkeypatch.setattr(infer.reader, "rows", lambda table: table["photo"].tolist())
    monkeypatch.setattr(answering.reader, "PhotoReader", lambda *_: SimpleNamespace(read=lambda row: row))

    def answered(models, chunks, views, average, *, precision, compiled):
        assert (views, average) == (CFG.views, CFG.average)
        assert (precision, compiled) == (CFG.precision, CFG.compile)
        return OURS[[IMAGES.index(photo) for chunk in chunks for photo in chunk]]

    monkeypatch.setattr(answering, "predict", answered)
    return folder


def know(classes_of: dict[str, int]) -> None:
    """Tell the classes of these photos and no others."""
    rows = pd.DataFrame(classes_of.items(), columns=["ImageID", "ans"])
    tables.write(Path("answers.csv"), rows, tables.ANSWERS)


def read(path: str) -> dict:
    return json.loads(Path(path).read_text(), parse_constant=pytest.fail)


def run(
    names: tuple[str, ...] = (),
    weights: tuple[float, ...] = (1.0,),
    *,
    members: tuple[combiner.Member, ...] = (),
    used: bool = False,
    cfg: params.Infer = CFG,
    **changes: object,
) -> np.ndarray:
    found = members or experiments.resolve(names)
    plain = {"rule": Mean(weights), "tau": 0.0, "prior": tuple(PRIOR.tolist()), "calibration": None}
    whole = Combiner(found, Fitted(**plain | changes), used)
    files.write_json(Path("combine/combiner.json"), whole.to_json())
    infer.run(
        cfg,
        params.Folds(folds=(0,)),
        engine="local",
        manifest=Path("manifest"),
        faces=Path("faces"),
        mattes=Path("mattes"),
        models=Path("models"),
        combined=Path("combine"),
        known=Path("answers.csv"),
        out=Path("data/infer"),
        scores=Path("metrics/eval.json"),
    )
    written = tables.read(Path("data/infer/probabilities.csv"), tables.EVAL_PROBABILITIES)
    assert written["ImageID"].tolist() == IMAGES
    return written[list(classes.columns())].to_numpy()


def test_past_answers_are_combined_with_ours_and_unreadable_photos_get_the_prior(repository):
    expected = 0.25 * OURS + 0.75 * THEIRS
    expected[2] = PRIOR
    np.testing.assert_allclose(run(("past",), (0.25, 0.75)), expected, atol=2e-6)
    about = read("data/infer/about.json")
    assert (about["photos"], about["unreadable"]) == (6, 1)


def test_logit_adjustment_reaches_the_answers(repository):
    expected = OURS / PRIOR
    expected /= expected.sum(1, keepdims=True)
    expected[2] = PRIOR
    np.testing.assert_allclose(run(tau=1.0), expected, atol=2e-6)


def test_calibration_reaches_the_probabilities_and_not_the_answers(repository):
    plain = run()
    before = read("data/infer/about.json")["answers"]
    sharper = run(calibration=Single(0.5))
    readable = np.arange(len(IMAGES)) != 2
    expected = OURS**2 / (OURS**2).sum(1, keepdims=True)
    np.testing.assert_allclose(sharper[readable], expected[readable], atol=2e-6)
    assert np.abs(sharper - plain)[readable].max() > 0.05
    assert read("data/infer/about.json")["answers"] == before


def test_answers_are_logged_in_the_main_checkout_where_that_is_asked_for(
    repository, tmp_path, monkeypatch, capsys
):
    monkeypatch.setenv("DVC_ROOT", str(repository))
    elsewhere = tmp_path / "elsewhere"
    shutil.copytree(repository, elsewhere)
    monkeypatch.chdir(elsewhere)
    labelled = pd.DataFrame({"photo": IMAGES, "person": IMAGES, "class": 0})
    labelled[list(classes.columns())] = OURS
    tables.write(Path("combine/oof.csv"), labelled, predictions.COMBINED)
    files.write_json(Path("combine/about.json"), {"oof": {"macro_f1": 0.61, "log_loss": 1.2}})
    Path("params.yaml").write_text("seed: 1\n")
    run()
    assert not list(repository.glob("submissions.csv"))
    asked = CFG.model_copy(update={"log": True})
    run(cfg=asked)
    run(cfg=asked)
    assert "warning: the same answers as the last submission" in capsys.readouterr().err
    run(cfg=asked, tau=3.0)
    rows = log.read(repository)
    assert rows["md5"][1] == hashlib.md5(Path("data/infer/submission.csv").read_bytes()).hexdigest()
    assert rows["oof"].tolist() == [0.61, 0.61]
    assert not Path("submissions.csv").exists()


def test_about_says_where_the_answers_come_from(repository):
    run(("past",), (0.5, 0.5), used=True)
    about = read("data/infer/about.json")
    assert about["members"] == [{"name": "past", "commit": experiments.resolve(("past",))[0].commit}]
    assert about["views"] == [{"kind": "identity"}, {"kind": "hflip"}]
    assert about["average"] == "logits"
    assert about["eval_photos_used"] is True
    run()
    assert read("data/infer/about.json")["eval_photos_used"] is False


def test_without_known_answers_there_are_no_scores(repository):
    run()
    assert read("metrics/eval.json") == {}
    about = read("data/infer/about.json")
    assert about["scored"] == 0
    assert not {*metrics.KEYS, "log_loss"} & set(about)


@pytest.mark.parametrize("known", [[0], [1, 2, 5], [5, 1, 2], range(6)], ids=lambda known: str(list(known)))
def test_exactly_the_photos_whose_class_is_known_are_scored(repository, known):
    """Whatever their order, and unreadable ones too: they were answered."""
    truth = {IMAGES[place]: place * 3 for place in known}
    know(truth | {"of another data set.jpg": 7})
    found = run()[[IMAGES.index(image) for image in truth]]
    expected = metrics.score(found, list(truth.values()))
    scores = read("metrics/eval.json")
    assert list(scores) == ["eval"]
    assert scores["eval"] == pytest.approx(expected["macro_f1"], abs=1e-4)
    about = read("data/infer/about.json")
    assert about["scored"] == len(truth)
    assert {key: about[key] for key in expected} == pytest.approx(expected, abs=1e-4)


def test_right_and_wrong_answers_score_as_they_should(repository):
    called = run().argmax(1)
    know(dict(zip(IMAGES, called.tolist(), strict=True)))
    run()
    right = read("metrics/eval.json")
    know(dict(zip(IMAGES, ((called + 6) % 18).tolist(), strict=True)))
    run()
    wrong = read("metrics/eval.json")
    assert (right, wrong) == ({"eval": 1}, {"eval": 0})


def test_known_answers_change_no_answer_and_equal_answers_have_one_hash(repository):
    run()
    before = {name: Path("data/infer", name).read_bytes() for name in ("submission.csv", "probabilities.csv")}
    ours = read("data/infer/about.json")["answers"]
    know(dict.fromkeys(IMAGES, 3))
    run()
    assert before == {name: Path("data/infer", name).read_bytes() for name in before}
    assert read("data/infer/about.json")["answers"] == ours
    run(("past",), (0.0, 1.0))
    assert read("data/infer/about.json")["answers"] != ours


def test_a_member_that_alone_decides_gives_its_own_hash(repository):
    """So two experiments that would be the same submission show it in their about.json."""
    table = tables.read(Path("manifest/manifest.csv"), tables.UNLABELLED_MANIFEST).assign(status="ok")
    tables.write(Path("manifest/manifest.csv"), table, tables.UNLABELLED_MANIFEST)
    run(("past",), (0.0, 1.0))
    past = json.loads(DVCFileSystem(rev="past").read_text("data/infer/about.json"))
    assert read("data/infer/about.json")["answers"] == past["answers"]


def test_the_same_bytes_again(repository):
    def contents() -> dict[str, bytes]:
        return {
            path.name: path.read_bytes()
            for path in (*Path("data/infer").iterdir(), *Path("metrics").iterdir())
        }

    know({IMAGES[1]: 4})
    run(("past",), (0.5, 0.5))
    before = contents()
    assert set(before) == {"submission.csv", "probabilities.csv", "about.json", "left_out.txt", "eval.json"}
    run(("past",), (0.5, 0.5))
    assert contents() == before


def test_a_lost_member_is_told_and_nothing_is_written(repository):
    lost = combiner.Member("past", "0" * 40)
    with pytest.raises(UserError, match=r"combine\.members: past \(0000000\): .*cannot be read"):
        run(weights=(0.5, 0.5), members=(lost,))
    assert not Path("data").exists()
    assert not Path("metrics").exists()


def test_photos_of_one_face_share_gender_and_age_and_it_is_said(repository, write_faces, by_colour):
    red, blue = (200, 10, 10), (10, 10, 200)
    # The third cannot be read; the others are two people.
    colours = dict(zip(IMAGES, (red, blue, red, red, blue, blue), strict=True))
    write_faces(Path("faces/eval"), colours)
    know(dict.fromkeys(IMAGES, 3))
    alone = run()
    without = read("data/infer/about.json")
    cfg = CFG.model_copy(update={"consensus": by_colour})
    shared = run(cfg=cfg)
    np.testing.assert_allclose(shared[2], PRIOR, atol=1e-5)
    old, new = classes.marginals(alone), classes.marginals(shared)
    np.testing.assert_allclose(new["mask"], old["mask"], atol=1e-5)
    for name in ("gender", "age"):
        np.testing.assert_allclose(new[name][[0, 1, 1]], new[name][[3, 4, 5]], atol=1e-5)
        assert np.abs(new[name] - old[name]).max() > 0.05
    about = read("data/infer/about.json")
    assert (without["eval_photos_used"], about["eval_photos_used"]) == (False, True)
    facts = about["consensus"]
    assert (facts["groups"], facts["photos"], facts["largest"], facts["similarity"]) == (2, 5, 3, 0.9)
    assert facts["without"]["macro_f1"] == without["macro_f1"]
    assert read("metrics/eval.json") == {"eval": about["macro_f1"], "eval_photos_used": True}
    assert Path("data/infer/groups.jpg").read_bytes()[:2] == b"\xff\xd8"
