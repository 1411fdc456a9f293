"""Benchmarks: ratios of medians by turns, what is written, and that every measurement runs."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from benchmarks import bench
from benchmarks.speed import turns
from benchmarks.speed.outcome import Effort, Outcome

TOY = Effort(photos=32, rounds=1, heights=(32,), models=("test_resnet",))


def takes(seconds: list[float], calls: list[str], name: str) -> turns.Side:
    """A side that takes what is listed, call after call, and notes each call."""
    coming = iter(seconds)

    def side() -> turns.Taken:
        calls.append(name)
        one = next(coming)
        return turns.Taken(one, one / 2)

    return side


def test_sides_take_turns_and_their_medians_are_compared() -> None:
    calls: list[str] = []
    sides = {
        "slow": takes([99, 8, 900, 6], calls, "slow"),
        "fast": takes([99, 2, 4, 100], calls, "fast"),
    }
    taken = turns.alternate(sides, 3)
    assert calls == ["slow", "fast", "slow", "fast", "fast", "slow", "slow", "fast"]
    assert turns.medians(taken) == {"slow": 8, "fast": 4}
    assert turns.ratio(taken, "slow", "fast") == 2
    assert turns.cpu_ratio(taken, "slow", "fast") == 2
    assert turns.spread(taken, "slow", "fast") == [0.06, 225]


def test_without_a_round_there_is_no_ratio() -> None:
    with pytest.raises(ValueError, match="at least one round"):
        turns.alternate({}, 0)


def test_time_to_start_is_left_out_where_it_can_be_told() -> None:
    assert turns.rate(100, 5 + 100 * 0.1, 20, 5 + 20 * 0.1) == pytest.approx(10)
    assert turns.rate(40, 9, 20, 7) == pytest.approx(40 / 9)
    assert turns.rate(100, 5, 20, 6) == pytest.approx(20)


def test_a_clock_runs() -> None:
    taken = turns.timed(lambda: sum(range(200_000)))()
    assert taken.wall > 0
    assert taken.cpu > 0


def outcomes(key: str, effort: Effort) -> Outcome:
    """One of each sort: reached, missed, differing results, skipped."""
    return {
        "face_crop_vs_facenet": Outcome(
            5.0, figures={"rates": {"ours": 2.5, "theirs": [1, 2]}}, note="on|paper"
        ),
        "one_percent_more": Outcome(0.5),
        "background_removal_vs_rembg": Outcome(3.0, holds=False),
        "infer_vs_model": Outcome(None, note="skipped: no reason"),
    }[key]


KEYS = ["face_crop_vs_facenet", "one_percent_more", "background_removal_vs_rembg", "infer_vs_model"]


def test_results_and_page_tell_what_was_reached(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    results = bench.run(KEYS, TOY, path, outcomes)
    assert json.loads(path.read_text()) == results
    met = {key: result["met"] for key, result in results.items()}
    assert met == {
        "face_crop_vs_facenet": True,
        "background_removal_vs_rembg": False,
        "one_percent_more": False,
        "infer_vs_model": None,
    }
    around = results["one_percent_more"]["surroundings"]
    assert re.fullmatch(r"\d{4}-\d\d-\d\d", around["date"])
    assert around["cores"] >= 1
    assert set(around["versions"]) == set(bench.PACKAGES)
    rows = dict(re.findall(r"^\| [^|]+ \| `(\w+)` \| (.*) \| 32 × 1 \|", bench.table(results), re.MULTILINE))
    assert rows["face_crop_vs_facenet"] == "5 | ≥ 4 | yes"
    assert rows["one_percent_more"] == "0.5 | ≤ 0.02 | **no**"
    assert rows["background_removal_vs_rembg"] == "3 | ≥ 2 | **no**, results differ"
    assert rows["infer_vs_model"] == "– | ≥ 0.95 | not measured"
    text = bench.page(results)
    assert "| rates.ours | 2.5 |" in text
    assert "| rates.theirs | 1 to 2 |" in text
    assert "Skipped: no reason." in text


def test_what_is_not_run_keeps_its_result(tmp_path: Path) -> None:
    path = tmp_path / "results.json"
    path.write_text(json.dumps({"growth_exponent": {"train": 1.0}}))
    before = bench.run(["one_percent_more"], TOY, path, outcomes)["one_percent_more"]
    results = bench.run(["face_crop_vs_facenet"], TOY, path, outcomes)
    assert list(results) == ["face_crop_vs_facenet", "one_percent_more", "growth_exponent"]
    assert results["one_percent_more"] == before
    assert results["growth_exponent"] == {"train": 1.0}
    assert "growth_exponent" not in bench.page(results)


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["--only", "infer_vs_modle"], "no measurement 'infer_vs_modle'; there are face_crop_vs_facenet, "),
        (["--photos", "3"], "at least 32 photos and 1 round are needed"),
    ],
)
def test_a_mistake_is_told_in_one_line(
    arguments: list[str], told: str, repository: Path, tmp_path: Path
) -> None:
    files = ["--results", str(tmp_path / "r.json"), "--page", str(tmp_path / "p.md")]
    ended = subprocess.run(
        [sys.executable, "-m", "benchmarks.bench", *arguments, *files],
        cwd=repository,
        capture_output=True,
        text=True,
        check=False,
    )
    assert ended.returncode == 1
    assert ended.stderr.startswith("error: ")
    assert told in ended.stderr
    assert ended.stderr.count("\n") == 1
    assert not list(tmp_path.iterdir())


@pytest.mark.slow
@pytest.mark.parametrize("key", list(bench.MEASUREMENTS))
def test_every_measurement_runs(key: str) -> None:
    found = bench.apart(key, replace(TOY, heights=(96,)) if key == "train_vs_plain_script" else TOY)
    if found.ratio is None:
        assert found.note.startswith("skipped: ")
        return
    # Of so few photos the time to start is most, so that a difference of two runs may be anything.
    assert found.ratio > 0 or key == "one_percent_more"
    assert found.holds
    assert found.figures
    json.dumps(found.figures, allow_nan=False)
