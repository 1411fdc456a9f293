"""How far long work is: a bar on a terminal, plain lines in a file or in CI."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

from tqdm import tqdm

Item = TypeVar("Item")


def track(
    items: Iterable[Item],
    *,
    total: int,
    label: str,
    size: Callable[[Item], int] = lambda _: 1,
    every: float = 10.0,
) -> Iterator[Item]:
    """Yield ``items``, telling rate and time left on standard error.

    Parameters
    ----------
    total
        Number of items to come, or the sum of their sizes.
    label
        What is being done, such as ``faces``.
    size
        How much of ``total`` an item is; one by default, ``len`` for batches.
    every
        Without a terminal: at most one line in this many seconds, and one at the end.
    """
    if sys.stderr.isatty():
        with tqdm(total=total, desc=label, unit="", dynamic_ncols=True) as bar:
            for item in items:
                yield item
                bar.update(size(item))
        return
    start = told = time.monotonic()
    done = 0
    for item in items:
        yield item
        done += size(item)
        now = time.monotonic()
        if done == total or now - told >= every:
            told = now
            rate = done / max(now - start, 1e-9)
            left = max(total - done, 0) / rate
            print(f"{label}: {done}/{total} ({rate:.1f}/s, {left:.0f} s left)", file=sys.stderr, flush=True)
