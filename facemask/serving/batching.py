"""Single requests answered together: what waits at the same time becomes one batch, and no more waits than fits."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from typing import Final, Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class QueueFullError(Exception):
    """As many items wait as may."""


class Batcher(Generic[Item, Result]):
    """Workers that take whatever waits, up to a batch, and answer it in one call.

    A batch is never waited for: while the workers are busy the next one gathers by itself.

    Parameters
    ----------
    task
        Gives one result an item; called by several threads.
    most
        Items in a batch.
    waiting
        Items that may wait.
    workers
        Threads.
    """

    def __init__(
        self, task: Callable[[Sequence[Item]], Sequence[Result]], *, most: int, waiting: int, workers: int
    ) -> None:
        self._task, self._most = task, most
        self._waiting: queue.Queue[tuple[Item, Future[Result]] | None] = queue.Queue()
        self._places: Final = threading.Semaphore(waiting)
        self._threads = [threading.Thread(target=self._work, daemon=True) for _ in range(workers)]
        for thread in self._threads:
            thread.start()

    def submit(self, items: Sequence[Item]) -> list[Future[Result]]:
        """Let items wait for their results: all of them, or none.

        Raises
        ------
        QueueFullError
            If there is not room for all of them.
        """
        taken = 0
        while taken < len(items) and self._places.acquire(blocking=False):
            taken += 1
        if taken < len(items):
            if taken:
                self._places.release(taken)
            raise QueueFullError
        futures: list[Future[Result]] = [Future() for _ in items]
        for pair in zip(items, futures, strict=True):
            self._waiting.put(pair)
        return futures

    def close(self) -> None:
        """Answer what waits, then end the threads."""
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def _work(self) -> None:
        while (first := self._waiting.get()) is not None:
            batch = [first]
            while len(batch) < self._most:
                try:
                    more = self._waiting.get_nowait()
                except queue.Empty:
                    break
                if more is None:
                    # Meant for a worker: this one ends after its batch, or another takes it.
                    self._waiting.put(None)
                    break
                batch.append(more)
            self._places.release(len(batch))
            self._answer(batch)

    def _answer(self, batch: Sequence[tuple[Item, Future[Result]]]) -> None:
        wanted = [(item, future) for item, future in batch if future.set_running_or_notify_cancel()]
        if not wanted:
            return
        try:
            results = self._task([item for item, _ in wanted])
        except BaseException as error:
            for _, future in wanted:
                future.set_exception(error)
            return
        for (_, future), result in zip(wanted, results, strict=True):
            future.set_result(result)
