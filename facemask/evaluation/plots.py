"""Pictures and plot data of the evaluate stage; the same numbers give the same bytes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
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
from facemask.runtime import files

TITLES: Final = {"oof": "out-of-fold", "holdout": "hold-out"}
COLOURS: Final = {"oof": "#1f6f8b", "holdout": "#e08e45"}
INK: Final = "#22303c"
PALE: Final = "#8a97a3"
FAINT: Final = "#d9e0e6"
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
    """Write plot data (CSV) and pictures (PNG) of the splits ``oof`` and, where there is one, ``holdout``.

    The folder then holds ``confusion_{class,mask,gender,age}.csv`` (one row an out-of-fold photo: actual,
    predicted), ``f1.csv`` and ``reliability.csv`` (with a column ``split``), and the pictures
    ``confusion.png``, ``attributes.png``, ``f1.png`` and ``reliability.png``; what an earlier run left there
    is gone.
    """
    with files.replacing(folder) as temporary, mpl.rc_context():
        mpl.rcdefaults()
        mpl.rcParams.update(STYLE)
        temporary.mkdir()
        _write_tables(found, temporary)
        _save(confusion(found["oof"]), temporary / "confusion.png")
        _save(attributes(found), temporary / "attributes.png")
        _save(f1(found), temporary / "f1.png")
        _save(reliability(found), temporary / "reliability.png")


def labels(name: str) -> list[str]:
    """Name the values of ``class`` or an attribute, led by their number so that they sort in class order."""
    values = classes.NAMES if name == "class" else classes.ATTRIBUTES[name]
    width = len(str(len(values) - 1))
    return [f"{number:0{width}d} {value}" for number, value in enumerate(values)]


def _write_tables(found: Mapping[str, Result], folder: Path) -> None:
    for name, table in found["oof"].tables.items():
        names = labels(name)
        pairs = [(names[i], names[j]) for i, j in np.ndindex(*table.shape) for _ in range(table[i, j])]
        _csv(folder / f"confusion_{name}.csv", ("actual", "predicted"), pairs)
    scores: list[Sequence[Any]] = []
    bins: list[Sequence[Any]] = []
    for split, result in found.items():
        each, curve = _each(result), result.reliability
        occurring = [k for k in range(classes.COUNT) if not np.isnan(each[k, 0])]
        scores += [(labels("class")[k], *each[k], TITLES[split]) for k in occurring]
        filled = np.flatnonzero(curve.photos).tolist()
        bins += [(curve.confidence[m], curve.accuracy[m], curve.photos[m], TITLES[split]) for m in filled]
    _csv(folder / "f1.csv", ("class", "f1", "low", "high", "split"), scores)
    _csv(folder / "reliability.csv", ("confidence", "accuracy", "photos", "split"), bins)


def _each(result: Result) -> npt.NDArray[np.float64]:
    """Return F1 a class with its limits (18, 3); NaN for what is undefined."""
    limits = np.full((2, classes.COUNT), np.nan) if result.limits is None else result.limits["f1"]
    return np.column_stack([result.scores["f1"], *limits])


def _csv(path: Path, header: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    lines = [",".join(header)]
    for row in rows:
        cells = [f"{value:.6g}" if isinstance(value, float) else str(value) for value in row]
        lines.append(",".join("" if cell == "nan" else cell for cell in cells))
    path.write_text("\n".join(lines) + "\n", encoding="utf-8", newline="\n")


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
            axes.set_title(f"{name}: macro-F1 {result.scores[f'{name}_macro_f1']:.3f}")
        row[0].set_ylabel(f"{TITLES[split]}\ntrue")
    return figure


def f1(found: Mapping[str, Result]) -> Figure:
    """Draw the F1 of each class with its interval."""
    figure = _figure(10.5, 6.8)
    axes = figure.add_subplot()
    step = 0.36
    for place, (split, result) in enumerate(found.items()):
        each, colour = _each(result), COLOURS[split]
        where = np.arange(classes.COUNT) + (place - (len(found) - 1) / 2) * step
        axes.hlines(where, each[:, 1], each[:, 2], color=colour, linewidth=4, alpha=0.3)
        axes.plot(
            each[:, 0], where, "o", color=colour, markersize=6, clip_on=False, label=_heading(split, result)
        )
        for position in where[np.isnan(each[:, 0])]:
            axes.text(
                0.008, position, f"{TITLES[split]}: does not occur", va="center", fontsize=7, color=PALE
            )
        axes.axvline(
            float(result.scores["macro_f1"]), color=colour, linestyle=(0, (4, 3)), linewidth=1.1, zorder=0
        )
    for edge in range(classes.COUNT - 1):
        axes.axhline(edge + 0.5, color=FAINT, linewidth=1.4 if edge % 6 == 5 else 0.5, zorder=0)
    axes.set_yticks(range(classes.COUNT), classes.NAMES)
    axes.set_ylim(classes.COUNT - 0.5, -0.5)
    axes.set_xlim(-0.015, 1.015)
    axes.set_xlabel("F1 (dot), its interval over people (bar), and the macro-F1 of the 18 classes (dashed)")
    axes.set_title("F1 of each class")
    axes.grid(axis="x", color=FAINT)
    axes.set_axisbelow(True)
    axes.tick_params(axis="y", length=0)
    figure.legend(loc="outside lower center", ncols=len(found), frameon=False)
    return figure


def reliability(found: Mapping[str, Result]) -> Figure:
    """Draw accuracy against confidence, and how many photos each bin holds."""
    figure = _figure(5.2 * len(found) if len(found) > 1 else 6.2, 5.6)
    grid = figure.subplots(2, len(found), squeeze=False, height_ratios=[3, 1], sharex=True)
    for column, (split, result) in enumerate(found.items()):
        bins, colour = result.reliability, COLOURS[split]
        middle, width = (bins.edges[:-1] + bins.edges[1:]) / 2, np.diff(bins.edges) * 0.92
        upper, lower = grid[:, column]
        upper.plot([0, 1], [0, 1], color=PALE, linestyle=(0, (4, 3)), linewidth=1)
        upper.bar(middle, np.nan_to_num(bins.accuracy), width, color=colour, alpha=0.35)
        upper.plot(bins.confidence, bins.accuracy, "o", color=colour, markersize=5)
        upper.set(xlim=(0, 1), ylim=(0, 1.02), ylabel="accuracy")
        upper.set_title(f"{_heading(split, result)}\nexpected calibration error {bins.error:.3f}")
        lower.bar(middle, bins.photos, width, color=colour)
        lower.set(ylabel="photos", xlabel="probability of the predicted class")
        for axes in (upper, lower):
            axes.grid(axis="y", color=FAINT)
            axes.set_axisbelow(True)
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
