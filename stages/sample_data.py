"""Draw the embedded sample: people in the contest's layout.

Run as ``python -m stages.sample_data``.
"""

from __future__ import annotations

import sys
from pathlib import Path

from facemask.runtime import files
from facemask.runtime.launch import launch
from facemask.sample import contest
from facemask.settings import params


def run(cfg: params.SampleData, *, root: Path, out: Path) -> None:
    """Write ``out``, a folder in the contest's layout with ``eval/answers.csv``; empty if ``root`` is another one."""
    if root.resolve() == out.resolve():
        contest.write(cfg, out)
        return
    sys.stdout.write("sample_data: data.root is another folder, so no people are drawn\n")
    with files.replacing(out) as folder:
        folder.mkdir()


def main() -> None:
    """Run the stage with the params and paths it was given."""
    launch(run)


if __name__ == "__main__":
    main()
