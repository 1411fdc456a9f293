"""Search over experiments: what is tried, what stops early, what a kill leaves, and whom the best is judged on."""

from __future__ import annotations

import math
import threading
from collections import Counter
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import yaml
from optuna.trial import TrialState

from facemask.commands import search as command
from facemask.comparison import revisions
from facemask.records import classes, tables
from facemask.runtime.errors import UserError
from facemask.search import space, study, trials
from facemask.settings import loading, presets

pytestmark = pytest.mark.slow

COLUMNS = list(classes.columns())
BEST_LR = 0.008


class Runner:
    """Experiments whose answers are as good as their learning rate is near to ``BEST_LR``; notes what was run."""

    def __init__(self) -> None:
        self.ran: list[tuple[str, dict, tuple]] = []
        self.kept: dict[str, tuple[float, tuple]] = {}
        self.held: list[str] = []
        self.before = lambda name: None

    def run(self, name, settings, folds):
        self.before(name)
        self.ran.append((name, settings, tuple(folds)))
        self.kept[name] = (settings.get("train.lr", 0.0005), tuple(folds))

    def read(self, name, part=revisions.OUT_OF_FOLD):
        lr, folds = self.kept[name]
        if part == revisions.HOLD_OUT:
            self.held.append(name)
        person = np.arange(90) + (1000 if part == revisions.HOLD_OUT else 0)
        table = pd.DataFrame({"photo": [f"{one}.jpg" for one in person], "person": person.astype(str)})
        table["class"] = person % 18
        noise = np.random.default_rng(1).normal(size=(90, 18))
        odds = np.exp(noise + max(0.0, 4 - 4 * abs(math.log10(lr / BEST_LR))) * np.eye(18)[table["class"]])
        table[COLUMNS] = odds / odds.sum(1, keepdims=True)
        chosen = table[person % 3 <= max(folds)] if part != revisions.HOLD_OUT else table
        fold = pd.Series(person % 3, index=table["person"])
        return revisions.Revision(name, "f" * 40, chosen.set_index("photo"), fold, {"train.lr": lr}, part)

    def remove(self, name):
        self.kept.pop(name, None)

    def stop(self):
        pass


@pytest.fixture
def here(tmp_path: Path, toy_yaml, monkeypatch) -> Path:
    """A folder with params and a space of learning rates."""
    toy_yaml["train"] |= {"folds": [0, 1, 2], "lr": 0.0005}
    toy_yaml["build_manifest"] |= {"folds": 3, "holdout": 0.2}
    toy_yaml["evaluate"]["bootstrap"] = 200
    monkeypatch.chdir(tmp_path)
    Path("params.yaml").write_text(yaml.safe_dump(toy_yaml))
    write_space({"train.lr": {"low": 0.0001, "high": 0.1, "log": True}})
    return tmp_path


def write_space(content: object) -> None:
    Path("space.yaml").write_text(yaml.safe_dump({"description": "a test", "params": content}))


def search(runner: Runner, told=lambda line: None, **more) -> str:
    asked = {"name": "s", "trials": 8, "minutes": None, "workers": 1, "objective": "log_loss"} | more
    return command.run(Path("space.yaml"), study.Asked(**asked), told, runner=runner)


def kept() -> list:
    import optuna

    return optuna.load_study(study_name="search", storage="sqlite:///search/s/study.db").get_trials()


@pytest.mark.parametrize("objective", ["log_loss", "macro_f1"])
def test_the_best_is_judged_on_people_that_the_search_did_not_choose_by(here, objective):
    runner, lines = Runner(), []
    said = search(runner, lines.append, objective=objective)
    done = {state: [one for one in kept() if one.state == state] for state in TrialState}
    assert len(done[TrialState.COMPLETE]) + len(done[TrialState.PRUNED]) == 9
    leader, value = min(
        ((one.user_attrs["experiment"], one.value) for one in done[TrialState.COMPLETE]),
        key=lambda one: one[1] if objective == "log_loss" else -one[1],
    )
    assert runner.held == ["s-start", leader]
    assert "hold-out, 90 photos of 90 people" in said
    assert f"python -m facemask apply {leader}" in said
    assert lines[0].endswith("s-start")
    assert any(f"(best {value:.4f})" in line for line in lines)
    # What surely was worse on the first fold's people was never trained on the others, and stays to be looked at.
    assert done[TrialState.PRUNED]
    for one in done[TrialState.PRUNED]:
        name = one.user_attrs["experiment"]
        assert name == f"s-{one.number}-fold0"
        assert [folds for ran, _, folds in runner.ran if ran.startswith(f"s-{one.number}")] == [(0,)]
    assert set(runner.kept) == {one.user_attrs["experiment"] for one in kept()}
    page = Path("search/s/page.html").read_text()
    assert all(word in page for word in ("<svg", "stopped after one fold", leader, "hold-out, 90 photos"))
    assert "http" not in page.replace("http://www.w3.org", "").replace("http://purl.org", "").replace(
        "https://matplotlib.org", ""
    ).replace("http://creativecommons.org", "")


