"""Requests answered together: order, bounds, errors and the end."""

from __future__ import annotations

import threading

import pytest

from facemask.serving.batching import Batcher, QueueFullError


def test_what_waits_becomes_one_batch_in_order():
    busy, batches = threading.Event(), []

    def task(items):
        busy.wait(30)
        batches.append(list(items))
        return [item * 10 for item in items]

    batcher = Batcher(task, most=4, waiting=20, workers=1)
    first = batcher.submit([0])
    others = batcher.submit(list(range(1, 8)))
    busy.set()
    assert [one.result(30) for one in (*first, *others)] == [0, 10, 20, 30, 40, 50, 60, 70]
    assert max(map(len, batches)) <= 4
    # The first worker was at work on what came first; the rest had gathered meanwhile.
    assert len(batches) <= 4
    batcher.close()


def test_all_of_a_request_waits_or_nothing():
    busy, begun = threading.Event(), threading.Event()

    def task(items):
        begun.set()
        busy.wait(30)
        return list(items)

    batcher = Batcher(task, most=1, waiting=3, workers=1)
    running = batcher.submit([1])
    assert begun.wait(30)
    waiting = batcher.submit([2, 3])
    with pytest.raises(QueueFullError):
        batcher.submit([4, 5])
    # What was refused takes no place.
    last = batcher.submit([6])
    with pytest.raises(QueueFullError):
        batcher.submit([7])
    busy.set()
    assert [one.result(30) for one in (*running, *waiting, *last)] == [1, 2, 3, 6]
    assert batcher.submit([8])[0].result(30) == 8
    batcher.close()


def test_an_error_reaches_its_batch_and_ends_nothing():
    def task(items):
        if "bad" in items:
            raise ValueError("bad")
        return list(items)

    batcher = Batcher(task, most=1, waiting=9, workers=1)
    bad, good = batcher.submit(["bad", "good"])
    with pytest.raises(ValueError, match="bad"):
        bad.result(30)
    assert good.result(30) == "good"
    batcher.close()


def test_the_end_waits_for_what_waits():
    done = []
    batcher = Batcher(lambda items: done.extend(items) or list(items), most=3, waiting=90, workers=3)
    batcher.submit(list(range(80)))
    batcher.close()
    assert sorted(done) == list(range(80))
    assert not any(thread.is_alive() for thread in batcher._threads)
