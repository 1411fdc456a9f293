"""The trainer's cuts: what is written is read, and what cannot be read is told."""

from __future__ import annotations

from pathlib import Path

import pytest

from facemask.records import bands
from facemask.runtime.errors import UserError


def test_cuts_come_back(tmp_path: Path) -> None:
    bands.write(tmp_path, bands.Cuts(25, 58))
    assert bands.read(tmp_path) == bands.Cuts(young=25, old=58)


def test_missing_cuts_are_told_with_a_remedy(tmp_path: Path) -> None:
    with pytest.raises(UserError, match=r"bands\.json: no such file; run `dvc repro build_manifest`"):
        bands.read(tmp_path)


@pytest.mark.parametrize("content", ["", "{}", "[1]", '{"young_cut": null, "age_cut": 60}'])
def test_damaged_cuts_are_told_with_a_remedy(content: str, tmp_path: Path) -> None:
    (tmp_path / bands.NAME).write_text(content)
    with pytest.raises(UserError, match=r"bands\.json: damaged; run `dvc repro -f build_manifest`"):
        bands.read(tmp_path)
