"""The summary printed last: every score with its limits, only what there is, and what to beware of."""

import json
from pathlib import Path

import pytest

from facemask.commands import scores
from facemask.records import left_out
from facemask.runtime.errors import UserError
from facemask.scoring import metrics

COUNTS = {"dataset": "mine", "people": 1234}


def some(value, **more):
    found = {"photos": 1470, "people": 210, "ece": 0.0814, "log_loss": 0.7}
    for key in metrics.KEYS:
        found |= {key: value, f"{key}_low": value - 0.05, f"{key}_high": value + 0.05}
    return found | more


def line(text, start):
    return next(row for row in text.splitlines() if start in row)


@pytest.fixture
def written(tmp_path, monkeypatch):
    """Writes what the stages leave, in a log file's surroundings, narrower than the table."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "40")
    for name in ("FORCE_COLOR", "TTY_COMPATIBLE", "TTY_INTERACTIVE"):
        monkeypatch.delenv(name, raising=False)

    def write(details, answers=None, counts=COUNTS):
        contents = {
            scores.DETAILS: details,
            scores.ANSWERS: answers or {"photos": 140, "scored": 0},
            scores.COUNTS: counts,
        }
        for path, content in contents.items():
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(json.dumps(content))

    return write


def test_all_three_columns_stand_on_one_line_a_score(written):
    answers = {"photos": 280, "scored": 250, "log_loss": 0.5, **dict.fromkeys(metrics.KEYS, 0.5432)}
    written({"confidence": 0.9, "oof": some(0.612), "holdout": some(0.587)}, answers)
    text = scores.render()
    assert line(text, "18-class macro-F1").split()[2:] == [
        "0.612",
        "0.562-0.662",
        "0.587",
        "0.537-0.637",
        "0.543",
    ]
    assert line(text, "calibration error").split()[2:] == ["0.081", "0.081", "-"]
    assert line(text, "log loss").split()[2:] == ["0.700", "0.700", "0.500"]
    assert line(text, "out-of-fold").split() == ["out-of-fold", "hold-out"]
    for label in ("accuracy", "mask macro", "gender macro", "age macro"):
        assert len([word for word in line(text, label).split() if word.startswith("0.")]) == 5
    assert "90% interval" in text
    assert "250 photos" in text
    assert "\x1b" not in text
    assert text.splitlines()[0] == "Data set 'mine', 1,234 labelled people; official age bands"
    assert text.splitlines()[-1].startswith("next: dvc ")
    assert not [line for line in text.splitlines() if line.endswith(" ")]


def test_columns_that_do_not_exist_are_left_out(written):
    written({"confidence": 0.95, "oof": some(0.5)})
    text = scores.render()
    assert "hold-out" not in text
    assert "eval" not in text
    assert line(text, "age macro-F1").split()[2:] == ["0.500", "0.450-0.550"]


def test_no_intervals_no_word_of_them(written):
    bare = some(0.5) | {f"{key}_{end}": None for key in metrics.KEYS for end in ("low", "high")}
    written({"confidence": 0.95, "oof": bare})
    text = scores.render()
    assert "interval" not in text
    assert line(text, "accuracy").split()[-1] == "0.500"


@pytest.mark.parametrize(
    ("level", "told"), [(0.975, "97.5%"), (0.995, "99.5%"), (0.57, "57%"), (0.95, "95%")]
)
def test_the_coverage_is_not_rounded(written, level, told):
    written({"confidence": level, "oof": some(0.5)})
    assert line(scores.render(), "interval").startswith(f"a-b: {told} interval")


def test_what_to_beware_of_is_told(written):
    people = {"mask male <30": 40, "normal male >=60": 9, "normal female >=60": 3}
    written({"eval_photos_used": True, "oof": some(0.5, people_of_class=people)})
    text = scores.render(["fix_labels", "train@0"])
    assert "the workspace is newer than these scores (fix_labels, train@0 changed): run `dvc repro`" in text
    assert "2 of 3 classes have fewer than 10 people out-of-fold (fewest: normal female >=60, 3)" in text
    assert "learnt from the eval photos" in text


def test_what_the_stages_left_out_stands_above_the_numbers(written):
    told = left_out.line(
        "fix_labels", 84, "photos", {"unreadable (HEIC)": 20, "unreadable (empty)": 8, "other": 0}
    )
    assert told == "fix_labels: of 84 photos 20 unreadable (HEIC), 8 unreadable (empty)"
    nothing = left_out.line("face_crop", 84, "photos", {"unreadable": 0})
    answered = left_out.line("infer", 84, "eval photos", {"unreadable, answered by a constant": 42})
    written({"oof": some(0.5)})
    for stage, one in (("infer", answered), ("fix_labels/about", told), ("face_crop/about", nothing)):
        left_out.keep(Path("data") / stage, one)
    lines = scores.render().splitlines()
    assert lines[:2] == [told, answered]
    assert lines[2].startswith("Data set")
    assert "face_crop" not in scores.render()


def test_nothing_is_warned_of_without_a_reason(written):
    written({"eval_photos_used": False, "oof": some(0.5, people_of_class={"mask male <30": 10})})
    text = scores.render()
    assert not [word for word in ("newer", "fewer", "learnt") if word in text]


@pytest.mark.parametrize("content", [None, "{", "[]", "{}"], ids=["missing", "cut off", "a list", "empty"])
@pytest.mark.parametrize("path", [scores.DETAILS, scores.ANSWERS, scores.COUNTS], ids=lambda path: path.name)
def test_what_a_stage_did_not_write_is_told(written, content, path):
    written({"oof": some(0.5)})
    path.unlink()
    if content is not None:
        Path(path).write_text(content)
    if content == "{}" and path == scores.ANSWERS:
        assert "eval" not in scores.render()
        return
    with pytest.raises(UserError, match=rf"{path.name}.*run `dvc repro"):
        scores.render()
