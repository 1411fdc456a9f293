"""One HTML file from the content and the room's templates; all text is escaped."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Final

import numpy as np
from jinja2 import Environment, FileSystemLoader, StrictUndefined

from facemask.runtime.errors import UserError

SECTIONS: Final = {
    "scores": "Scores",
    "confusion": "Confusion",
    "calibration": "Calibration",
    "learning": "Learning curves",
    "slices": "On whom",
    "mistakes": "Mistakes",
    "data": "Data",
    "omissions": "Left out",
    "drift": "Drift",
    "run": "The run",
}


def render(template: str, content: Mapping[str, Any]) -> str:
    """Fill one of the room's templates; the same content gives the same text.

    Raises
    ------
    jinja2.UndefinedError
        If the template asks for something that ``content`` lacks.
    """
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    environment.filters |= {"score": score, "percent": percent, "share": share, "signed": signed}
    return environment.get_template(template).render(content).lstrip()


def fill(page: str, fragments: Mapping[str, str]) -> str:
    """Replace what stands between ``<!--name-->`` and ``<!--/name-->`` by a fragment of HTML.

    Escaped text holds no such mark, so each stands once, where the template has it.

    Raises
    ------
    UserError
        If the page lacks a mark.
    """
    for name, fragment in fragments.items():
        start, end = f"<!--{name}-->", f"<!--/{name}-->"
        if page.count(start) != 1 or page.count(end) != 1:
            raise UserError("data/report/report.html: not a page of this version; run `dvc repro -f report`")
        page = re.sub(f"{start}.*{end}", lambda _: f"{start}\n{fragment}\n{end}", page, flags=re.DOTALL)  # noqa: B023
    return page


def score(value: float) -> str:
    """Three decimals; a dash for what is not defined."""
    return "–" if value is None or np.isnan(value) else f"{value:.3f}"


def signed(value: float) -> str:
    """Three decimals with a sign."""
    return f"{value:+.3f}".replace("-", "−")


def share(value: float) -> str:
    """A fraction as percent, for people."""
    return f"{100 * value:.0f}\u00a0%" if value >= 0.0995 or value == 0 else f"{100 * value:.1f}\u00a0%"


def percent(value: float) -> str:
    """A fraction as percent, for CSS."""
    return f"{100 * value:.4g}%"
