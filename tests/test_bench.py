"""Benchmarks: ratios of medians by turns, what is written, and that every measurement runs."""

from __future__ import annotations

import inspect
import json
import os
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib import import_module
from pathlib import Path

import numpy as np
import pytest
from torch.utils.data import DataLoader

from benchmarks import bench
from benchmarks import finders as compare
from benchmarks.speed import copies, dvc_scale, growth, train_loop, turns, watch
from benchmarks.speed.outcome import Effort, Outcome
from facemask.labels import health
from facemask.records import raw
from facemask.records.roots import Roots
from facemask.settings import loading

TOY = Effort(photos=32, rounds=1, seconds=0.0, heights=(32,), models=("test_resnet",), sizes=(84, 98))


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
    # Of each round's quotient: 4, 225, .06.
    assert turns.ratio(taken, "slow", "fast") == 4
    assert turns.cpu_ratio(taken, "slow", "fast") == 4
    assert turns.spread(taken, "slow", "fast") == [0.06, 225]


def test_turns_go_on_for_as_long_as_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    clock = iter(range(0, 100, 10))
    monkeypatch.setattr(turns.time, "perf_counter", lambda: float(next(clock)))
    calls: list[str] = []
    sides = {"one": takes([1, 2, 3, 4, 5], calls, "one")}
    # The clock is looked at at the start, and after each round from the second on.
    assert len(turns.alternate(sides, 2, seconds=25, warm=False)["one"]) == 4


def test_the_ratio_comes_with_the_bounds_that_chance_leaves_it() -> None:
    one = [turns.Taken(1.0, 1.0)] * 40
    even = [turns.Taken(1 / (1 + k / 1000), 1.0) for k in range(40)]
    # Order statistics of forty rounds: the 14th and the 27th.
    assert turns.interval({"a": one, "b": even}, "a", "b") == [1.013, 1.026]
    assert turns.interval({"a": one[:3], "b": even[:3]}, "a", "b") == [None, None]


class Counted(DataLoader[str]):
    """A loader of epochs of three batches that says how often it was asked; ``workers`` only claims some."""

    def __init__(self, workers: int) -> None:
        self.num_workers, self.prefetch_factor, self.given = workers, 2 if workers else None, 0

    def __iter__(self) -> Iterator[str]:  # type: ignore[override]
        for _ in range(3):
            self.given += 1
            yield f"real {self.given}"


