"""What was left out is told with its counts, and nothing is told where all went well."""

import copy
import json

import pytest

from facemask.report import omissions
from facemask.runtime.errors import UserError

SETS = {"labelled": 840, "eval": 280, "extra": 0, "unlabelled": 0}
FACES = {"found": 1, "fixed": 1, "person": 0, "median": 0, "frame": 0, "unreadable": 2}
WELL = {
    "fix_labels": {"dataset": "mine", "people": 120, "photos": SETS, "unreadable": dict.fromkeys(SETS, 0)}
    | {"missing": 0, "ignored": 0, "fixes": {"not_trusted": 0}},
    "face_crop": {name: {"status": dict(FACES)} for name in SETS},
    "background_removal": {name: {"status": {"ok": 9, "empty": 0, "none": 7}} for name in SETS},
    "build_manifest": {"extra": {"people_barred": 0, "people": 5}},
    "infer": {"unreadable": 0, "photos": 280},
}


@pytest.fixture
def counts():
    return copy.deepcopy(WELL)


def test_nothing_is_told_where_all_went_well(counts):
    assert omissions.found(counts) == []


def test_all_is_told_with_its_counts(counts):
    counts["fix_labels"] |= {"unreadable": SETS | {"labelled": 3, "eval": 2}, "missing": 4, "ignored": 5}
    counts["fix_labels"]["fixes"]["not_trusted"] = 6
    counts["face_crop"]["labelled"]["status"] |= {"person": 30, "median": 1}
    counts["background_removal"]["eval"]["status"]["empty"] = 7
    counts["build_manifest"]["extra"]["people_barred"] = 1
    counts["infer"]["unreadable"] = 2
    assert [one.line for one in omissions.found(counts)] == [
        "photos that cannot be read: 3 of 840 labelled, 2 of 280 eval",
        "eval photos answered without looking: 2 of 280 eval",
        "boxes borrowed because no face was found: 31 of 840 labelled",
        "photos without a matte: 7 of 280 eval",
        "photos that a person lacks: 4 labelled",
        "label fixes not applied: 6 in data/label_fixes.csv",
        "people of extra data sets left out: 1 of 5 extra",
        "files passed over: 5 in the data set",
    ]


FILES = {stage: f"{stage}/about/counts.json" for stage in omissions.NEEDED} | {"infer": "infer/about.json"}


def write(counts, folder):
    """Write counts where the stages leave them; returns the stages' folders."""
    for stage, path in FILES.items():
        (folder / path).parent.mkdir(parents=True, exist_ok=True)
        (folder / path).write_text(json.dumps(counts[stage]))
    return [folder / stage for stage in FILES]


def test_counts_are_read_where_the_stages_leave_them(counts, tmp_path):
    places = write(counts, tmp_path)
    assert omissions.read(*places) == counts
    (tmp_path / FILES["infer"]).unlink()
    with pytest.raises(UserError, match="infer/about.json: no such file; run `dvc repro infer`"):
        omissions.read(*places)


@pytest.mark.parametrize("stage", FILES)
def test_counts_of_another_version_are_told(counts, tmp_path, stage):
    places = write(counts | {stage: {}}, tmp_path)
    with pytest.raises(UserError, match=f"{FILES[stage]}: no '\\w+'; run `dvc repro -f {stage}`"):
        omissions.read(*places)
