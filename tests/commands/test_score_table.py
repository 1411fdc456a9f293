"""The summary printed last: every score with its limits, whatever the width, and only what there is."""

import json

import pytest

from facemask.commands import score_table
from facemask.runtime.errors import UserError
from facemask.scoring import metrics


def scores(value, **more):
    found = {"photos": 1470, "people": 210, "ece": 0.0814}
    for key in metrics.KEYS:
        found |= {key: value, f"{key}_low": value - 0.05, f"{key}_high": value + 0.05}
    return found | more


def write(folder, name, content):
    (folder / name).write_text(json.dumps(content))


def line(text, start):
    return next(row for row in text.splitlines() if start in row)


@pytest.fixture
def plain(monkeypatch):
    """A log file, narrower than the table."""
    monkeypatch.setenv("COLUMNS", "40")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)


def test_all_three_columns_stand_on_one_line_a_score(tmp_path, plain):
    write(tmp_path, "evaluate.json", {"confidence": 0.9, "oof": scores(0.612), "holdout": scores(0.587)})
    eval_scores = dict.fromkeys(metrics.KEYS, 0.5432)
    write(tmp_path, "infer.json", {"photos": 280, "scored": 280, **eval_scores})
    text = score_table.render(tmp_path)
    assert line(text, "18-class macro-F1").split()[2:] == [
        "0.612",
        "0.562-0.662",
        "0.587",
        "0.537-0.637",
        "0.543",
    ]
    assert line(text, "calibration error").split()[2:] == ["0.081", "0.081", "-"]
    assert line(text, "out-of-fold").split() == ["out-of-fold", "hold-out"]
    for label in ("accuracy", "mask macro", "gender macro", "age macro"):
        assert len([word for word in line(text, label).split() if word.startswith("0.")]) == 5
    assert "90% interval" in text
    assert "280 photos" in text
    assert "\x1b" not in text
    assert text.splitlines()[-1].startswith("next: dvc ")
    assert not [line for line in text.splitlines() if line.endswith(" ")]


@pytest.mark.parametrize(
    "answers", [None, {"photos": 140, "scored": 0}], ids=["no infer.json", "no known answers"]
)
def test_columns_that_do_not_exist_are_left_out(tmp_path, plain, answers):
    write(tmp_path, "evaluate.json", {"confidence": 0.95, "oof": scores(0.5)})
    if answers:
        write(tmp_path, "infer.json", answers)
    text = score_table.render(tmp_path)
    assert "hold-out" not in text
    assert "eval" not in text
    assert line(text, "age macro-F1").split()[2:] == ["0.500", "0.450-0.550"]


def test_no_intervals_no_word_of_them(tmp_path, plain):
    bare = scores(0.5) | {f"{key}_{end}": None for key in metrics.KEYS for end in ("low", "high")}
    write(tmp_path, "evaluate.json", {"confidence": 0.95, "oof": bare})
    text = score_table.render(tmp_path)
    assert "interval" not in text
    assert line(text, "accuracy").split()[-1] == "0.500"


@pytest.mark.parametrize(
    ("level", "told"), [(0.975, "97.5%"), (0.995, "99.5%"), (0.57, "57%"), (0.95, "95%")]
)
def test_the_coverage_is_not_rounded(tmp_path, plain, level, told):
    write(tmp_path, "evaluate.json", {"confidence": level, "oof": scores(0.5)})
    assert line(score_table.render(tmp_path), "interval").startswith(f"a-b: {told} interval")


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"], ids=["missing", "cut off", "a list", "empty"])
def test_what_is_no_evaluation_is_told(tmp_path, content):
    if content is not None:
        (tmp_path / "evaluate.json").write_text(content)
    with pytest.raises(UserError, match=r"evaluate\.json.*run `dvc repro"):
        score_table.render(tmp_path)
