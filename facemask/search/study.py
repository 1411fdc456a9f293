"""Optuna's study over experiments: what is tried next, what stops early, and what a killed search goes on from.

References
----------
Bergstra, J., Bardenet, R., Bengio, Y., and Kégl, B. (2011). Algorithms for Hyper-Parameter Optimization. NeurIPS: the
tree-structured Parzen estimator (TPE).
Cawley, G. C., and Talbot, N. L. C. (2010). On Over-fitting in Model Selection and Subsequent Selection Bias in
Performance Evaluation. JMLR 11: why the score that a search chose by flatters it.
"""

from __future__ import annotations

import contextlib
import json
import threading
import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

import optuna
from filelock import FileLock, Timeout
from optuna.trial import FrozenTrial, TrialState
from sqlalchemy.exc import SQLAlchemyError

from facemask.comparison import comparison, revisions
from facemask.comparison.comparison import Comparison
from facemask.comparison.revisions import Revision
from facemask.runtime.errors import UserError
from facemask.scoring import metrics, predictions
from facemask.search.space import Space, shown
from facemask.search.trials import Failed, Runner
from facemask.settings import params

Objective = Literal["log_loss", "macro_f1"]
LABELS: Final[Mapping[Objective, str]] = {"log_loss": "log loss", "macro_f1": "macro-F1"}
# What is kept with the study or a trial beside what Optuna keeps itself.
START, BEGUN, EXPERIMENT, REASON = "start", "begun", "experiment", "reason"


@dataclass(frozen=True)
class Asked:
    """What is asked of a search.

    Attributes
    ----------
    name
        Of the search; its experiments are named after it.
    trials
        How many in all, those before a kill among them, beside the start.
    minutes
        No trial begins after so many; None for no limit.
    workers
        Trials at once.
    objective
        The out-of-fold score that is searched by.
    """

    name: str
    trials: int
    minutes: float | None
    workers: int
    objective: Objective


