"""A search on one page: its history, which params mattered, every trial, and the best against the start."""

from __future__ import annotations

import html
import io
from collections.abc import Mapping
from pathlib import Path
from typing import Final

import matplotlib as mpl
import numpy as np
import optuna
import pandas as pd
from matplotlib.figure import Figure
from optuna.trial import TrialState

from facemask.runtime import files
from facemask.search.space import Space, shown
from facemask.search.study import EXPERIMENT, LABELS, REASON, START, Objective, best

# With fewer trials an importance is a guess.
FEW: Final = 4
_STATES: Final = {
    TrialState.COMPLETE: "all folds", TrialState.PRUNED: "stopped after one fold",
    TrialState.FAIL: "failed", TrialState.RUNNING: "runs", TrialState.WAITING: "waits",
}  # fmt: skip


def write(path: Path, study: optuna.Study, space: Space, objective: Objective, verdict: str) -> None:
    """Write the page; ``verdict`` is what is said of the best against the start."""
    label, name = LABELS[objective], html.escape(path.parent.name)
    table = trials(study, space).to_html(index=False, border=0, na_rep="", float_format="{:.4f}".format)
    text = (
        f'<!doctype html><html lang="en"><meta charset="utf-8"><title>Search {name}</title>'
        "<style>body{font:15px system-ui;max-width:72em;margin:2em auto;padding:0 1em}"
        "td,th{padding:.2em .8em;text-align:left;vertical-align:top}"
        "pre{overflow:auto;white-space:pre-wrap}svg{max-width:100%}</style>"
        f"<h1>Search {name}</h1><p>By {label} out of fold; the start has {study.user_attrs[START]:.4f}, "
        f"the best {best(study)[1]:.4f}. The search chose by these scores, so they flatter it.</p>"
        f"<h2>On people whom the search did not choose by</h2><pre>{html.escape(verdict)}</pre>"
        f"<h2>History and importance</h2>{picture(study, label)}<h2>Trials</h2>{table}</html>\n"
    )
    with files.replacing(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def trials(study: optuna.Study, space: Space) -> pd.DataFrame:
    """Every trial that a kill did not cut short: experiment, state, value and params."""
    rows = [
        {
            "trial": trial.number,
            "experiment": trial.user_attrs.get(EXPERIMENT, ""),
            "state": _STATES[trial.state],
            "value": trial.value,
            "params": trial.user_attrs.get(REASON) or shown(space.values(trial.params)),
        }
        for trial in study.get_trials()
        if trial.state != TrialState.FAIL or REASON in trial.user_attrs
    ]
    return pd.DataFrame(rows, columns=["trial", "experiment", "state", "value", "params"])


def importances(study: optuna.Study) -> Mapping[str, float]:
    """How much of the scores' variance each param explains, 0 to 1 in all; empty with too few trials."""
    values = {trial.value for trial in study.get_trials(states=(TrialState.COMPLETE,))}
    if len(values) < FEW:
        return {}
    found: Mapping[str, float] = optuna.importance.get_param_importances(study)
    return found


def picture(study: optuna.Study, label: str) -> str:
    """History and importance side by side, as SVG."""
    figure = Figure(figsize=(11, 3.6), layout="constrained")
    history, bars = figure.subplots(1, 2)
    history.xaxis.get_major_locator().set_params(integer=True)
    done = study.get_trials(states=(TrialState.COMPLETE,))
    stopped = study.get_trials(states=(TrialState.PRUNED,))
    start = float(study.user_attrs[START])
    numbers = [trial.number for trial in done]
    values = np.array([float(trial.value or 0) for trial in done])
    history.axhline(start, color="0.6", linestyle="--", label="start")
    history.scatter(numbers, values, label="all folds")
    if stopped:
        history.scatter(
            [trial.number for trial in stopped],
            [trial.intermediate_values[0] for trial in stopped],
            marker="x", color="0.6", label="stopped, one fold",
        )  # fmt: skip
    if numbers:
        lowest = study.direction == optuna.study.StudyDirection.MINIMIZE
        run = np.minimum.accumulate(values) if lowest else np.maximum.accumulate(values)
        history.step(numbers, run, where="post", label="best so far")
    history.set(title="History", xlabel="trial", ylabel=label)
    history.legend()
    shares = importances(study)
    bars.barh(list(shares)[::-1], list(shares.values())[::-1])
    bars.set(title="Importance" if shares else f"Importance: from {FEW} trials on", xlim=(0, 1))
    drawn = io.StringIO()
    with mpl.rc_context({"svg.hashsalt": "search"}):
        figure.savefig(drawn, format="svg", metadata={"Date": None})
    return drawn.getvalue()[drawn.getvalue().index("<svg") :]
