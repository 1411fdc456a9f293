"""How many photos each class has, as labelled and as the trainer sees them, as a bar chart."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import matplotlib as mpl
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from facemask.records import classes
from facemask.runtime import files

BEFORE, AFTER, INK = "#b9c4cd", "#1f6f8b", "#22303c"


def draw(before: Sequence[int], after: Sequence[int], path: Path) -> None:
    """Write a PNG of two bars a class; equal counts give equal bytes.

    Parameters
    ----------
    before, after
        18 counts each: photos by official class, and sightings an epoch by the class that the trainer sees.
    """
    with mpl.rc_context():
        mpl.rcdefaults()
        figure = Figure(figsize=(7.5, 7), dpi=110, layout="constrained")
        FigureCanvasAgg(figure)
        axes = figure.add_subplot()
        rows = np.arange(classes.COUNT)
        axes.barh(rows - 0.2, before, 0.36, color=BEFORE, label="photos, official class")
        axes.barh(rows + 0.2, after, 0.36, color=AFTER, label="seen in an epoch, training class")
        for row, count in zip(rows + 0.2, after, strict=True):
            axes.annotate(
                f"{count:,}", (count, row), (3, 0), textcoords="offset points", va="center", size=7, color=INK
            )
        axes.set_yticks(rows, [f"{number:>2}  {name}" for number, name in enumerate(classes.NAMES)])
        axes.invert_yaxis()
        axes.margins(x=0.08, y=0.01)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.tick_params(axis="y", length=0)
        axes.set_xlabel("photos of people who are not held out, all folds")
        axes.legend(loc="lower right", frameon=False)
        with files.replacing(path) as temporary:
            figure.savefig(temporary, format="png", metadata={"Software": None})
