"""The server under 16 clients at once against one client that sends photo after photo."""

from __future__ import annotations

from benchmarks import load
from benchmarks.speed import material, predict
from benchmarks.speed.outcome import Effort, Outcome

CLIENTS = 16


def measure(effort: Effort) -> Outcome:
    """Ask a server with the shipped params and a network with weights by chance."""
    with material.contest_photos(effort.photos) as given:
        predict.write_run(material.shipped(), given.work / "run")
        photos = [path.read_bytes() for path in given.paths]
        found = load.measure(given.work / "run", photos, clients=CLIENTS, seconds=max(20.0, effort.seconds))
    ratio = found.pop("ratio")
    return Outcome(
        ratio,
        figures=found | {"faces": given.what},
        note="photos a second; median and p95 are the seconds that a request waits",
    )