def test_a_killed_search_goes_on_with_what_was_cut_off(here):
    runner = Runner()

    def kill(name):
        if name.startswith("s-3"):
            raise KeyboardInterrupt

    runner.before = kill
    with pytest.raises(KeyboardInterrupt):
        search(runner)
    cut = kept()[-1]
    assert cut.state == TrialState.RUNNING
    before, runner.before = len(runner.ran), lambda name: None
    search(runner)
    assert [ran for ran, _, _ in runner.ran].count("s-start") == 1
    assert runner.ran[before][1] == cut.params
    states = Counter(one.state for one in kept())
    assert states[TrialState.COMPLETE] + states[TrialState.PRUNED] == 9
    assert states[TrialState.RUNNING] == 0
    # No value is drawn twice.
    values = [one.params["train.lr"] for one in kept() if one.state != TrialState.FAIL]
    assert len(set(values)) == len(values)
    before = len(runner.ran)
    search(runner)
    assert len(runner.ran) == before


def test_a_trial_that_fails_is_told_and_counts(here):
    runner, lines = Runner(), []

    def fail(name):
        if name.startswith("s-2"):
            raise trials.Failed("no memory")

    runner.before = fail
    search(runner, lines.append, trials=3)
    assert "trial 2: failed, no memory" in lines
    assert len(kept()) == 4
    assert "no memory" in Path("search/s/page.html").read_text()


def test_no_better_trial_is_told_and_no_time_left_runs_none(here):
    said = search(runner := Runner(), minutes=-1)
    assert "No trial is better than the start" in said
    assert [name for name, *_ in runner.ran] == ["s-start"]
    assert runner.held == []


def test_two_workers_run_at_once(here):
    both, runner = threading.Barrier(2, timeout=60), Runner()
    runner.before = lambda name: name != "s-start" and name.endswith("fold0") and both.wait()
    search(runner, workers=2, trials=2)
    assert not both.broken


def test_another_search_of_the_same_name_is_refused(here):
    search(Runner(), trials=0)
    with pytest.raises(UserError, match="another space, objective or params"):
        search(Runner(), trials=0, objective="macro_f1")
    write_space({"train.lr": {"low": 0.001, "high": 0.1, "log": True}})
    with pytest.raises(UserError, match="another space, objective or params"):
        search(Runner(), trials=0)
    search(Runner(), trials=0, name="t")
    Path("search/t/study.db").write_bytes(b"no data base" * 100)
    with pytest.raises(UserError, match=r"study\.db cannot be used"):
        search(Runner(), trials=0, name="t")


def test_what_cannot_be_searched_is_told_before_anything_runs(here, toy_yaml):
    runner = Runner()
    for name in ("../x", "a b", "-x"):
        with pytest.raises(UserError, match="letters, digits"):
            search(runner, name=name)
    runner.before = lambda name: (_ for _ in ()).throw(trials.Failed("data.root: no such folder"))
    with pytest.raises(UserError, match=r"start, params\.yaml as it is, cannot be run: data\.root"):
        search(runner)
    toy_yaml["build_manifest"]["holdout"] = 0.0
    Path("params.yaml").write_text(yaml.safe_dump(toy_yaml))
    with pytest.raises(UserError, match=r"build_manifest\.holdout is 0.*holdout 0\.1"):
        search(runner, name="other")
    assert runner.ran == []


SPACES = {
    "a list": ([1], "full keys are wanted"),
    "another section": ({"seed": {"low": 1, "high": 2}}, "seed cannot be searched"),
    "the yardstick": ({"build_manifest.folds": {"low": 2, "high": 5}}, "cannot be searched"),
    "folds": ({"train.folds": {"choices": [[0], [1]]}}, "cannot be searched"),
    "an unknown key": ({"train.lrr": {"low": 1, "high": 2}}, "has no train.lrr"),
    "a knob of another kind": ({"train.mixing.alpha": {"low": 0.1, "high": 1.0}}, "has no train.mixing.alpha"),
    "one inside another": (
        {"train.optimiser": {"choices": [{"kind": "adamw"}, {"kind": "sgd"}]}, "train.optimiser.weight_decay": {}},
        "stands inside train.optimiser",
    ),
    "one choice": ({"train.lr": {"choices": [1]}}, "two choices at least"),
    "a word": ({"train.lr": {"low": "little", "high": 1}}, "low, high and step are numbers"),
    "not a number": ({"train.lr": {"low": math.nan, "high": 1}}, "finite|numbers"),
    "upside down": ({"train.lr": {"low": 2.0, "high": 1.0}}, "train.lr: "),
    "log of 0": ({"train.lr": {"low": 0.0, "high": 1.0, "log": True}}, "train.lr: "),
    "an end that params refuse": ({"train.lr": {"low": 0.0, "high": 1.0}}, "train.lr: 0.0"),
    "another word": ({"train.lr": {"low": 0.1, "high": 1.0, "linear": True}}, "two choices at least"),
}  # fmt: skip


