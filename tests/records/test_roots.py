"""Which folder a photo's key belongs to."""

from __future__ import annotations

from pathlib import Path

import pytest

from facemask.records import roots
from facemask.records.roots import Roots


@pytest.mark.parametrize(
    ("key", "name", "place"),
    [
        ("train/images/1_male_Asian_20/a.jpg", "", "main/train/images/1_male_Asian_20/a.jpg"),
        ("eval/images/extra.jpg", "", "main/eval/images/extra.jpg"),
        ("extra/eval/unlabelled/a b/c.png", "eval", "more/eval/unlabelled/a b/c.png"),
        ("extra/synthesise/train/images/f/a.jpg", "synthesise", "drawn/train/images/f/a.jpg"),
    ],
)
def test_a_key_tells_the_data_set_and_the_file(key: str, name: str, place: str) -> None:
    assert roots.dataset(key) == name
    assert Roots(Path("main"), Path("more"), Path("drawn")).path(key) == Path(place)
