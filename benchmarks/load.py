"""Load on the server, one client and then many: how many photos a second, how long they wait, whether memory grows.

Run from the project's folder, after ``dvc repro``::

    python -m benchmarks.load                   # ten minutes of 16 clients
    python -m benchmarks.load --minutes 2 ../mine/eval
"""

from __future__ import annotations

import argparse
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Sequence
from concurrent import futures
from pathlib import Path
from typing import Any, Final, NamedTuple

import httpx
import psutil  # type: ignore[import-untyped]

from benchmarks.speed.outcome import HERE
from facemask.serving import inputs

_ALONE: Final = 0.1


class Told(NamedTuple):
    """What a round of requests took.

    Attributes
    ----------
    rate
        Photos a second.
    median, p95
        Seconds that a request waits.
    refused
        Requests that were told to ask again (503).
    """

    rate: float
    median: float
    p95: float
    refused: int


def ask(address: str, photos: Sequence[bytes], clients: int, seconds: float) -> Told:
    """Let clients send one photo after the other for so long.

    Raises
    ------
    RuntimeError
        If a request is answered with anything but 200 or 503.
    """
    took: list[float] = []
    refused, wrong = 0, ""
    end = time.monotonic() + seconds

    def client(number: int) -> None:
        nonlocal refused, wrong
        place = number
        with httpx.Client(base_url=address, timeout=120) as session:
            while time.monotonic() < end and not wrong:
                start = time.monotonic()
                answer = session.post("/predict", content=photos[place % len(photos)])
                if answer.status_code == 200:
                    took.append(time.monotonic() - start)
                elif answer.status_code == 503:
                    refused += 1
                    time.sleep(0.05)
                else:
                    wrong = f"{answer.status_code}: {answer.text[:200]}"
                place += clients

    threads = [threading.Thread(target=client, args=(number,)) for number in range(clients)]
    start = time.monotonic()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    if wrong or len(took) < 2:
        raise RuntimeError(wrong or "fewer than two answers: give it longer")
    spent = time.monotonic() - start
    return Told(len(took) / spent, statistics.median(took), statistics.quantiles(took, n=20)[-1], refused)


def measure(project: Path, photos: Sequence[bytes], *, clients: int, seconds: float) -> dict[str, Any]:
    """Start a server on a project's model and ask it; a tenth of the time by one client, the rest by many."""
    command = [sys.executable, "-m", "facemask", "serve", "--port", "0", "--model", str(project)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=HERE) as server:
        try:
            assert server.stdout is not None
            address = server.stdout.readline().strip()
            if not address:
                sys.exit("error: the server did not start")
            process = psutil.Process(server.pid)
            ask(address, photos, clients, min(10.0, seconds / 10))
            alone = ask(address, photos, 1, seconds * _ALONE)
            with futures.ThreadPoolExecutor(1) as pool:
                asked = pool.submit(ask, address, photos, clients, seconds)
                memory = [process.memory_info().rss]
                while futures.wait([asked], seconds / 10).not_done:
                    memory.append(process.memory_info().rss)
                many = asked.result()
        finally:
            server.terminate()
    return {
        "ratio": many.rate / alone.rate,
        "one_client": alone._asdict(),
        f"{clients}_clients": many._asdict(),
        "memory_mib": [round(size / 2**20) for size in memory],
    }


def main() -> None:
    """Ask the server of the project's own model."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.load", description=__doc__.splitlines()[0])
    parser.add_argument("photos", nargs="*", default=["data/sample/eval"], help="files or folders")
    parser.add_argument("--minutes", type=float, default=10)
    parser.add_argument("--clients", type=int, default=16)
    chosen = parser.parse_args()
    photos = [photo.read() for photo in inputs.expand(chosen.photos)]
    for name, value in measure(Path(), photos, clients=chosen.clients, seconds=60 * chosen.minutes).items():
        print(f"{name}: {value}")


if __name__ == "__main__":
    main()
