"""Refuse params that cannot work, before DVC removes the outputs of the stages that would find out.

Run as ``python -m stages.check``.
"""

from __future__ import annotations

from pathlib import Path

from facemask.commands import check
from facemask.records import left_out
from facemask.runtime import files
from facemask.runtime.launch import launch
from facemask.settings import params


def run(cfg: params.Params, *, root: Path, extra: Path, sample: Path, label_fixes: Path, out: Path) -> None:
    """Check ``cfg`` and what it names; write ``out``, which is always the same."""
    for note in check.everything(cfg, root=root, extra=extra, sample=sample, label_fixes=label_fixes):
        left_out.tell(note)
    with files.replacing(out) as temporary:
        temporary.write_text("params.yaml was checked before any output was touched\n", encoding="utf-8")


def main() -> None:
    """Run the stage with the params and paths it was given."""
    launch(run)


if __name__ == "__main__":
    main()
