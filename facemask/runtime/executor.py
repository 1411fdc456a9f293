"""Work through several processes or threads, results in order: the same whatever their number."""

from __future__ import annotations

import atexit
import contextlib
import multiprocessing
import os
import shutil
import signal
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from concurrent import futures
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import forkserver
from pathlib import Path
from typing import Any, Final, Protocol, TypeVar

from filelock import FileLock, Timeout

from facemask.runtime.errors import UserError

Item = TypeVar("Item")
Result = TypeVar("Result")

_task: Callable[[Any], Any] | None = None
_SOCKETS: Final = "facemask-pool-"
# The path of a socket may have 103 bytes (macOS; Linux 107), and 41 of them are its folder's name and its own.
_LONGEST: Final = 103 - 41


class Executor(Protocol):
    """Work spread over some workers: :func:`processes`, or a cluster's; see :mod:`facemask.runtime.cluster`."""

    def __call__(
        self,
        task: Callable[[Sequence[Item]], Result],
        chunks: Sequence[Sequence[Item]],
        *,
        preload: Sequence[str] = (),
    ) -> Iterator[Result]:
        """Yield ``task(chunk)`` for every chunk, in order; parameters are those of :func:`processes`."""


def processes(
    task: Callable[[Sequence[Item]], Result],
    chunks: Sequence[Sequence[Item]],
    *,
    workers: int,
    preload: Sequence[str] = (),
) -> Iterator[Result]:
    """Yield ``task(chunk)`` for every chunk, in order, computed in processes: for networks and the like.

    Parameters
    ----------
    task
        Picklable; handed to each process once, where it may keep what is dear to set up.
    chunks
        At most two a worker are under way or waiting to be taken, so memory does not grow with their number.
    workers
        Processes; with 1, or a single chunk, everything runs in this one.
    preload
        Modules that the processes need: imported once, before they are forked.

    Raises
    ------
    UserError
        If a process is killed, which is mostly a lack of memory.
    """
    workers = min(workers, len(chunks))
    if workers <= 1:
        yield from map(task, chunks)
        return
    # A fork server is a fresh process without threads, so that forking it is safe; the imports are paid once.
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload([__name__, *preload])
    _start_fork_server()
    pool = futures.ProcessPoolExecutor(workers, mp_context=context, initializer=_install, initargs=(task,))
    try:
        yield from _local(pool, _work, chunks, 2 * workers)
    except BrokenProcessPool:
        raise UserError(
            "a worker process was killed, perhaps for want of memory; close other programs and start again "
            "(what is done so far is kept)"
        ) from None


def threads(
    task: Callable[[Sequence[Item]], Result],
    chunks: Sequence[Sequence[Item]],
    *,
    workers: int,
    preload: Sequence[str] = (),
) -> Iterator[Result]:
    """Yield ``task(chunk)`` for every chunk, in order, computed in threads, which start at once.

    For what leaves Python's lock alone: decoding, resizing, a network's sums. Parameters are those of
    :func:`processes`; there is nothing to preload.
    """
    yield from _local(futures.ThreadPoolExecutor(workers), task, chunks, 2 * workers)


def in_order(
    submit: Callable[[Any], futures.Future[Any]], chunks: Sequence[Sequence[Any]], ahead: int
) -> Iterator[Any]:
    """Yield the result of every chunk's future, in order; ``ahead`` of them are under way or wait to be taken."""
    waiting: deque[futures.Future[Any]] = deque()
    for chunk in chunks:
        waiting.append(submit(chunk))
        if len(waiting) >= ahead:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()


def _local(
    pool: futures.Executor, work: Callable[[Any], Any], chunks: Sequence[Sequence[Any]], ahead: int
) -> Iterator[Any]:
    try:
        yield from in_order(lambda chunk: pool.submit(work, chunk), chunks, ahead)
    except KeyboardInterrupt:
        for process in multiprocessing.active_children():
            process.kill()
        raise
    finally:
        # Waited for after Ctrl-C too: a pool that ends while Python does may write to a pipe it has closed.
        pool.shutdown(cancel_futures=True)


def _start_fork_server() -> None:
    """Start it deaf to Ctrl-C, which reaches workers too and is answered by this process alone.

    Its workers keep a core each: numpy's BLAS would have threads on all of them wait for each other, which made
    drawing the sample half as fast.
    """
    # Imported late: asyncio comes with it.
    from unittest import mock

    keep_sockets()
    with mock.patch.dict(os.environ, {"OPENBLAS_NUM_THREADS": "1"}):
        if threading.current_thread() is not threading.main_thread():
            forkserver.ensure_running()
            return
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
        try:
            forkserver.ensure_running()
        finally:
            signal.signal(signal.SIGINT, before)


def keep_sockets() -> None:
    """Let multiprocessing keep its sockets in a locked folder, and remove those of processes that were killed.

    Its own folder in ``TMPDIR`` would stay behind, and nothing would tell whose it was; and in a long ``TMPDIR`` no
    socket can be opened at all. To be called before processes are started that send each other open files.
    """
    config: dict[str, Any] = multiprocessing.current_process()._config  # type: ignore[attr-defined]
    if config.get("tempdir"):
        return
    home = tempfile.gettempdir()
    if len(os.fsencode(home)) > _LONGEST:
        home = "/tmp"
    for left in Path(home).glob(f"{_SOCKETS}*/lock"):
        with contextlib.suppress(Timeout, OSError), FileLock(left, blocking=False):
            shutil.rmtree(left.parent)
    folder = Path(tempfile.mkdtemp(prefix=_SOCKETS, dir=home))
    lock = FileLock(folder / "lock")
    with contextlib.suppress(OSError):
        lock.acquire()
    if not (folder / "lock").exists():
        # Another process that was starting has taken it for left behind.
        keep_sockets()
        return
    config["tempdir"] = str(folder)
    # It also keeps the lock, which is held as long as something names it.
    atexit.register(_remove, folder, lock)


def _remove(folder: Path, lock: FileLock) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    lock.release()


def _install(task: Callable[[Any], Any]) -> None:
    global _task
    _task = task
    threading.Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    # A worker of a killed stage would wait for work for ever.
    parent = multiprocessing.parent_process()
    if parent is not None:
        parent.join()
        os._exit(1)


def _work(chunk: Sequence[Any]) -> Any:
    if _task is None:
        raise RuntimeError("the process was started without a task")
    return _task(chunk)