@pytest.mark.parametrize(("workers", "before"), [(0, 0), (1, 2)])
def test_blocks_of_both_loops_take_turns_within_one_training(
    workers: int, before: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = 0.0

    def now() -> turns.Taken:
        return turns.Taken(clock, clock / 2)

    monkeypatch.setattr(turns, "now", now)
    blocks = train_loop.Blocks(Counted(workers), batches=2, rounds=2, seconds=0.0)
    seen = []
    for batch in blocks:
        seen.append(batch)
        # Training on a batch; a real one was also slow to come.
        clock += 2.0 if batch == "real 1" else 3.0
    given = iter(range(2, 100))

    def real() -> list[str]:
        # What lay ready before the block began is thrown away.
        for _ in range(before):
            next(given)
        return [f"real {next(given)}" for _ in range(2)]

    constant = ["real 1"] * 2
    assert seen == [*real(), *constant, *constant, *real(), *real(), *constant]
    # The first round is not counted.
    assert [one.wall for one in blocks.taken["loop"]] == [6.0, 6.0]
    assert [one.wall for one in blocks.taken["constant"]] == [4.0, 4.0]
    assert turns.ratio(blocks.taken, "constant", "loop") == pytest.approx(2 / 3)


def test_a_block_is_no_shorter_than_what_workers_have_ready() -> None:
    assert train_loop.Blocks(Counted(0), batches=4, rounds=1, seconds=0.0).batches == 4
    assert train_loop.Blocks(Counted(5), batches=4, rounds=1, seconds=0.0).batches == 10


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
    path.write_text(json.dumps({"of_another_time": {"train": 1.0}}))
    before = bench.run(["one_percent_more"], TOY, path, outcomes)["one_percent_more"]
    results = bench.run(["face_crop_vs_facenet"], TOY, path, outcomes)
    assert list(results) == ["face_crop_vs_facenet", "one_percent_more", "of_another_time"]
    assert results["one_percent_more"] == before
    assert results["of_another_time"] == {"train": 1.0}
    assert "of_another_time" not in bench.page(results)


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
    files = [f"--{name}={tmp_path / name}" for name in ("results", "page")]
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


@pytest.mark.parametrize("power", [0.5, 1.0, 1.7])
def test_the_exponent_is_that_of_the_growth_beyond_the_start(power: float) -> None:
    seconds = {n: 5 + 0.1 * (n - 70) ** power for n in (70, 1000, 5000, 19000)}
    assert growth.exponent(seconds, 0.0) == pytest.approx(power)
    # Work for the few photos of the start does not bend a straight line.
    assert growth.exponent({n: 5 + 0.01 * n for n in (70, 1000, 5000, 19000)}, 0.0) == pytest.approx(1)


def test_growth_within_the_noise_of_the_start_tells_no_exponent() -> None:
    assert growth.exponent({70: 1.0, 1000: 1.01, 5000: 1.2, 19000: 1.45}, 0.0) is None
    # The size within the noise is left out.
    assert growth.exponent({70: 1.0, 1000: 1.2, 2070: 2.0, 4070: 3.0}, 0.0) == pytest.approx(1)
    bent = {70: 1.0, 1070: 1.9, 2070: 3.0, 4070: 5.0}
    assert growth.exponent(bent, 0.5) == pytest.approx(1)
    assert growth.exponent(bent, 0.4) != pytest.approx(1, abs=0.02)


def test_runs_are_summarised_stage_by_stage() -> None:
    several = [{"train": watch.Spent(*row)} for row in [(9, 1, 70, 6), (2, 5, 60, 9), (3, 2, 80, 7)]]
    assert growth.over(several, statistics.median) == {"train": watch.Spent(3, 2, 70, 7)}
    assert growth.over(several, max) == {"train": watch.Spent(9, 5, 80, 9)}


def test_a_copy_differs_from_its_original_and_from_other_copies() -> None:
    pixels = np.random.default_rng(3).integers(40, 200, (16, 12, 3), dtype=np.uint8)
    seen = {copies.changed(pixels, number).tobytes() for number in range(1176)} | {pixels.tobytes()}
    assert len(seen) == 1177


def test_copies_are_a_contest_folder_of_different_photos(
    contest_folder: Callable[..., Path], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(copies.material, "REAL", contest_folder("original", people=6))
    size = copies.sizes(60)
    assert size == (63, 42)
    copies.write(tmp_path / "whole", size, workers=1)
    few = copies.sizes(14)
    copies.part(tmp_path / "whole", tmp_path / "part", few)
    for folder, wanted in (("whole", size), ("part", few)):
        layout = raw.scan(tmp_path / folder)
        assert (len(layout.train), len(layout.eval), len(layout.notes)) == (*wanted, 0)
        assert layout.train["person"].nunique() == wanted.labelled // 7
        where = Roots(tmp_path / folder, tmp_path, tmp_path)
        checked = health.check(where, [*layout.train["photo"], *layout.eval["photo"]])
        assert set(checked["status"]) == {"ok"}
        assert checked["sha256"].is_unique


def test_small_files_lie_as_the_contests_do(tmp_path: Path) -> None:
    dvc_scale.write(tmp_path / "photos", copies.sizes(21))
    files = [path for path in (tmp_path / "photos").rglob("*") if path.is_file()]
    assert len(files) == 21 + 14
    assert len({path.read_bytes() for path in files}) == len(files)
    assert {path.stat().st_size for path in files} == {dvc_scale.SIZE}


@pytest.mark.slow
@pytest.mark.skipif(not watch.possible(), reason="memory is read from Linux's /proc")
def test_a_lone_process_is_watched_by_its_counters(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "mapped.bin").write_bytes(bytes(90_000_000))
    (tmp_path / "lone.py").write_text(
        "import mmap, time\n"
        "filled = bytearray(b'1') * 120_000_000\n"
        "with open('mapped.bin', 'rb') as opened:\n"
        "    file = mmap.mmap(opened.fileno(), 0, prot=mmap.PROT_READ)\n"
        "seen = sum(file[::4096])\n"
        "time.sleep(1)\n"
    )
    monkeypatch.setattr(watch, "_proportional", lambda pid: pytest.fail("all its pages were walked"))
    spent = watch.run(f"exec {sys.executable} lone.py", tmp_path, os.environ)
    assert 120e6 / 2**20 < spent.own < 200
    assert 90e6 / 2**20 < spent.mapped < 170


@pytest.mark.slow
@pytest.mark.skipif(not watch.possible(), reason="memory is read from Linux's /proc")
def test_a_command_is_watched_with_the_processes_it_starts(tmp_path: Path) -> None:
    child = "import time; filled = bytearray(b'1') * 120_000_000; time.sleep(1)"
    (tmp_path / "child.py").write_text(child)
    (tmp_path / "parent.py").write_text(
        "import subprocess, sys; subprocess.run([sys.executable, 'child.py'])"
    )
    spent = watch.run(f"{sys.executable} parent.py", tmp_path, os.environ)
    assert 120e6 / 2**20 < spent.own < 250
    assert spent.wall > 1
    assert 0 < spent.cpu < spent.wall * 4
    with pytest.raises(RuntimeError, match="no such thing"):
        watch.run("echo no such thing; exit 3", tmp_path, os.environ)


def test_the_stages_that_grow_are_those_of_the_pipeline(tmp_path: Path) -> None:
    growth.make(tmp_path / "project")
    lines = growth.commands(tmp_path / "project")
    assert set(growth.STAGES) == set(lines) - {"check", "sample_data", "synthesise", "audit", "report"}
    assert loading.load(tmp_path / "project" / "params.yaml").data.root == "data/photos"
    assert "--fold 0" in lines["train"]


def test_figures_by_stage_are_a_table() -> None:
    about = {
        "date": "d",
        "cpu": "c",
        "cores": 1,
        "omp_num_threads": "1",
        "load": 0,
        "python": "3",
        "versions": {},
    }
    result = {
        "ratio": 1.0, "target": "≤ 1.1", "met": True, "same_results": True, "note": "",
        "figures": {"by_stage": {"train": {"exponent": 1.0, "s_70": None}}, "processes": 2},
        "effort": {"photos": 1, "rounds": 1}, "surroundings": about,
    }  # fmt: skip
    text = bench.page({"growth_exponent": result})
    assert "| stage | exponent | s 70 |\n|---|---|---|\n| train | 1.0 | – |" in text
    assert "| processes | 2 |" in text


def test_every_measurement_has_its_module() -> None:
    for key, measurement in bench.MEASUREMENTS.items():
        module = import_module(f"benchmarks.speed.{measurement.module}")
        assert list(inspect.signature(module.measure).parameters) == ["effort"], key


@pytest.mark.slow
def test_a_measurement_runs() -> None:
    """One of them, on a few photos; `make bench` runs them all."""
    found = bench.apart("face_crop_vs_facenet", TOY)
    assert found.ratio is not None
    assert found.ratio > 0
    assert found.holds
    assert found.figures
    json.dumps(found.figures, allow_nan=False)


@pytest.mark.slow
def test_finders_are_compared_on_any_folder(shared, tmp_path, monkeypatch):
    monkeypatch.setenv("FACEMASK_MEMO", "0")
    real = shared / "data" / "realfaces"
    for folder in sorted((real / "train" / "images").iterdir())[:2]:
        shutil.copytree(folder, tmp_path / "photos" / "train" / "images" / folder.name)
    model = shared / "models" / "face_detection_yunet_2023mar.onnx"
    text = compare.table(tmp_path / "photos", model, height=256, score=0.6)
    assert "| finder | mask (10) | incorrect (2) | normal (2) | eval (0) | all (14) |" in text
    rates = re.findall(r"^\| `(.+)` \|.* (\d+)\.\d\d% \(\d+ missed\) \|$", text, re.MULTILINE)
    assert [name for name, _ in rates] == ["mtcnn", "yunet", "mtcnn`, then `yunet"]
    assert all(int(rate) > 70 for _, rate in rates)
