"""Submissions: the order of info.csv, one answer a photo, never a broken table."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

from facemask.runtime.errors import UserError
from facemask.submission import submission

IDS = pd.Series(["b.jpg", "a.jpg", "007.jpg"])


def table(classes: list[int]) -> np.ndarray:
    return np.eye(18)[classes] * 0.5 + 0.5 / 18


def test_answers_stand_in_the_order_of_the_ids(tmp_path):
    submission.write(tmp_path, IDS, table([3, 17, 0]))
    assert (tmp_path / "submission.csv").read_text() == "ImageID,ans\nb.jpg,3\na.jpg,17\n007.jpg,0\n"
    found = pd.read_csv(tmp_path / "probabilities.csv")
    assert found["ImageID"].tolist() == IDS.tolist()
    assert found.drop(columns="ImageID").to_numpy().argmax(1).tolist() == [3, 17, 0]


def test_no_eval_photos_give_a_header(tmp_path):
    submission.write(tmp_path, IDS[:0], table([]))
    assert (tmp_path / "submission.csv").read_text() == "ImageID,ans\n"


def test_an_id_twice_is_told(tmp_path):
    with pytest.raises(UserError, match=r"a\.jpg occurs twice"):
        submission.write(tmp_path, pd.Series(["a.jpg", "b.jpg", "a.jpg"]), table([0, 1, 2]))
    assert not (tmp_path / "submission.csv").exists()


@pytest.mark.parametrize("broken", [table([0, 1]), table([0, 1, 2]) * 2, np.full((3, 18), np.nan)])
def test_a_broken_table_is_never_written(tmp_path, broken):
    with pytest.raises(ValueError, match="probabilities"):
        submission.write(tmp_path, IDS, broken)
    assert not (tmp_path / "submission.csv").exists()


def test_equal_answers_have_equal_digests_whatever_their_probabilities(tmp_path):
    one = submission.write(tmp_path / "one", IDS, table([3, 17, 0]))
    surer = submission.write(tmp_path / "two", IDS, np.eye(18)[[3, 17, 0]])
    other = submission.write(tmp_path / "three", IDS, table([3, 17, 1]))
    assert one == surer != other
