"""Work through the machines of a Ray cluster, results in order: the same as on one machine.

Each machine has to see the project, its data and its packages under the same paths as the one that starts the stage.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import socket
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, assert_never

import facemask
from facemask.runtime import actors, executor, hardware
from facemask.runtime.errors import UserError
from facemask.settings import params

# Results in flight are a few photos a worker: far less than the third of the memory that Ray would set aside.
_STORE: Final = 2**28
_QUIET: Final[dict[str, Any]] = {"log_to_driver": False, "logging_level": logging.ERROR}


@contextlib.contextmanager
def workers(
    engine: params.Engine, *, local: executor.Spread | None = None, gpus: int = 0
) -> Iterator[executor.Spread]:
    """Yield what spreads work over this machine's processes, or over a cluster, which is joined with the first work.

    Parameters
    ----------
    engine
        ``ray`` goes to the cluster at ``RAY_ADDRESS``; without it, to one on this machine that ends with the block.
    local
        What the engine ``local`` stands for; by default one process a core.
    gpus
        What one worker of a cluster takes beside a CPU.

    Raises
    ------
    UserError
        If Ray is not installed, the cluster cannot be reached, has no such worker, or keeps losing them; and whatever
        :class:`UserError` the work itself raises.
    """
    match engine:
        case "local":
            yield local or functools.partial(executor.processes, workers=hardware.cores())
        case "ray":
            with contextlib.ExitStack() as stack:
                yield _Cluster(stack, gpus)
        case _:
            assert_never(engine)


class _Cluster:
    """See :class:`facemask.runtime.executor.Spread`."""

    def __init__(self, stack: contextlib.ExitStack, gpus: int) -> None:
        self._stack, self._gpus = stack, gpus
        self._ray: Any = None

    def __call__(
        self,
        task: Callable[[Sequence[Any]], Any],
        chunks: Sequence[Sequence[Any]],
        *,
        preload: Sequence[str] = (),
    ) -> Iterator[Any]:
        if not chunks:
            return
        if self._ray is None:
            self._ray = _joined()
            self._stack.callback(self._ray.shutdown)
        count = _places(self._ray.nodes(), self._gpus)
        above = [str(Path(facemask.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
        kind = self._ray.remote(actors.Worker).options(
            num_cpus=1,
            num_gpus=self._gpus,
            runtime_env={"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, above))}},
        )
        hire = functools.partial(kind.remote, str(Path.cwd()), self._ray.put(task))
        team = actors.Team(self._ray, hire, min(count, len(chunks)))
        try:
            yield from team.work(chunks)
        finally:
            team.leave()


def _joined() -> Any:
    """Connect to the cluster at ``RAY_ADDRESS``, or to one that is started here, and return the module ``ray``."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    try:
        import ray
    except ImportError:
        raise UserError("engine: ray needs the package ray: `pip install -r requirements.txt`") from None
    address = os.environ.get("RAY_ADDRESS", "")
    try:
        if address:
            _reach(address)
            ray.init(address=address, **_QUIET)
        else:
            ray.init(
                address="local",
                num_cpus=hardware.cores(),
                include_dashboard=False,
                object_store_memory=_STORE,
                **_QUIET,
            )
    except (OSError, RuntimeError, ValueError, AssertionError) as error:
        told = " ".join(str(error).split())[:200]
        where = f"RAY_ADDRESS={address}" if address else "a Ray cluster on this machine"
        raise UserError(f"{where} cannot be used: {told}; see `ray status`") from None
    return ray


def _reach(address: str) -> None:
    # Ray would try for minutes and then end the process.
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if host and port.isdecimal():
        socket.create_connection((host, int(port)), timeout=10).close()


def _places(nodes: Sequence[dict[str, Any]], gpus: int) -> int:
    """How many workers of one CPU, and so many GPUs, there is room for."""
    rooms = [node["Resources"] for node in nodes if node["Alive"]]
    count = sum(
        int(min(room.get(name, 0) // one for name, one in (("CPU", 1), ("GPU", gpus)) if one))
        for room in rooms
    )
    if not count:
        raise UserError(
            f"the Ray cluster has no {'GPU with a CPU beside it' if gpus else 'CPU'}; see `ray status`"
        )
    return count
