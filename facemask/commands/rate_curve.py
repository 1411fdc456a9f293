"""The learning-rate finder's curve, as a picture."""

from __future__ import annotations

from pathlib import Path

import matplotlib as mpl
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from facemask.runtime import files
from facemask.runtime.arrays import Floats

LINE, MARK, INK = "#1f6f8b", "#e08e45", "#22303c"


def draw(rates: Floats, losses: Floats, suggestion: float, path: Path) -> None:
    """Write a PNG of the smoothed loss, (N,), against the learning rate, (N,), with the suggested rate marked."""
    with mpl.rc_context():
        mpl.rcdefaults()
        figure = Figure(figsize=(6, 3.6), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        axes.plot(rates, losses, color=LINE)
        axes.axvline(suggestion, color=MARK, linestyle="--", label=f"falls fastest at {suggestion:.2g}")
        axes.set_xscale("log")
        # A loss that has run away would flatten all that comes before.
        before = losses[: losses.argmin() + 1]
        axes.set_ylim(before.min() * 0.97, before.max() * 1.03)
        axes.set_xlabel("learning rate", color=INK)
        axes.set_ylabel("training loss, smoothed", color=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.legend(frameon=False)
        with files.replacing(path) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})
