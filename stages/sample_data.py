"""Draw the embedded sample: people in the contest's layout.

Run as ``python -m stages.sample_data``.
"""

from __future__ import annotations

from pathlib import Path

from facemask.runtime.launch import launch
from facemask.sample import contest
from facemask.settings import params


def run(cfg: params.SampleData, *, out: Path) -> None:
    """Write ``out``, a folder in the contest's layout with ``eval/answers.csv``."""
    contest.write(cfg, out)


def main() -> None:
    """Run the stage with the params and paths it was given."""
    launch(run)


if __name__ == "__main__":
    main()
