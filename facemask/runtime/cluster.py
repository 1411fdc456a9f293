"""Work through the machines of a Ray cluster, results in order: the same as on one machine.

Each machine has to see the project, its data and its packages under the same paths as the one that starts the stage.
"""

from __future__ import annotations

import contextlib
import functools
import logging
import os
import socket
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any, Final, assert_never

import facemask
from facemask.runtime import executor, hardware
from facemask.runtime.errors import UserError
from facemask.settings import params

_ATTEMPTS: Final = 3
# Results in flight are a few photos a worker: far less than the third of the memory that Ray would set aside.
_STORE: Final = 2**28


@contextlib.contextmanager
def workers(
    engine: params.Engine, *, local: executor.Executor | None = None, gpus: int = 0
) -> Iterator[executor.Executor]:
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
            try:
                yield functools.partial(_remote, gpus=gpus)
            finally:
                if ray := sys.modules.get("ray"):
                    ray.shutdown()
        case _:
            assert_never(engine)


def _remote(
    task: Callable[[Sequence[Any]], Any],
    chunks: Sequence[Sequence[Any]],
    *,
    gpus: int,
    preload: Sequence[str] = (),
) -> Iterator[Any]:
    """See :class:`facemask.runtime.executor.Executor`.

    Tasks and no actors: a task whose machine is lost goes to any other, an actor waits for a place of its own.
    """
    if not chunks:
        return
    ray = _joined()
    rooms = [node["Resources"] for node in ray.nodes() if node["Alive"]]
    wanted = [("CPU", 1), ("GPU", gpus)] if gpus else [("CPU", 1)]
    count = sum(int(min(room.get(name, 0) // one for name, one in wanted)) for room in rooms)
    if not count:
        raise UserError(
            f"the Ray cluster has no {'GPU with a CPU beside it' if gpus else 'CPU'}; see `ray status`"
        )
    # Ray would end a GPU's process after each chunk: `max_calls` 0 keeps it, and the networks that it has loaded.
    remote = ray.remote(num_cpus=1, num_gpus=gpus, max_calls=0, max_retries=_ATTEMPTS - 1)(_work)
    give = functools.partial(remote.remote, str(Path.cwd()), [ray.put(task)])
    try:
        yield from executor.in_order(lambda chunk: give(chunk).future(), chunks, 2 * count)
    except ray.exceptions.RayTaskError as error:
        if isinstance(error.cause, UserError):
            raise error.cause from None
        told = str(error).strip().splitlines()[-1]
        if told.startswith(("FileNotFoundError", "ModuleNotFoundError")):
            raise UserError(
                f"a machine of the Ray cluster lacks what this one has ({told}); every machine has to see {Path.cwd()} "
                "and the same packages"
            ) from None
        raise
    except ray.exceptions.RayError as error:
        told = str(error).strip().splitlines()[0].split(". ")[0][:200]
        raise UserError(
            f"a worker of the Ray cluster was killed {_ATTEMPTS} times over the same photos, perhaps for want of "
            f"memory ({told}); start again (what is done so far is kept)"
        ) from None


def _work(folder: str, held: Sequence[Any], chunk: Sequence[Any]) -> Any:
    """Compute one chunk in a process of the cluster."""
    os.chdir(folder)
    return _task(held[0])(chunk)


@functools.lru_cache(maxsize=1)
def _task(reference: Any) -> Callable[[Sequence[Any]], Any]:
    # Fetched once a process, where it may keep what is dear to set up.
    import ray

    task: Callable[[Sequence[Any]], Any] = ray.get(reference)
    return task


def _joined() -> Any:
    """Connect to the cluster at ``RAY_ADDRESS``, or to one that is started here, and return the module ``ray``."""
    os.environ.setdefault("RAY_USAGE_STATS_ENABLED", "0")
    # Ray by itself would start a task anew for ever that takes more memory than there is.
    os.environ.setdefault("RAY_task_oom_retries", str(_ATTEMPTS - 1))
    try:
        import ray
    except ImportError:
        raise UserError("engine: ray needs the package ray: `pip install -r requirements.txt`") from None
    if ray.is_initialized():
        return ray
    address = os.environ.get("RAY_ADDRESS", "")
    above = [str(Path(facemask.__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    settings: dict[str, Any] = {
        "log_to_driver": False,
        "logging_level": logging.ERROR,
        "runtime_env": {"env_vars": {"PYTHONPATH": os.pathsep.join(filter(None, above))}},
    }
    if not address:
        settings |= {"num_cpus": hardware.cores(), "include_dashboard": False, "object_store_memory": _STORE}
    try:
        _reach(address)
        ray.init(address=address or "local", **settings)
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