class Search:
    """A search that is under way.

    Parameters
    ----------
    whole, content
        The params that the search starts from, and the same as they stand in the file.
    folder
        Keeps the study; a search that was killed goes on from there.
    runner
        Runs experiments.
    tell
        Gets a line a trial.
    """

    def __init__(
        self,
        asked: Asked,
        space: Space,
        whole: params.Params,
        content: Mapping[str, Any],
        *,
        folder: Path,
        runner: Runner,
        tell: Callable[[str], None],
    ) -> None:
        self._asked, self._space, self._whole, self._content = asked, space, whole, content
        self._folder, self._runner, self._tell = folder, runner, tell
        self._lock = threading.Lock()
        self._left, self._stopped, self._end = 0, False, float("inf")

    def run(self) -> optuna.Study:
        """Search, and return the study.

        Raises
        ------
        UserError
            If the search was begun otherwise, runs already, or its start fails.
        """
        if not self._whole.build_manifest.holdout:
            raise UserError(
                "build_manifest.holdout is 0: the best is compared with the start on people whom the search did not "
                "choose by; `python -m facemask set build_manifest.holdout 0.1` keeps some apart"
            )
        self._folder.mkdir(parents=True, exist_ok=True)
        try:
            with FileLock(self._folder / "lock", timeout=0):
                self.study = self._opened()
                self._begin()
                self._work_all()
        except Timeout:
            raise UserError(
                f"search {self._asked.name} is running already; give another one its --name"
            ) from None
        except SQLAlchemyError as error:
            told = " ".join(str(error).split())[:150]
            raise UserError(
                f"{self._folder}/study.db cannot be used ({told}); move it away to begin anew"
            ) from None
        return self.study

    def _opened(self) -> optuna.Study:
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        storage = optuna.storages.RDBStorage(f"sqlite:///{self._folder / 'study.db'}")
        direction: Literal["minimize", "maximize"] = (
            "minimize" if self._asked.objective == "log_loss" else "maximize"
        )
        study = optuna.create_study(
            storage=storage, study_name="search", direction=direction, load_if_exists=True
        )
        # Another seed after each start, or a search that goes on would draw the same values again.
        study.sampler = optuna.samplers.TPESampler(
            seed=self._whole.seed + len(study.get_trials(deepcopy=False)), constant_liar=True
        )
        shapes = {key: repr(one) for key, one in self._space.params.items()}
        begun = {"objective": self._asked.objective, "space": shapes, "params": self._content}
        before = study.user_attrs.get(BEGUN)
        if before is not None and json.loads(before) != json.loads(json.dumps(begun)):
            raise UserError(
                f"search {self._asked.name} was begun with another space, objective or params.yaml: put them back to "
                "go on, or give this one another --name"
            )
        study.set_user_attr(BEGUN, json.dumps(begun))
        return study

    def _begin(self) -> None:
        """Run the start; let trials that a kill cut short be run again."""
        study, name, folds = self.study, f"{self._asked.name}-start", self._whole.train.folds
        if START not in study.user_attrs:
            try:
                self._runner.run(name, {}, folds)
            except Failed as error:
                raise UserError(f"search: the start, params.yaml as it is, cannot be run: {error}") from None
            value = self._score(self._runner.read(name))
            study.set_user_attr(START, value)
            self._tell(f"start: {LABELS[self._asked.objective]} {value:.4f}  {name}")
            # The start may lie outside the space.
            with contextlib.suppress(ValueError):
                study.add_trial(
                    optuna.create_trial(
                        params=self._space.kept(self._content),
                        distributions=dict(self._space.params),
                        value=value,
                        user_attrs={EXPERIMENT: name},
                    )
                )
        for trial in study.get_trials(states=(TrialState.RUNNING,)):
            study.tell(trial.number, state=TrialState.FAIL)
            if trial.params:
                study.enqueue_trial(trial.params)
            self._runner.remove(self._early(trial.number))

    def _work_all(self) -> None:
        self._left = self._asked.trials - sum(counts(trial) for trial in self.study.get_trials())
        if self._asked.minutes is not None:
            self._end = time.monotonic() + 60 * self._asked.minutes
        with ThreadPoolExecutor(self._asked.workers) as pool:
            try:
                for one in [pool.submit(self._work) for _ in range(self._asked.workers)]:
                    one.result()
            except BaseException:
                self._stopped = True
                self._runner.stop()
                raise

    def _work(self) -> None:
        while True:
            with self._lock:
                if self._stopped or self._left < 1 or time.monotonic() > self._end:
                    return
                self._left -= 1
                trial = self.study.ask(dict(self._space.params))
            try:
                self._try(trial)
            except (Failed, UserError) as error:
                if self._stopped:
                    return
                with self._lock:
                    trial.set_user_attr(REASON, str(error))
                    self.study.tell(trial, state=TrialState.FAIL)
                self._tell(f"trial {trial.number}: failed, {error}")

    def _early(self, number: int) -> str:
        return f"{self._asked.name}-{number}-fold{self._whole.train.folds[0]}"

    def _try(self, trial: optuna.Trial) -> None:
        """Run a trial; with several folds, the first of them before the others."""
        name, early, folds = (
            f"{self._asked.name}-{trial.number}",
            self._early(trial.number),
            self._whole.train.folds,
        )
        settings = self._space.values(trial.params)
        if len(folds) > 1:
            self._runner.run(early, settings, folds[:1])
            answers = self._runner.read(early)
            value = self._score(answers)
            if self._worse(answers):
                with self._lock:
                    trial.set_user_attr(EXPERIMENT, early)
                    trial.report(value, 0)
                    self.study.tell(trial, state=TrialState.PRUNED)
                self._told(trial.number, value, f"on fold {folds[0]}, surely worse: stopped", early, settings)
                return
        self._runner.run(name, settings, folds)
        value = self._score(self._runner.read(name))
        with self._lock:
            trial.set_user_attr(EXPERIMENT, name)
            self.study.tell(trial, value)
        self._told(trial.number, value, f"(best {best(self.study)[1]:.4f})", name, settings)
        if len(folds) > 1:
            self._runner.remove(early)

    def _told(self, number: int, value: float, more: str, name: str, settings: Mapping[str, Any]) -> None:
        label = LABELS[self._asked.objective]
        self._tell(f"trial {number}: {label} {value:.4f} {more}  {name}  {shown(settings)}")

    def _worse(self, answers: Revision) -> bool:
        """Whether the best so far is better on the people of these answers by more than chance."""
        with self._lock:
            leader = best(self.study)[0] or f"{self._asked.name}-start"
        found = comparison.compare(
            self._runner.read(leader), [answers], self._whole.evaluate, seed=self._whole.seed
        ).scores[self._asked.objective]
        return found.beyond_chance and (found.value > 0) == (self._asked.objective == "log_loss")

    def _score(self, answers: Revision) -> float:
        table, official = answers.rows[predictions.COLUMNS].to_numpy(), answers.rows["class"].to_numpy()
        if self._asked.objective == "log_loss":
            return metrics.log_loss(table, official)
        return metrics.score(table, official)["macro_f1"]

    def judged(self) -> Comparison | None:
        """The best against the start, on people whom the search did not choose by; None if the start is the best."""
        leader = best(self.study)[0]
        start = f"{self._asked.name}-start"
        if not leader or leader == start:
            return None
        sides = [self._runner.read(name, revisions.HOLD_OUT) for name in (start, leader)]
        return comparison.compare(sides[0], sides[1:], self._whole.evaluate, seed=self._whole.seed)


def counts(trial: FrozenTrial) -> bool:
    """Whether a trial counts: it ended by itself, and is not the start."""
    ended = trial.state in (TrialState.COMPLETE, TrialState.PRUNED) or REASON in trial.user_attrs
    return ended and not str(trial.user_attrs.get(EXPERIMENT, "")).endswith("-start")


def best(study: optuna.Study) -> tuple[str, float]:
    """Name and value of the best experiment; the name is empty where it is a start outside the space."""
    sign = 1 if study.direction == optuna.study.StudyDirection.MINIMIZE else -1
    done = [("", float(study.user_attrs[START]))]
    done += [
        (str(trial.user_attrs[EXPERIMENT]), float(trial.value))
        for trial in study.get_trials(states=(TrialState.COMPLETE,))
        if trial.value is not None
    ]
    return min(done, key=lambda one: (sign * one[1], one[0] != ""))
