"""DVC with as many photos as the contest has: a raw folder that one stage depends on, and a folder that DVC keeps.

Measured with the project's own ``.dvc/config``, with DVC's defaults, and with single settings changed, each in a
project and with a state of its own. Photos are 4 KiB of noise: what grows is the number of files. Reports to DVC's
makers stay switched off throughout.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np

from benchmarks.speed import copies
from benchmarks.speed.outcome import HERE, Effort, Outcome, tell
from facemask.records import raw

SIZE: Final = 4096
_NOBODY: Final = ("-c", "user.name=bench", "-c", "user.email=bench@localhost")
_PIPELINE: Final = """\
stages:
  fix_labels:
    cmd: "true"
    deps: [data/photos]
    outs: [index.csv]
"""


class Setting(NamedTuple):
    """One way to run DVC: settings changed, whether the project's config is there, and whether git ignores photos."""

    changes: Mapping[str, str]
    ours: bool = True
    ignored: bool = True


SETTINGS: Final[Mapping[str, Setting]] = {
    "ours": Setting({}),
    "dvc_defaults": Setting({"core.check_update": "false"}, ours=False, ignored=False),
    "photos_unknown_to_gitignore": Setting({}, ignored=False),
    "checksum_jobs_16": Setting({"core.checksum_jobs": "16"}),
    "reflink_or_copy": Setting({"cache.type": "reflink,copy"}),
}
STEPS: Final = ("commit", "status", "status_without_state", "add", "checkout")


def measure(effort: Effort) -> Outcome:
    """Time every step once with every setting, one setting after the other."""
    size = copies.sizes(max(effort.sizes))
    seconds: dict[str, dict[str, list[float]]] = {name: {step: [] for step in STEPS} for name in SETTINGS}
    with tempfile.TemporaryDirectory(prefix="facemask-bench-") as folder:
        photos = Path(folder) / "photos"
        tell(f"writing {size.photos:,} small files")
        write(photos, size)
        # One round: each step is seconds long, and every round writes all files anew five times.
        for name, setting in SETTINGS.items():
            project = Path(folder) / name
            for step, taken in _steps(project, photos, setting).items():
                seconds[name][step].append(taken)
            told = ", ".join(f"{step} {statistics.median(v):.1f} s" for step, v in seconds[name].items())
            tell(f"{name}: {told}")
            shutil.rmtree(project)
    middle = {
        name: {step: round(statistics.median(v), 2) for step, v in steps.items()}
        for name, steps in seconds.items()
    }
    ratio = sum(middle["ours"].values()) / sum(middle["dvc_defaults"].values())
    return Outcome(
        ratio,
        figures={"by_setting": middle, "files": size.photos, "bytes_a_file": SIZE},
        note="commit, status (warm, and with DVC's state deleted) of a stage that depends on a raw folder; add and "
        "checkout of a folder as large; seconds. The ratio is of their sums, the project's settings against DVC's "
        "defaults with the raw folder unknown to .gitignore",
    )


def write(root: Path, size: copies.Sizes) -> None:
    """Write a folder that looks like the contest's, of noise instead of photos."""
    noise = np.random.default_rng(7)
    for person in range(size.labelled // copies.PHOTOS_A_PERSON):
        folder = root / "train" / "images" / f"{person:06d}_male_Asian_30"
        folder.mkdir(parents=True)
        for kind in raw.KINDS:
            (folder / f"{kind}.jpg").write_bytes(noise.bytes(SIZE))
    folder = root / "eval" / "images"
    folder.mkdir(parents=True)
    for number in range(size.answers):
        (folder / f"{number:040x}.jpg").write_bytes(noise.bytes(SIZE))


def _steps(project: Path, photos: Path, setting: Setting) -> dict[str, float]:
    """Seconds of every step in a fresh project."""
    shutil.copytree(photos, project / "data" / "photos")
    shutil.copytree(photos, project / "kept")
    (project / ".dvc").mkdir()
    (project / ".dvc" / "config").touch()
    shutil.copy2(HERE / ".dvcignore", project / ".dvcignore")
    if setting.ours:
        shutil.copy2(HERE / ".dvc" / "config", project / ".dvc" / "config")
    (project / ".gitignore").write_text("/kept\n" + "/data/photos\n" * setting.ignored)
    (project / "dvc.yaml").write_text(_PIPELINE)
    (project / "index.csv").write_text("photo\n")
    for command in (["init", "-q"], [*_NOBODY, "commit", "-q", "--allow-empty", "-m", "start"]):
        subprocess.run(["git", *command], cwd=project, check=True)
    for name, value in setting.changes.items():
        _dvc(project, "config", name, value)

    def forget() -> None:
        shutil.rmtree(project / ".state")

    return {
        "commit": _timed(lambda: _dvc(project, "commit", "--force", "fix_labels")),
        "status": _timed(lambda: _dvc(project, "status", "fix_labels")),
        "status_without_state": _timed(lambda: _dvc(project, "status", "fix_labels"), first=forget),
        "add": _timed(lambda: _dvc(project, "add", "kept")),
        "checkout": _timed(
            lambda: _dvc(project, "checkout", "kept"), first=lambda: shutil.rmtree(project / "kept")
        ),
    }


def _timed(work: Callable[[], None], *, first: Callable[[], None] | None = None) -> float:
    if first is not None:
        first()
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def _dvc(project: Path, *arguments: str) -> None:
    ended = subprocess.run(
        [sys.executable, "-m", "dvc", *arguments],
        cwd=project,
        env=os.environ | {"DVC_NO_ANALYTICS": "true", "DVC_SITE_CACHE_DIR": str(project / ".state")},
        capture_output=True,
        text=True,
        check=False,
    )
    if ended.returncode:
        raise RuntimeError(f"dvc {' '.join(arguments)}: {ended.stderr or ended.stdout}")
