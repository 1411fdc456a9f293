"""The log of submissions: nothing that was logged is lost, and what to beware of is told."""

from __future__ import annotations

import hashlib
import json
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from facemask.commands import submissions
from facemask.records import classes, tables
from facemask.runtime.errors import UserError
from facemask.scoring import predictions
from facemask.submission import drift, entries, log


class Project:
    """Submissions one after the other, in the current folder; every one's file can be found by its MD5."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.count = folder, 0

    def find(self, md5: str) -> Path | None:
        path = self.folder / "cache" / md5
        return path if path.exists() else None

    def submit(
        self, answers, *, oof: float = 0.7, drifts: str = "", names: str = "p"
    ) -> tuple[str, list[str]]:
        self.count += 1
        path = self.folder / "submission.csv"
        ids = [f"{names}{number}.jpg" for number in range(len(answers))]
        tables.write(path, pd.DataFrame({"ImageID": ids, "ans": list(answers)}), tables.SUBMISSION)
        entry = {
            "date": f"2026-01-01T00:00:{self.count:06d}",
            "revision": "abc1234",
            "params": "0" * 12,
            "oof": oof,
        }
        entry |= {"log_loss": 0.5, "counts": " ".join(["1"] * 18), "drift": drifts, "eval_photos_used": "no"}
        told = log.append(self.folder, entry, path, self.find)
        md5 = hashlib.md5(path.read_bytes()).hexdigest()
        (self.folder / "cache").mkdir(exist_ok=True)
        (self.folder / "cache" / md5).write_bytes(path.read_bytes())
        return md5, told


@pytest.fixture
def project(tmp_path, monkeypatch) -> Project:
    monkeypatch.chdir(tmp_path)
    return Project(tmp_path)


def test_rows_are_added_in_order_and_agree_with_the_last_and_the_best(project):
    first, told = project.submit([1, 2, 3, 4], oof=0.9)
    assert told == []
    project.submit([1, 2, 3, 5], oof=0.5)
    project.submit([1, 2, 0, 5], oof=0.6)
    rows = log.read(Path())
    assert rows["oof"].tolist() == [0.9, 0.5, 0.6]
    assert rows["as_last"].tolist()[1:] == [0.75, 0.75]
    assert rows["as_best"].tolist()[1:] == [0.75, 0.5]
    assert np.isnan(rows["as_last"][0])
    # The best is the leaderboard's, once it has spoken.
    log.note(Path(), first, 0.2, None)
    log.note(Path(), rows["md5"][1], 0.8, None)
    project.submit([1, 2, 3, 5][::-1])
    assert log.read(Path())["as_best"].iloc[-1] == 0.0


def test_the_same_answers_warn_and_twice_running_are_one_row(project):
    project.submit([1, 2, 3])
    assert "not logged again" in project.submit([1, 2, 3])[1][0]
    assert len(log.read(Path())) == 1
    project.submit([1, 2, 4])
    assert "same answers as an earlier" in project.submit([1, 2, 3])[1][0]
    assert len(log.read(Path())) == 3


def test_answers_that_are_gone_or_for_other_photos_are_unknown(project):
    first, _ = project.submit([1, 2, 3])
    (project.folder / "cache" / first).unlink()
    project.submit([1, 2, 4])
    project.submit([1, 2, 4], names="q")
    assert log.read(Path())["as_last"].isna().all()


def test_drift_warns(project):
    assert "the shares of age, gender differ" in project.submit([1], drifts="age, gender")[1][0]


def test_rows_survive_a_file_that_goes_back(project):
    """An experiment that is applied, or another branch, brings an older file: later rows come back."""
    project.submit([1, 2, 3])
    older = Path(log.NAME).read_text()
    second, _ = project.submit([1, 2, 4])
    log.note(Path(), second, 0.5, "kept")
    for content in (older, None):
        Path(log.NAME).write_text(content) if content else Path(log.NAME).unlink()
        rows = log.read(Path())
        assert rows["note"].tolist() == ["", "kept"]
    project.submit([1, 2, 5])
    assert len(Path(log.NAME).read_text().splitlines()) == 4


def test_what_a_person_mends_in_the_file_counts(project):
    project.submit([1, 2, 3])
    Path(log.NAME).write_text(Path(log.NAME).read_text().replace("0.7", "0.6"))
    assert log.read(Path())["oof"].tolist() == [0.6]


def test_notes_are_by_the_beginning_of_a_hash(project):
    first, _ = project.submit([1, 2, 3])
    second, _ = project.submit([1, 2, 4])
    row = log.note(Path(), first[:8].upper(), 0.8, 'a, "b"\n홍')
    assert row["public"] == 0.8
    assert log.read(Path())["note"][0] == 'a, "b"\n홍'
    log.note(Path(), first[:8], 0.81, None)
    assert log.read(Path())["note"][0] == 'a, "b"\n홍'
    assert log.read(Path())["public"].tolist()[0] == 0.81
    for start, public, told in (
        ("zz", 0.5, f"fits no submission .the last is {second[:8]}"),
        ("", 0.5, "fits several"),
        (first, 80, "between 0 and 1"),
        (first, float("nan"), "between 0 and 1"),
    ):
        with pytest.raises(UserError, match=told):
            log.note(Path(), start, public, None)


def test_a_damaged_log_is_told_and_left(project):
    Path(log.NAME).write_text("date,md5\nx\n")
    with pytest.raises(UserError, match=r"submissions\.csv: line 2"):
        project.submit([1])
    assert Path(log.NAME).read_text() == "date,md5\nx\n"


@pytest.mark.slow
def test_two_at_once_lose_nothing(project):
    script = Path("both.py")
    script.write_text(
        "import sys, pandas as pd\nfrom pathlib import Path\nfrom facemask.records import tables\n"
        "from facemask.submission import log\n"
        "k = int(sys.argv[1])\n"
        "for n in range(8):\n"
        "    path = Path(f'{k}.csv')\n"
        "    tables.write(path, pd.DataFrame({'ImageID': ['a', 'b', 'c'], 'ans': [k, n, 0]}), tables.SUBMISSION)\n"
        "    row = {'date': f'{k}-{n}', 'revision': '', 'params': '', 'oof': .5, 'log_loss': .5}\n"
        "    log.append(Path(), row | {'counts': '', 'drift': '', 'eval_photos_used': 'no'}, path, lambda md5: None)\n"
    )
    root = Path(__file__).resolve().parents[2]
    running = [
        subprocess.Popen([sys.executable, "both.py", str(k)], env={"PYTHONPATH": str(root), "PATH": ""})
        for k in (1, 2)
    ]
    assert [one.wait() for one in running] == [0, 0]
    assert len(log.read(Path())) == 16


def thousand(seed: int = 0) -> pd.DataFrame:
    rng = np.random.default_rng(seed)
    oof = rng.uniform(0.4, 0.7, 1000)
    return pd.DataFrame(
        {"date": [f"2026-01-01T00:{k:08d}" for k in range(1000)], "md5": [f"{k:032x}" for k in range(1000)]}
        | {"revision": "abc1234+", "params": "0" * 12, "photos": 12600, "oof": oof, "log_loss": 0.5}
        | {
            "as_last": 0.9,
            "as_best": 0.8,
            "counts": " ".join(["700"] * 18),
            "drift": "",
            "eval_photos_used": "no",
            "note": "",
        }
        | {"public": np.where(np.arange(1000) % 2, np.nan, oof + 0.1)}
    )


def test_a_thousand_rows_are_no_trouble(project):
    tables.write(Path(log.NAME), thousand(), log.SCHEMA)
    start = time.process_time()
    project.submit(range(18))
    text = submissions.render(log.read(Path()), submissions.LAST)
    assert time.process_time() - start < 2
    assert "981 older ones: --all" in text


def test_the_correlation_is_of_rows_that_both_scored():
    rows = thousand()
    assert submissions.correlation(rows) == (pytest.approx(1.0), 500)
    assert (
        "correlation of out-of-fold and leaderboard +1.00 (n = 500); on average the leaderboard is +0.100"
        in (submissions.render(rows, 5))
    )
    for count in (0, 2):
        few = rows.assign(public=[0.5, 0.6][:count] + [np.nan] * (1000 - count))
        assert np.isnan(submissions.correlation(few)[0])
        assert f"{count} leaderboard scores" in submissions.render(few, 5)
    assert "infer.log true" in submissions.render(rows.iloc[:0], 5)


def shares(*age: float) -> np.ndarray:
    """2,800 photos of 400 people by age band, in all masks and both genders."""
    whole = np.einsum("i,j,k->ijk", [5 / 7, 1 / 7, 1 / 7], [0.5, 0.5], np.array(age) / sum(age))
    return np.rint(2800 * whole).astype(np.int64).reshape(18)


def test_equal_shares_do_not_drift_and_far_ones_do():
    plain = shares(50, 40, 10)
    assert drift.beyond_chance(drift.probabilities(plain, plain, 7)) == []
    found = drift.probabilities(shares(40, 40, 20), plain, 7)
    assert drift.beyond_chance(found) == ["age"]
    assert found == drift.probabilities(shares(40, 40, 20), plain, 7)


def test_photos_of_a_person_are_not_counted_as_people():
    """A move that 2,800 people would show and 400 do not."""
    moved, plain = shares(47, 40, 13), shares(50, 40, 10)
    assert drift.probabilities(moved, plain, 1)["age"] < 0.001
    assert drift.probabilities(moved, plain, 7)["age"] > 0.05


@pytest.mark.slow
def test_chance_alone_rarely_drifts():
    rng = np.random.default_rng(0)
    called = 0
    for _ in range(60):
        sets = []
        for people in (40, 120):
            kind = rng.integers(0, 2, people) * 3 + rng.choice(3, people, p=[0.5, 0.4, 0.1])
            photos = (np.array([0, 0, 0, 0, 0, 1, 2])[None] * 6 + kind[:, None]).ravel()
            sets.append(np.bincount(photos, minlength=18))
        called += bool(drift.beyond_chance(drift.probabilities(*sets, 7)))
    assert called <= 8


def test_an_entry_says_where_answers_come_from(project):
    table = np.eye(18)[[0, 0, 5]]
    frame = pd.DataFrame({"photo": ["a", "b"], "person": ["x", "y"], "class": [0, 5]})
    frame[list(classes.columns())] = np.eye(18)[[0, 5]]
    tables.write(Path("combine/oof.csv"), frame, predictions.COMBINED)
    Path("combine/about.json").write_text(json.dumps({"oof": {"macro_f1": 0.61, "log_loss": 1.2}}))
    Path("params.yaml").write_text("seed: 1\n")
    found = entries.entry(table, Path("combine"), "abc1234+", eval_photos_used=True)
    assert (found["oof"], found["log_loss"], found["revision"]) == (0.61, 1.2, "abc1234+")
    assert found["eval_photos_used"] == "yes"
    assert found["counts"].split()[:6] == ["2", "0", "0", "0", "0", "1"]
    Path("params.yaml").write_text("seed: 2\n")
    assert (
        entries.entry(table, Path("combine"), "abc1234+", eval_photos_used=True)["params"] != found["params"]
    )


def test_use_of_eval_photos_is_told_and_unknown_in_older_logs(project):
    project.submit([1, 2])
    path = Path(log.NAME)
    assert "eval used" not in submissions.render(log.read(Path()), 20)
    path.write_text(path.read_text().replace(",no,", ",yes,"))
    (log.KEPT / log.NAME).unlink()
    assert "eval used" in submissions.render(log.read(Path()), 20)
    lines = [line.split(",") for line in path.read_text().splitlines()]
    place = lines[0].index("eval_photos_used")
    path.write_text("".join(",".join(line[:place] + line[place + 1 :]) + "\n" for line in lines))
    assert log.read(Path())["eval_photos_used"].tolist() == [""]
    project.submit([3, 4])
    assert log.read(Path())["eval_photos_used"].tolist() == ["", "no"]
