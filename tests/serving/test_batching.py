"""Requests answered together: order, bounds and errors."""

from __future__ import annotations

import asyncio
import threading

import pytest

from facemask.serving.batching import Batcher, QueueFullError


def test_what_waits_becomes_one_batch_in_order():
    busy, batches = threading.Event(), []

    def task(items):
        assert busy.wait(30)
        batches.append(list(items))
        return [item * 10 for item in items]

    async def ask():
        batcher = Batcher(task, most=4, waiting=20, workers=1)
        first = asyncio.ensure_future(batcher.submit([0]))
        await asyncio.sleep(0)
        others = [asyncio.ensure_future(batcher.submit([2 * k - 1, 2 * k])) for k in range(1, 5)]
        await asyncio.sleep(0)
        busy.set()
        return await asyncio.gather(first, *others)

    assert asyncio.run(ask()) == [[0], [10, 20], [30, 40], [50, 60], [70, 80]]
    # The thread was at work on what came first; the rest had gathered meanwhile.
    assert batches == [[0], [1, 2, 3, 4], [5, 6, 7, 8]]


def test_all_of_a_request_waits_or_nothing():
    busy = threading.Event()

    def task(items):
        assert busy.wait(30)
        return list(items)

    async def ask():
        batcher = Batcher(task, most=1, waiting=3, workers=1)
        waiting = []
        for items in ([1], [2, 3]):
            waiting.append(asyncio.ensure_future(batcher.submit(items)))
            await asyncio.sleep(0)
        with pytest.raises(QueueFullError):
            await batcher.submit([4, 5])
        # What was refused takes no place.
        waiting.append(asyncio.ensure_future(batcher.submit([6])))
        await asyncio.sleep(0)
        with pytest.raises(QueueFullError):
            await batcher.submit([7])
        # A request that is given up is answered to nobody and holds nobody up.
        waiting.pop(1).cancel()
        busy.set()
        return await asyncio.gather(*waiting), await batcher.submit([8])

    assert asyncio.run(ask()) == ([[1], [6]], [8])


def test_an_error_reaches_its_batch_and_ends_nothing():
    def task(items):
        if "bad" in items:
            raise ValueError("bad")
        return list(items)

    async def ask():
        batcher = Batcher(task, most=1, waiting=9, workers=1)
        with pytest.raises(ValueError, match="bad"):
            await batcher.submit(["bad", "good"])
        assert await batcher.submit(["good"]) == ["good"]

    asyncio.run(ask())
