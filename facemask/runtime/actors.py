"""Remote workers on a Ray cluster: chunks handed out, results in order, losses made good."""

from __future__ import annotations

import heapq
import os
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final

from facemask.runtime.errors import UserError

ATTEMPTS: Final = 3
PATIENCE: Final = 300.0  # seconds


class Worker:
    """An actor: one process of the cluster."""

    def __init__(self, folder: str, task: Callable[[Sequence[Any]], Any]) -> None:
        os.chdir(folder)
        self._task = task

    def started(self) -> None:
        """Answer as soon as the process is up."""

    def work(self, chunk: Sequence[Any]) -> Any:
        """Compute one chunk."""
        return self._task(chunk)


class Team:
    """Some actors. One that is lost is replaced, and its chunks go to whoever is there.

    Ray's own retries would wait for the lost one: for ever, if its machine does not come back.

    Parameters
    ----------
    ray
        The module, connected.
    hire
        Starts a remote :class:`Worker` and returns its handle.
    size
        How many there are.
    """

    def __init__(self, ray: Any, hire: Callable[[], Any], size: int) -> None:
        self._ray, self._hire, self._ahead = ray, hire, 2 * size
        self._under_way: dict[Any, tuple[Any, int | None]] = {}
        self._load: dict[Any, int] = {}
        self._lost: Counter[int | None] = Counter()
        for _ in range(size):
            self._add()

    def work(self, chunks: Sequence[Sequence[Any]]) -> Iterator[Any]:
        """Yield the task's result for every chunk, in order; at most two an actor are under way or wait to be taken.

        Raises
        ------
        UserError
            If the task raises it, no actor is to be had, or actors are lost again and again.
        """
        todo = list(range(len(chunks)))
        done: dict[int, Any] = {}
        for wanted in range(len(chunks)):
            self._hand_out(chunks, todo, wanted)
            while wanted not in done:
                done |= self._next(todo)
                self._hand_out(chunks, todo, wanted)
            yield done.pop(wanted)

    def leave(self) -> None:
        """End all actors."""
        for actor in {*self._load, *(actor for actor, _ in self._under_way.values())}:
            self._ray.kill(actor)

    def _add(self) -> None:
        actor = self._hire()
        self._under_way[actor.started.remote()] = actor, None

    def _hand_out(self, chunks: Sequence[Sequence[Any]], todo: list[int], wanted: int) -> None:
        while todo and todo[0] < wanted + self._ahead:
            actor = min(self._load, key=self._load.__getitem__, default=None)
            if actor is None or self._load[actor] == 2:
                return
            place = heapq.heappop(todo)
            self._load[actor] += 1
            self._under_way[actor.work.remote(chunks[place])] = actor, place

    def _next(self, todo: list[int]) -> dict[int, Any]:
        """Wait for one answer: a chunk's result, or nothing if a worker has started or is lost."""
        wait = None if self._load else PATIENCE
        answered, _ = self._ray.wait(list(self._under_way), num_returns=1, timeout=wait)
        if not answered:
            raise UserError(f"no worker of the Ray cluster was free within {PATIENCE:g} s; see `ray status`")
        actor, place = self._under_way.pop(answered[0])
        try:
            result = self._ray.get(answered[0])
        except self._ray.exceptions.RayTaskError as error:
            if isinstance(error.cause, UserError):
                raise error.cause from None
            raise
        except self._ray.exceptions.RayError as error:
            self._replace(actor, place, error)
            if place is not None:
                heapq.heappush(todo, place)
            return {}
        if place is None:
            self._load[actor] = self._lost[None] = 0
            return {}
        # An answer given before its worker was lost may be read after the loss.
        if actor in self._load:
            self._load[actor] -= 1
        return {place: result}

    def _replace(self, actor: Any, place: int | None, error: Exception) -> None:
        self._lost[place] += 1
        if self._lost[place] == ATTEMPTS:
            told = str(error).strip().splitlines()[-1].split(". ")[0].strip()[:200]
            raise UserError(
                f"the Ray cluster's workers cannot start ({told}); every machine has to see {Path.cwd()} and the "
                "same packages"
                if place is None
                else f"a worker of the Ray cluster was killed {ATTEMPTS} times over the same photos, perhaps for want "
                f"of memory ({told}); start again (what is done so far is kept)"
            ) from None
        if place is None or self._load.pop(actor, None) is not None:
            self._ray.kill(actor)
            self._add()
