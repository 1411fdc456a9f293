"""Confusion matrices as pictures; the same numbers give the same bytes."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import matplotlib as mpl
import numpy as np
import numpy.typing as npt
from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.colors import LinearSegmentedColormap
from matplotlib.figure import Figure
from matplotlib.image import AxesImage
from matplotlib.layout_engine import ConstrainedLayoutEngine

from facemask.evaluation.results import Result
from facemask.records import classes

TITLES: Final = {"oof": "out-of-fold", "holdout": "hold-out"}
INK: Final = "#22303c"
PALE: Final = "#8a97a3"
HEAT: Final = LinearSegmentedColormap.from_list(
    "heat", ["#ffffff", "#cfe6ec", "#6fb0c4", "#1f6f8b", "#0d3b4f"]
)
STYLE: Final[Any] = {
    "font.size": 9,
    "axes.titlesize": 11,
    "axes.titleweight": "bold",
    "axes.titlelocation": "left",
    "axes.edgecolor": PALE,
    "axes.labelcolor": INK,
    "axes.titlecolor": INK,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "xtick.color": INK,
    "ytick.color": INK,
    "text.color": INK,
    "figure.dpi": 110,
}


def draw(found: Mapping[str, Result], folder: Path) -> None:
    """Write ``confusion.png`` (out-of-fold) and ``attributes.png`` (both splits) to ``folder``, which is made."""
    folder.mkdir(parents=True)
    with mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        _save(confusion(found["oof"]), folder / "confusion.png")
        _save(attributes(found), folder / "attributes.png")


def confusion(result: Result) -> Figure:
    """Draw the 18 classes: fractions of each true class as colour, photos as numbers."""
    figure = _figure(10.5, 9.4)
    axes = figure.add_subplot()
    image = _heat(axes, result.tables["class"], list(classes.NAMES), size=7.5)
    axes.tick_params(axis="x", labelrotation=90)
    for edge in range(3, classes.COUNT, 3):
        width = 1.1 if edge % 6 == 0 else 0.4
        axes.axhline(edge - 0.5, color=PALE, linewidth=width)
        axes.axvline(edge - 0.5, color=PALE, linewidth=width)
    axes.set_title(_heading("oof", result))
    bar = figure.colorbar(image, ax=axes, fraction=0.03, pad=0.02)
    bar.set_label("fraction of the true class")
    bar.outline.set_visible(False)
    return figure


def attributes(found: Mapping[str, Result]) -> Figure:
    """Draw mask, gender and age side by side, one row a split."""
    figure = _figure(10.5, 3.6 * len(found))
    grid = figure.subplots(len(found), len(classes.ATTRIBUTES), squeeze=False)
    for row, (split, result) in zip(grid, found.items(), strict=True):
        for axes, (name, values) in zip(row, classes.ATTRIBUTES.items(), strict=True):
            _heat(axes, result.tables[name], list(values), size=10, fractions=True)
            axes.set_title(f"{name}: macro-F1 {result.scores[f'{name}_f1']:.3f}")
        row[0].set_ylabel(f"{TITLES[split]}\ntrue")
    return figure


def _heading(split: str, result: Result) -> str:
    return f"{TITLES[split]}, {result.people:,} people, {result.photos:,} photos"


def _heat(
    axes: Axes, table: npt.NDArray[np.int64], names: list[str], *, size: float, fractions: bool = False
) -> AxesImage:
    """Draw counts as numbers over row fractions as colour."""
    total = table.sum(1, keepdims=True)
    share = np.divide(table, total, out=np.zeros(table.shape), where=total > 0)
    image = axes.imshow(share, cmap=HEAT, vmin=0, vmax=1)
    # Inside their cells the numbers move nothing else; without them the layout is found twice as fast.
    centred: Any = {"ha": "center", "va": "center", "fontsize": size, "in_layout": False}
    for i, j in zip(*np.nonzero(table), strict=True):
        text = f"{share[i, j]:.1%}\n{table[i, j]:,}" if fractions else f"{table[i, j]}"
        axes.text(j, i, text, color="white" if share[i, j] > 0.5 else INK, **centred)
    for row in np.flatnonzero(total[:, 0] == 0).tolist():
        axes.text((len(names) - 1) / 2, row, "no such photo", color=PALE, **centred)
    axes.set_xticks(range(len(names)), names)
    axes.set_yticks(range(len(names)), names)
    axes.set(xlabel="predicted", ylabel="true")
    axes.tick_params(length=0)
    for spine in axes.spines.values():
        spine.set_visible(False)
    return image


def _figure(width: float, height: float) -> Figure:
    """Make a figure with its own canvas: pyplot's global state is never touched."""
    figure = Figure(figsize=(width, height), layout=ConstrainedLayoutEngine(w_pad=0.12, h_pad=0.12))
    FigureCanvasAgg(figure)
    return figure


def _save(figure: Figure, path: Path) -> None:
    # Without this, the file would name matplotlib's version.
    figure.savefig(path, metadata={"Software": None})