@pytest.mark.parametrize("case", SPACES)
def test_a_space_that_cannot_work_is_refused_by_key(here, case):
    content, told = SPACES[case]
    write_space(content)
    with pytest.raises(UserError, match=told) as caught:
        space.read(Path("space.yaml"), loading.read(Path("params.yaml"))[1])
    assert "\n" not in str(caught.value)


def test_choices_with_knobs_and_whole_numbers_come_back_as_they_were(here):
    choices = [{"kind": "none"}, {"kind": "mixup", "alpha": 0.4, "p": 0.7}]
    write_space({"train.mixing": {"choices": choices}, "train.epochs": {"low": 2, "high": 8, "step": 2}})
    runner = Runner()
    search(runner, trials=6)
    tried = [settings for name, settings, _ in runner.ran if name != "s-start"]
    assert all(one["train.mixing"] in choices and one["train.epochs"] in (2, 4, 6, 8) for one in tried)
    # The start, which is in this space, is what Optuna learns from first.
    assert kept()[0].params == {"train.mixing": '{"kind": "none"}', "train.epochs": 1} or len(kept()) == 6


@pytest.mark.parametrize("name", ["realfaces", "quick"])
def test_a_shipped_space_goes_with_its_preset(name, repository, params_yaml):
    preset = yaml.safe_load((repository / "presets" / f"{name}.yaml").read_text())["params"]
    content = presets.merge(params_yaml, preset)
    found = space.read(repository / "presets" / "spaces" / f"{name}.yaml", content)
    assert len(found.params) > 5


DAG = """\
stages:
  evaluate:
    cmd: python make.py
    params:
    - train.lr
    - train.folds
    outs:
    - data
"""
MAKE = """\
import pathlib, shutil, sys, yaml
train = yaml.safe_load(open("params.yaml"))["train"]
if train["lr"] > 0.5: sys.exit("error: train.lr is too high")
shutil.copytree("given", "data")
"""


def test_trials_are_experiments_of_dvc(here, start_project, repository, monkeypatch, toy_yaml):
    """Two at once in copies of the project; a third, which fails, says why."""
    rows = Runner()
    rows.run("x", {"train.lr": BEST_LR}, (0, 1, 2))
    for part, path in revisions.ANSWERS.items():
        answers = rows.read("x", part)
        target = Path("given", *path.parts[1:])
        target.parent.mkdir(parents=True, exist_ok=True)
        tables.write(target, answers.rows.reset_index(), tables.PROBABILITIES)
    manifest = Path("given", *revisions.MANIFEST.parts[1:])
    manifest.parent.mkdir(parents=True)
    table = answers.rows.reset_index()[["photo", "person"]].assign(fold=0)
    table.to_csv(manifest, index=False)
    Path("make.py").write_text(MAKE)
    monkeypatch.setenv("PYTHONPATH", str(repository))
    start_project(DAG, "/search\n/data\n")
    runner = trials.Dvc(Path("search/logs"))
    ends: dict[str, object] = {}

    def run(name: str, lr: float) -> None:
        try:
            ends[name] = runner.run(name, {"train.lr": lr}, (0, 1))
        except trials.Failed as error:
            ends[name] = str(error)

    threads = [threading.Thread(target=run, args=one) for one in (("t-1", 0.01), ("t-2", 0.02), ("t-3", 0.9))]
    for one in threads:
        one.start()
    for one in threads:
        one.join()
    assert ends == {"t-1": None, "t-2": None, "t-3": "train.lr is too high (search/logs/t-3.log)"}
    found = runner.read("t-2", revisions.HOLD_OUT)
    assert (found.params["train.lr"], found.params["train.folds"]) == (0.02, [0, 1])
    assert len(found.rows) == 90
    assert yaml.safe_load(Path("params.yaml").read_text()) == toy_yaml
    runner.remove("t-2")
    with pytest.raises(UserError, match="t-2"):
        runner.read("t-2")
