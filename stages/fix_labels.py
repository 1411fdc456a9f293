"""Read the photos' labels, correct the known wrong ones and check every file; each photo keeps its row.

Run as ``python -m stages.fix_labels --root data/sample --fixes data/label_fixes.csv --out data/fix_labels
--metrics metrics/fix_labels.json``.
"""

from __future__ import annotations

import hashlib
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pandas as pd

from facemask import files, params, progress
from facemask.errors import UserError
from facemask.images import codec
from facemask.launch import launch
from facemask.records import fixes as known
from facemask.records import raw, tables

# Decoding leaves the interpreter's lock, and a slow disk is waited for by several.
THREADS = 4


def run(cfg: params.FixLabels, *, root: Path, fixes: Path, out: Path, metrics: Path) -> None:
    """Read the layout below ``root`` and the list ``fixes``; write ``out`` and the counts ``metrics``."""
    chosen = known.select(known.load(fixes), root.resolve().name, cfg.trust)
    layout = raw.scan(root)
    labels = known.apply(layout.train, chosen.applied)
    checked = _check(root, [*labels["photo"], *layout.eval["photo"]])
    labels, listed = (
        part.merge(checked, on="photo", how="left", validate="one_to_one") for part in (labels, layout.eval)
    )
    for part, place in ((labels, "train/images"), (listed, "eval/images")):
        if len(part) and (part["reason"] != "").all():
            first = f"{root / part['photo'].iloc[0]} ({part['reason'].iloc[0]})"
            raise UserError(
                f"{root / place}: none of {len(part)} photos can be read, such as {first}; copy them anew"
            )
    unreadable = checked[checked["reason"] != ""]
    notes = pd.concat([layout.notes, unreadable.assign(reason="unreadable: " + unreadable["reason"])])
    with files.replacing(out) as folder:
        tables.write(folder / "labels.csv", labels.drop(columns="reason"), tables.LABELS)
        tables.write(folder / "eval.csv", listed.drop(columns="reason"), tables.EVAL)
        quarantine = notes[["photo", "reason"]].sort_values(["photo", "reason"])
        tables.write(folder / "quarantine.csv", quarantine, tables.QUARANTINE)
    counts = {
        "people": int(labels["person"].nunique()),
        "photos": len(labels),
        "eval_photos": len(listed),
        "unreadable": len(unreadable),
        "missing": int(layout.notes["reason"].str.startswith("missing").sum()),
        "ignored": int(layout.notes["reason"].str.startswith("ignored").sum()),
        "fixes": chosen.counts(),
    }
    files.write_json(metrics, counts)
    sys.stdout.write(f"{chosen}\n" + ("" if len(listed) else "no eval photos: there will be no submission\n"))


def _check(root: Path, photos: Sequence[str]) -> pd.DataFrame:
    """Hash and decode every photo: photo, sha256, status, reason (empty if it can be read)."""

    def one(photo: str) -> tuple[str, str, str, str]:
        content = (root / photo).read_bytes()
        digest = hashlib.sha256(content).hexdigest()
        try:
            codec.decode(content)
        except codec.UnreadableImage as error:
            return photo, digest, "unreadable", str(error)
        return photo, digest, "ok", ""

    with ThreadPoolExecutor(THREADS) as pool:
        rows = list(progress.track(pool.map(one, photos), total=len(photos), label="photos checked"))
    return pd.DataFrame(rows, columns=["photo", "sha256", "status", "reason"], dtype=str)


def main() -> None:
    """Run from the command line."""
    launch(run)


if __name__ == "__main__":
    main()
