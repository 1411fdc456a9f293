"""Geometry of the page's charts: scales, ticks and points of inline SVG, which takes its colours from the page."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import numpy as np
from matplotlib.ticker import MaxNLocator

from facemask.runtime.arrays import Floats

# Units of the drawing, which are pixels on a phone.
WIDTH: Final = 340
HEIGHT: Final = 210
LEFT, RIGHT, TOP, BOTTOM = 50, 10, 10, 36


@dataclass(frozen=True)
class Tick:
    """Where a value stands on its axis, in units of the drawing, and what it says."""

    at: float
    text: str


@dataclass(frozen=True)
class Line:
    """A polyline: SVG points, a CSS class and what it shows."""

    points: str
    style: str
    name: str


@dataclass(frozen=True)
class Mark:
    """A rectangle or, with a radius, a circle: its place and size, a CSS class and what it shows."""

    x: float
    y: float
    width: float
    height: float
    style: str
    title: str


@dataclass
class Chart:
    """A chart with two linear axes that are drawn in full, from ``low`` to ``high``.

    Attributes
    ----------
    title, x_label, y_label
        What it shows.
    x, y
        Limits of the axes.
    whole
        Whether ticks of x are whole numbers.
    """

    title: str
    x_label: str
    y_label: str
    x: tuple[float, float]
    y: tuple[float, float]
    whole: bool = False
    lines: list[Line] = field(default_factory=list)
    bars: list[Mark] = field(default_factory=list)
    dots: list[Mark] = field(default_factory=list)
    width: int = WIDTH
    height: int = HEIGHT

    @property
    def frame(self) -> tuple[float, float, float, float]:
        """Left, top, right and bottom of the plotting area."""
        return LEFT, TOP, self.width - RIGHT, self.height - BOTTOM

    @property
    def x_ticks(self) -> list[Tick]:
        """Ticks of x."""
        return [Tick(_at(self.across(value)), text) for value, text in _ticks(self.x, 6, self.whole)]

    @property
    def y_ticks(self) -> list[Tick]:
        """Ticks of y."""
        return [Tick(_at(self.up(value)), text) for value, text in _ticks(self.y, 5)]

    def across(self, value: float) -> float:
        """Where a value of x stands."""
        left, _, right, _ = self.frame
        return left + (value - self.x[0]) / (self.x[1] - self.x[0]) * (right - left)

    def up(self, value: float) -> float:
        """Where a value of y stands."""
        _, top, _, bottom = self.frame
        return bottom - (value - self.y[0]) / (self.y[1] - self.y[0]) * (bottom - top)

    def line(self, x: Iterable[float], y: Iterable[float], style: str, name: str) -> None:
        """Add a line through points; one that is not finite is left out."""
        pairs = [(a, b) for a, b in zip(x, y, strict=True) if np.isfinite(a) and np.isfinite(b)]
        points = " ".join(f"{_at(self.across(a))},{_at(self.up(b))}" for a, b in pairs)
        self.lines.append(Line(points, style, name))

    def steps(self, edges: Floats, heights: Floats, style: str, name: str) -> None:
        """Add the outline of a histogram."""
        y = np.concatenate([[0], np.repeat(heights, 2), [0]])
        self.line(np.repeat(edges, 2).tolist(), y.tolist(), style, name)

    def bar(self, low: float, high: float, height: float, style: str, title: str) -> None:
        """Add a bar from ``low`` to ``high`` on x."""
        left, right, top, bottom = self.across(low), self.across(high), self.up(height), self.up(0)
        gap = min(1.0, (right - left) / 10)
        place = _at(left + gap), _at(top), _at(right - left - 2 * gap), _at(bottom - top)
        self.bars.append(Mark(*place, style, title))

    def dot(self, x: float, y: float, radius: float, style: str, title: str) -> None:
        """Add a dot."""
        self.dots.append(Mark(_at(self.across(x)), _at(self.up(y)), _at(radius), _at(radius), style, title))


def above(values: Iterable[float]) -> float:
    """Return a round number that no finite value exceeds; 1 where there is none above 0."""
    highest = max((value for value in values if np.isfinite(value)), default=0.0)
    return float(MaxNLocator(5).tick_values(0, highest)[-1]) if highest > 0 else 1.0


def curves(
    title: str,
    y_label: str,
    series: Mapping[str, tuple[Sequence[float], Sequence[float], str]],
    highest: float | None = None,
) -> Chart:
    """Draw curves over epochs, both axes from 0 on.

    Parameters
    ----------
    series
        Name to x, y and a CSS class.
    highest
        Where the axis of y ends; None for a round number above all values.
    """
    last = max((max(x, default=1) for x, _, _ in series.values()), default=1)
    top = above(value for _, y, _ in series.values() for value in y) if highest is None else highest
    chart = Chart(title, "epoch", y_label, (0, max(1.0, last)), (0, top), whole=True)
    for name, (x, y, style) in series.items():
        chart.line(x, y, style, name)
    return chart


def _ticks(limits: tuple[float, float], count: int, whole: bool = False) -> list[tuple[float, str]]:
    values = MaxNLocator(count, integer=whole).tick_values(*limits)
    slack = 1e-9 * (limits[1] - limits[0])
    return [(float(v), f"{v:.6g}") for v in values if limits[0] - slack <= v <= limits[1] + slack]


def _at(value: float) -> float:
    # A tenth of a pixel; minus nothing is nothing.
    return round(value, 1) + 0.0
