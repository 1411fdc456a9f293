"""Single requests answered together: what waits at the same time becomes one batch, and no more waits than fits."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Generic, TypeVar

Item = TypeVar("Item")
Result = TypeVar("Result")


class QueueFullError(Exception):
    """As many items wait as may."""


class Batcher(Generic[Item, Result]):
    """Threads that take whatever waits, up to a batch, and answer it in one call.

    A batch is never waited for: while the threads are busy the next one gathers by itself. All methods belong to one
    event loop.

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
        self._task, self._most, self._limit, self._free = task, most, waiting, workers
        self._threads = ThreadPoolExecutor(workers)
        self._waiting: deque[tuple[Item, asyncio.Future[Result]]] = deque()
        self._running: set[asyncio.Task[None]] = set()

    async def submit(self, items: Sequence[Item]) -> list[Result]:
        """Let items wait for their results: all of them, or none.

        Raises
        ------
        QueueFullError
            If there is not room for all of them.
        """
        if len(self._waiting) + len(items) > self._limit:
            raise QueueFullError
        futures: list[asyncio.Future[Result]] = [asyncio.get_running_loop().create_future() for _ in items]
        self._waiting.extend(zip(items, futures, strict=True))
        self._start()
        return await asyncio.gather(*futures)

    def _start(self) -> None:
        while self._waiting and self._free:
            batch = [self._waiting.popleft() for _ in range(min(self._most, len(self._waiting)))]
            self._free -= 1
            running = asyncio.create_task(self._answer(batch))
            # asyncio itself holds a task only weakly.
            self._running.add(running)
            running.add_done_callback(self._running.discard)

    async def _answer(self, batch: Sequence[tuple[Item, asyncio.Future[Result]]]) -> None:
        # Nobody waits any more for those that are done: their request was cancelled.
        batch = [(item, future) for item, future in batch if not future.done()]
        try:
            results = await asyncio.get_running_loop().run_in_executor(
                self._threads, self._task, [item for item, _ in batch]
            )
        except Exception as error:
            for _, future in batch:
                if not future.done():
                    future.set_exception(error)
        else:
            for (_, future), result in zip(batch, results, strict=True):
                if not future.done():
                    future.set_result(result)
        finally:
            self._free += 1
            self._start()
