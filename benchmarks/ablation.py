"""Which trick helps? One technique at a time on top of one recipe, by out-of-fold score, paired over people.

Every variant and seed is a DVC experiment in a clone of this project, so a run that was cut off goes on where it
stopped, and ``dvc exp show`` in the clone shows them all. Run from the project's folder::

    python -m benchmarks.ablation --seeds 1 2 --variants age_cut_60 mixup
    python -m benchmarks.ablation --report-only

The table goes to ``docs/ablation.md``. Intervals are percentile intervals of the difference to the base when people
are drawn with replacement; both sides are scored on the same people, split the same way by the same seed.
"""

from __future__ import annotations

import argparse
import datetime
import io
import os
import platform
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any, NamedTuple

import dvc.api
import numpy as np
import numpy.typing as npt
import pandas as pd
import yaml
from dvc.exceptions import DvcException
from dvc_data.index import DataIndexDirError

from facemask.evaluation import intervals
from facemask.records import classes
from facemask.runtime import files
from facemask.scoring import metrics
from facemask.settings import presets

HERE = Path(__file__).resolve().parents[1]
BASE = "base"
RESAMPLES = 2000
# No answer of a network is surer than this of being wrong: one photo would be all that counts.
LEAST = 1e-6


class Answers(NamedTuple):
    """An experiment's out-of-fold answers, by person.

    Attributes
    ----------
    counts
        (people, 18, 18) confusion counts.
    losses
        (people, 2): sum of the photos' log losses, and how many photos.
    """

    counts: npt.NDArray[np.int64]
    losses: npt.NDArray[np.float64]


Found = dict[tuple[str, int], Answers]
Shown = dict[str, tuple[float, float, float]]


def main() -> None:
    """Run what is asked for, then write the table of all that is there."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.ablation", description=__doc__)
    parser.add_argument("--plan", type=Path, default=HERE / "benchmarks" / "ablation.yaml")
    parser.add_argument("--root", default="../shared/data/realfaces", help="data.root, seen from the clone")
    parser.add_argument("--work", type=Path, default=HERE / ".ablation", help="where the clone is")
    parser.add_argument("--seeds", type=int, nargs="+", default=[1])
    parser.add_argument("--variants", nargs="*", help="names out of the plan; all by default")
    parser.add_argument("--report-only", action="store_true", help="train nothing")
    parser.add_argument("--out", type=Path, default=HERE / "docs" / "ablation.md")
    chosen = parser.parse_args()
    plan = yaml.safe_load(chosen.plan.read_text())
    known = {variant["name"]: variant for variant in plan["variants"]}
    names = list(known) if chosen.variants is None else chosen.variants
    if unknown := sorted(set(names) - set(known)):
        sys.exit(f"error: {chosen.plan}: no variant {unknown[0]!r}; there are {', '.join(known)}")
    clone = _clone(chosen.work)
    if not chosen.report_only:
        for seed in chosen.seeds:
            for name in (BASE, *names):
                _run(clone, plan, known.get(name, {"set": {}}), name, seed, chosen.root)
    found = _collect(clone)
    if not found:
        sys.exit(f"error: {clone}: no experiment has run yet")
    text = report(found, plan)
    with files.replacing(chosen.out) as temporary:
        temporary.write_text(text)
    print(text)


def _clone(work: Path) -> Path:
    """Clone of the project's last commit, with the development data and pretrained weights as the project has them."""
    clone = work / "facemask"
    if not clone.exists():
        work.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "--quiet", str(HERE), str(clone)], check=True)
        (work / "shared").symlink_to(HERE.parent / "shared")
        (clone / "models" / "pretrained").symlink_to(HERE / "models" / "pretrained")
    return clone


def content(
    clone: Path, plan: Mapping[str, Any], changes: Mapping[str, Any], seed: int, root: str
) -> dict[str, Any]:
    """Params of one experiment: shipped params, then the preset, the plan's base, the variant and the seed."""
    whole: dict[str, Any] = yaml.safe_load((HERE / "params.yaml").read_text())
    preset = yaml.safe_load((clone / "presets" / f"{plan['preset']}.yaml").read_text())["params"]
    place = {"seed": seed, "data": {"root": root}, "fix_labels": {"dataset": Path(root).name}}
    for part in (preset, plan["base"], changes, place):
        whole = presets.merge(whole, dict(part))
    return whole


def _run(
    clone: Path, plan: Mapping[str, Any], variant: Mapping[str, Any], name: str, seed: int, root: str
) -> None:
    label = f"{name}-seed{seed}"
    if label in _dvc(clone, "exp", "list", "--name-only").split():
        return
    print(f"== {label}", flush=True)
    wanted = content(clone, plan, variant["set"], seed, root)
    (clone / "params.yaml").write_text(yaml.safe_dump(wanted, sort_keys=False))
    _dvc(clone, "exp", "run", "--name", label, "combine", show=True)


def _dvc(clone: Path, *arguments: str, show: bool = False) -> str:
    """Run DVC in the clone with this environment's Python first on the path."""
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    ended = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=clone,
        env=os.environ | {"PATH": path, "HF_HUB_OFFLINE": "1"},
        stdout=None if show else subprocess.PIPE,
        text=True,
        check=True,
    )
    return ended.stdout or ""


