"""The learning-rate finder's picture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from matplotlib.figure import Figure

from facemask.commands import rate_curve

RATES = np.logspace(-6, 0, 50)
LOSSES = np.where(RATES < 0.1, 3 - np.arange(50) / 25, 100.0)


@pytest.fixture
def drawn(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Figure:
    kept, save = [], Figure.savefig

    def savefig(figure: Figure, *arguments: object, **options: object) -> None:
        kept.append(figure)
        save(figure, *arguments, **options)

    monkeypatch.setattr(Figure, "savefig", savefig)
    rate_curve.draw(RATES, LOSSES, 0.003, tmp_path / "lr.png")
    assert (tmp_path / "lr.png").read_bytes().startswith(b"\x89PNG")
    return kept[0]


@pytest.mark.slow
def test_the_curve_is_drawn_and_the_suggestion_marked(drawn: Figure) -> None:
    curve, mark = drawn.axes[0].lines
    assert np.array_equal(curve.get_xydata(), np.stack([RATES, LOSSES], 1))
    assert list(mark.get_xdata()) == [0.003, 0.003]
    assert drawn.axes[0].get_xscale() == "log"


@pytest.mark.slow
def test_a_loss_that_ran_away_does_not_flatten_what_came_before(drawn: Figure) -> None:
    low, high = drawn.axes[0].get_ylim()
    lowest = LOSSES[RATES < 0.1].min()
    assert low < lowest < 3 < high < 4
