"""Draw the embedded sample: people in the contest's layout, and what is true of them beside it.

Run as ``python -m stages.sample_data --out data/sample --truth data/sample_truth``.
"""

from __future__ import annotations

from pathlib import Path

from facemask.runtime.launch import launch
from facemask.sample import contest
from facemask.settings import params


def run(cfg: params.SampleData, *, out: Path, truth: Path) -> None:
    """Write ``out`` (the contest's layout) and ``truth`` (``answers.csv``, ``mattes.zip``)."""
    contest.write(cfg, out, truth)


def main() -> None:
    """Run the stage with the params and paths it was given."""
    launch(run)


if __name__ == "__main__":
    main()
