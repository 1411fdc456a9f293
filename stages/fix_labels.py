"""Read the photos' labels, correct the known wrong ones and check every file; each photo keeps its row.

Run as ``python -m stages.fix_labels --root data/sample --extra data/extra --synthetic data/synthesise
--fixes data/label_fixes.csv --out data/fix_labels --metrics metrics/fix_labels.json``.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pandas as pd

from facemask.labels import extra as beside
from facemask.labels import fixes as known
from facemask.labels import health
from facemask.records import raw, tables
from facemask.records.roots import Roots
from facemask.runtime import files
from facemask.runtime.launch import launch
from facemask.settings import params


def run(
    cfg: params.FixLabels,
    *,
    root: Path,
    extra: Path,
    synthetic: Path,
    fixes: Path,
    out: Path,
    metrics: Path,
) -> None:
    """Read the data set ``root``, those beside it and the list ``fixes``; write ``out`` and counts ``metrics``."""
    where = Roots(root, extra, synthetic)
    names = beside.names(where)
    listed = known.load(fixes)
    chosen = known.select(listed, root.resolve().name, cfg.trust, beside=names)
    layout = raw.scan(root)
    people = set(layout.train["person"])
    sets = [beside.read(where, name, listed, cfg.trust, people) for name in names]
    more = beside.joined(sets)
    parts = (
        (tables.LABELS, known.apply(layout.train, chosen.applied)),
        (tables.EVAL, layout.eval),
        (tables.EXTRA, more.labels),
        (tables.UNLABELLED, more.unlabelled),
    )
    checked = health.check(where, [photo for _, part in parts for photo in part["photo"]])
    unreadable = checked[checked["reason"] != ""]
    quarantine = pd.concat(
        [layout.notes, more.notes, unreadable.assign(reason="unreadable: " + unreadable["reason"])]
    )
    with files.replacing(out) as folder:
        for schema, part in parts:
            whole = part.merge(checked, on="photo", how="left", validate="one_to_one")
            tables.write(folder / schema.name, whole.drop(columns="reason"), schema)
        quarantine = quarantine[["photo", "reason"]].sort_values(["photo", "reason"])
        tables.write(folder / tables.QUARANTINE.name, quarantine, tables.QUARANTINE)
    counts = {
        "people": len(people),
        "photos": len(layout.train),
        "eval_photos": len(layout.eval),
        "unreadable": len(unreadable),
        "missing": int(quarantine["reason"].str.startswith("missing").sum()),
        "ignored": int(quarantine["reason"].str.startswith("ignored").sum()),
        "fixes": chosen.counts(),
        "extra": {one.name: one.counts() for one in sets},
    }
    files.write_json(metrics, counts)
    told = [str(chosen), *map(str, sets)]
    told += [] if len(layout.eval) else ["no eval photos: there will be no submission"]
    sys.stdout.write("".join(f"{line}\n" for line in told))


def main() -> None:
    """Run from the command line."""
    launch(run)


if __name__ == "__main__":
    main()
