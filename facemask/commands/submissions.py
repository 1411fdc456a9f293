"""The log of submissions as a table, and how out-of-fold and leaderboard scores go together."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from facemask.records import classes
from facemask.submission import log

# Fewer points lie on a line by chance.
LEAST = 3
WIDTH = 130
LAST = 20


def render(rows: pd.DataFrame, last: int) -> str:
    """Lay out the ``last`` rows of the log, and what all of them say together."""
    if rows.empty:
        return (
            "no submission is logged yet: python -m facemask set infer.log true lets every infer add one to "
            f"{log.NAME}"
        )
    console = Console(highlight=False)
    if not console.is_terminal:
        console = Console(highlight=False, width=WIDTH)
    with console.capture() as captured:
        console.print(_table(rows, last))
        for line in _lines(rows, last):
            console.print(Text(line), soft_wrap=True)
    return "\n".join(line.rstrip() for line in captured.get().splitlines())


def correlation(rows: pd.DataFrame) -> tuple[float, int]:
    """Pearson's correlation of out-of-fold and leaderboard scores, and of how many rows; NaN below ``LEAST``."""
    known = rows[rows["public"].notna() & rows["oof"].notna()]
    spread = len(known) >= LEAST and known["oof"].std() > 0 and known["public"].std() > 0
    return (float(known["oof"].corr(known["public"])) if spread else np.nan), len(known)


def _table(rows: pd.DataFrame, last: int) -> Table:
    table = Table(box=box.SIMPLE_HEAD)
    heads = (
        "date",
        "hash",
        "revision",
        "out-of-fold",
        "leaderboard",
        "as last",
        "as best",
        "mask",
        "female",
        "age",
        "",
    )
    for place, head in enumerate(heads):
        table.add_column(head, justify="right" if 3 <= place <= 6 else "left", overflow="fold")
    top = log.best(rows)
    for row in rows.tail(last).itertuples():
        style = "bold" if top is not None and row.Index == top.name else ""
        used = "eval used" if row.eval_photos_used == "yes" else ""
        hints = [f"{row.drift!s} drifts" if row.drift else "", used, str(row.note)]
        cells = [str(row.date)[:16].replace("T", " "), str(row.md5)[: log.SHOWN], str(row.revision)]
        cells += [_number(row.oof), _number(row.public), _percent(row.as_last), _percent(row.as_best)]
        cells += [*_shares(str(row.counts)), "; ".join(filter(None, hints))]
        table.add_row(*(Text(cell, style) for cell in cells))
    return table


def _lines(rows: pd.DataFrame, last: int) -> Iterator[str]:
    if len(rows) > last:
        yield f"{len(rows) - last} older ones: --all"
    found, count = correlation(rows)
    if not np.isnan(found):
        gap = (rows["public"] - rows["oof"]).mean()
        yield (
            f"correlation of out-of-fold and leaderboard {found:+.2f} (n = {count}); on average the leaderboard is "
            f"{gap:+.3f} from out-of-fold"
        )
    else:
        yield f"{count} leaderboard scores: from {LEAST} different ones their correlation with out-of-fold is shown"
    yield "type one in: python -m facemask submissions note HASH --public 0.80"


def _shares(counts: str) -> tuple[str, str, str]:
    """Answers by mask state, women, and by age band, in percent."""
    cube = np.array(counts.split(), dtype=np.float64).reshape(classes.SHAPE)
    share = 100 * cube / max(1.0, cube.sum())
    mask, gender, age = share.sum((1, 2)), share.sum((0, 2)), share.sum((0, 1))
    return "/".join(f"{s:.0f}" for s in mask), f"{gender[1]:.0f}", "/".join(f"{s:.0f}" for s in age)


def _number(value: Any) -> str:
    return "-" if pd.isna(value) else f"{value:.4f}"


def _percent(value: Any) -> str:
    return "-" if pd.isna(value) else f"{value:.1%}"