def _collect(clone: Path) -> Found:
    """Answers of every experiment, people in one order."""
    found: Found = {}
    for label in sorted(_dvc(clone, "exp", "list", "--name-only").split()):
        name, _, seed = label.rpartition("-seed")
        try:
            text = dvc.api.read("data/combine/oof.csv", repo=str(clone), rev=label)
        except (DvcException, DataIndexDirError, OSError) as error:
            print(f"{label}: left out: {error}", file=sys.stderr)
            continue
        table = pd.read_csv(io.StringIO(text), dtype={"photo": str, "person": str})
        person, _ = pd.factorize(table["person"], sort=True)
        people = int(person.max()) + 1
        answers, truth = table[list(classes.columns())].to_numpy(), table["class"].to_numpy()
        lost = -np.log(np.maximum(answers[np.arange(len(truth)), truth], LEAST))
        sums = [np.bincount(person, weights, minlength=people) for weights in (lost, np.ones(len(truth)))]
        found[name, int(seed)] = Answers(
            metrics.grouped(truth, answers.argmax(1), person, classes.COUNT, groups=people), np.stack(sums, 1)
        )
    return found


def report(found: Found, plan: Mapping[str, Any]) -> str:
    """Table in Markdown: score, differences to the base and their intervals, of each variant with the base's seeds."""
    titles = {variant["name"]: variant["title"] for variant in plan["variants"]}
    rows = []
    for name in titles:
        seeds = [seed for other, seed in found if other == name and (BASE, seed) in found]
        if seeds:
            rows.append((titles[name], seeds, compare(found, name, seeds)))
    rows.sort(key=lambda row: -row[2]["gap"][0])
    seeds = sorted(seed for name, seed in found if name == BASE)
    base = compare(found, BASE, seeds)
    lines = [
        HEAD.format(
            date=datetime.date.today().isoformat(),
            hardware=f"{os.cpu_count()} CPU cores ({platform.machine()}), no GPU",
            preset=plan["preset"],
            base=yaml.safe_dump(plan["base"], default_flow_style=True, width=10_000).strip(),
            people=len(found[BASE, seeds[0]].counts),
            score=f"{base['score'][0]:.3f}",
            loss=f"{base['loss'][0]:.3f}",
            seeds=", ".join(map(str, seeds)),
        ),
        "| switched | seeds | macro-F1 | difference | 95 % interval | log loss, difference | 95 % interval |",
        "|---|---|---|---|---|---|---|",
    ]
    for title, seeds, shown in rows:
        parts = [title, str(len(seeds)), f"{shown['score'][0]:.3f}"]
        for what in ("gap", "loss_gap"):
            point, low, high = shown[what]
            parts += [f"{point:+.3f}", f"{low:+.3f} to {high:+.3f}"]
        lines.append(f"| {' | '.join(parts)} |")
    return "\n".join([*lines, "", plan["notes"].rstrip()]) + "\n"


def compare(found: Found, name: str, seeds: list[int]) -> Shown:
    """Mean over seeds of what ``name`` reaches, and of its difference to the base; each with its interval over people.

    Returns
    -------
    dict
        ``score`` (macro-F1), ``loss`` (log loss, nats a photo), and ``gap`` and ``loss_gap``, their differences: value,
        low and high.
    """
    held = {}
    for side, of in (("a", BASE), ("b", name)):
        for seed in seeds:
            held[f"f1 {side}{seed}"] = found[of, seed].counts.astype(float)
            held[f"loss {side}{seed}"] = found[of, seed].losses

    def statistic(summed: Mapping[str, npt.NDArray[np.float64]]) -> dict[str, npt.NDArray[np.float64]]:
        score, loss = {}, {}
        for side in "ab":
            score[side] = np.mean([metrics.macro_f1(summed[f"f1 {side}{seed}"]) for seed in seeds], 0)
            lost = [summed[f"loss {side}{seed}"] for seed in seeds]
            loss[side] = np.mean([sums[..., 0] / sums[..., 1] for sums in lost], 0)
        return {
            "score": score["b"],
            "gap": score["b"] - score["a"],
            "loss": loss["b"],
            "loss_gap": loss["b"] - loss["a"],
        }

    point = statistic({key: table.sum(0)[None] for key, table in held.items()})
    limits = intervals.bootstrap(held, statistic, resamples=RESAMPLES, confidence=0.95, seed=0)
    assert limits is not None
    return {
        what: (float(value[0]), float(limits[what][0]), float(limits[what][1]))
        for what, value in point.items()
    }


HEAD = """\
# Which trick helps?

One technique at a time on top of the preset `{preset}` with `{base}`,
on real faces in the contest's layout: {people} people, out-of-fold 18-class macro-F1 on the official age bands.
Written by `python -m benchmarks.ablation` on {date}, {hardware}.
The base scores **{score}** (seeds {seeds}), with a log loss of {loss} nats a photo.

Macro-F1 hangs on few photos of rare classes; the log loss, lower being better, takes all photos and the probabilities
behind the answers. The intervals are of the difference to the base with the same seed: people are drawn with
replacement ({resamples} times), both sides scored on the same people. They cover chance in who is in the data; the
chance of a training (initial weights, order, split) is covered only as far as there are several seeds. An interval that
holds 0 shows nothing either way.
""".replace("{resamples}", f"{RESAMPLES:,}")

if __name__ == "__main__":
    main()
