"""How far long work is: a bar on a terminal, plain lines in a file or in CI."""

from __future__ import annotations

import math
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Final, TypeVar

from tqdm import tqdm

Item = TypeVar("Item")

SETTLED: Final = 3.0
SHORT: Final = 1.0
_UNSETTLED: Final = "{l_bar}{bar}| {n_fmt}/{total_fmt} [{elapsed}]"


def track(
    items: Iterable[Item],
    *,
    total: int,
    label: str,
    size: Callable[[Item], int] = lambda _: 1,
    every: float = 10.0,
) -> Iterator[Item]:
    """Yield ``items``, telling rate and time left on standard error.

    The first item's time is mostly that of starting, so rate and time left are of what came after it, and are told once
    that took :data:`SETTLED` seconds.

    Parameters
    ----------
    total
        Number of items to come, or the sum of their sizes.
    label
        What is being done, such as ``faces``.
    size
        How much of ``total`` an item is; one by default, ``len`` for batches.
    every
        Without a terminal: at most one line in this many seconds, and one at the end. What is done within
        :data:`SHORT` seconds is not told.
    """
    start = told = time.monotonic()
    first: tuple[float, int] | None = None
    done = 0
    bar = tqdm(
        total=total,
        desc=label,
        unit="",
        dynamic_ncols=True,
        bar_format=_UNSETTLED,
        disable=not sys.stderr.isatty(),
    )
    with bar:
        for item in items:
            yield item
            now, done = time.monotonic(), done + size(item)
            first = first or (now, done)
            if settled := now - first[0] >= SETTLED and done > first[1]:
                bar.bar_format = None
            bar.update(size(item))
            ended = done == total and now - start >= SHORT
            if bar.disable and (ended or now - told >= every):
                told = now
                rest = f" in {now - start:.1f} s" if done == total else ""
                if settled and not rest:
                    rate = (done - first[1]) / (now - first[0])
                    rest = f" ({rate:.1f}/s, {math.ceil((total - done) / rate)} s left)"
                print(f"{label}: {done}/{total}{rest}", file=sys.stderr, flush=True)
