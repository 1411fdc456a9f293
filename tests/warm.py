"""Stages started from a process that has imported their packages already: seconds of each start are saved.

``serve`` imports what the stages import, forgets the project's own modules and forks for every stage asked for.
``python`` on the path of :func:`packages` asks it for ``python -m stages.NAME`` and is Python itself for all else. A
stage sees the folder, environment, standard streams and code of whoever asked, and dies with them.
"""

from __future__ import annotations

import atexit
import contextlib
import gc
import importlib
import json
import os
import pkgutil
import runpy
import select
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Iterator
from multiprocessing import util
from pathlib import Path

OURS = ("facemask", "stages")
SHIM = """\
#!{python} -IS
import json, os, socket, sys, time
if sys.argv[1:2] != ["-m"] or not sys.argv[2].startswith("stages."):
    os.execv({python!r}, [{python!r}, *sys.argv[1:]])
with socket.socket(socket.AF_UNIX) as asked:
    end = time.monotonic() + 300
    while asked.connect_ex({address!r}) and time.monotonic() < end:
        time.sleep(0.1)
    what = json.dumps([sys.argv[2:], os.getcwd(), dict(os.environ)]).encode()
    socket.send_fds(asked, [len(what).to_bytes(8, "big")], [0, 1, 2])
    asked.sendall(what)
    status = int(asked.recv(16) or b"9")
if os.WIFSIGNALED(status):
    os.kill(os.getpid(), os.WTERMSIG(status))
sys.exit(os.waitstatus_to_exitcode(status))
"""


@contextlib.contextmanager
def packages(folder: Path) -> Iterator[str]:
    """Start a server; what to set ``PATH`` to, so that ``python`` asks it."""
    python, address = folder / "bin" / "python", folder / "door"
    python.parent.mkdir(parents=True)
    python.write_text(SHIM.format(python=sys.executable, address=str(address)))
    python.chmod(0o755)
    server = subprocess.Popen(
        [sys.executable, "-m", "tests.warm", str(address)], cwd=Path(__file__).parents[1]
    )
    try:
        yield os.pathsep.join([str(python.parent), str(Path(sys.executable).parent), os.environ["PATH"]])
    finally:
        server.kill()
        server.wait()


def serve(address: str) -> None:
    """Answer until killed."""
    for module in pkgutil.iter_modules(["stages"]):
        importlib.import_module(f"stages.{module.name}")
    for name in [name for name in sys.modules if name.partition(".")[0] in OURS]:
        del sys.modules[name]
    assert threading.active_count() == 1, "threads do not survive a fork"
    importlib.invalidate_caches()
    gc.freeze()
    signal.signal(signal.SIGCHLD, signal.SIG_IGN)
    with socket.socket(socket.AF_UNIX) as door:
        door.bind(address)
        door.listen()
        while True:
            asked, _ = door.accept()
            if not os.fork():
                break
            asked.close()
    _start(asked)


def _start(asked: socket.socket) -> None:
    """Run a stage in a process of its own, and tell whoever asked how it ended."""
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    size, streams, _, _ = socket.recv_fds(asked, 8, 3)
    text = asked.recv(int.from_bytes(size, "big"), socket.MSG_WAITALL)
    words, folder, environment = json.loads(text)
    stage = os.fork()
    if stage:
        while not (ended := os.waitpid(stage, os.WNOHANG))[0]:
            if select.select([asked], [], [], 0.02)[0] and not asked.recv(1):
                os.killpg(stage, signal.SIGKILL)
        asked.sendall(str(ended[1]).encode())
        os._exit(0)
    os.setsid()
    asked.close()
    for number, stream in enumerate(streams):
        os.dup2(stream, number)
        os.close(stream)
    os.chdir(folder)
    os.environ.clear()
    os.environ.update(environment)
    sys.path[0] = folder
    sys.argv = words
    importlib.import_module("stages")
    # Registered in the server, it would come after a stage has ended.
    atexit.register(util._exit_function)  # type: ignore[attr-defined]
    runpy.run_module(words[0], run_name="__main__", alter_sys=True)


if __name__ == "__main__":
    serve(sys.argv[1])
