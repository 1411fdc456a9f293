"""Read the photos' labels, correct the known wrong ones and check every file; each photo keeps its row.

Run as ``python -m stages.fix_labels``.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from facemask.labels import extra as extra_sets
from facemask.labels import fixes, health
from facemask.records import left_out, raw, tables
from facemask.records.roots import Roots
from facemask.runtime import files
from facemask.runtime.errors import printable
from facemask.runtime.launch import launch
from facemask.settings import params


def run(
    cfg: params.FixLabels, *, root: Path, extra: Path, synthetic: Path, label_fixes: Path, out: Path
) -> None:
    """Read the data set ``root``, extra ones and the list ``label_fixes``; write ``out``.

    ``out`` then holds photos.csv and answers.csv, ``out``/about counts.json and quarantine.csv.
    """
    where = Roots(root, extra, synthetic)
    names = extra_sets.names(where, cfg.dataset)
    listed = fixes.load(label_fixes)
    layout = raw.scan(root)
    there = fixes.known(layout.train)
    chosen = fixes.select(listed, cfg.dataset, cfg.trust, people=there, beside=names)
    people = set(layout.train["person"])
    sets = [extra_sets.read(where, name, listed, cfg.trust, people) for name in names]
    more = extra_sets.joined(sets)
    photos = _table(
        {
            "labelled": fixes.apply(layout.train, chosen.applied),
            "eval": layout.eval,
            "extra": more.labels,
            "unlabelled": more.unlabelled,
        }
    )
    checked = health.check(where, photos["photo"].to_list())
    photos = photos.merge(checked, on="photo", how="left", validate="one_to_one")
    health.require(photos, where, cfg.tolerate)
    damaged = photos[photos["reason"] != ""]
    unreadable = damaged[["photo"]].assign(reason="unreadable: " + damaged["reason"])
    quarantine = pd.concat([layout.notes, more.notes, unreadable]).sort_values(["photo", "reason"])
    quarantine = quarantine.map(printable)
    counts = {
        "dataset": cfg.dataset,
        "people": len(people),
        "photos": photos["set"].value_counts().reindex(tables.SETS, fill_value=0).to_dict(),
        "answers": len(layout.answers),
        "unreadable": damaged["set"].value_counts().reindex(tables.SETS, fill_value=0).to_dict(),
        "missing": int(quarantine["reason"].str.startswith("missing").sum()),
        "ignored": int(quarantine["reason"].str.startswith("ignored").sum()),
        "fixes": chosen.counts(),
        "extra": {one.name: one.counts() for one in sets},
    }
    left = health.told(photos, quarantine["reason"])
    with files.replacing(out) as folder:
        tables.write(folder / tables.PHOTOS.name, photos.drop(columns="reason"), tables.PHOTOS)
        tables.write(folder / tables.ANSWERS.name, layout.answers, tables.ANSWERS)
        tables.write(folder / "about" / tables.QUARANTINE.name, quarantine, tables.QUARANTINE)
        files.write_json(folder / "about" / "counts.json", counts)
        left_out.keep(folder / "about", left)
    told = [str(chosen), *map(str, sets)]
    told += [] if len(layout.eval) else ["no eval photos: there will be no submission"]
    for line in (*told, left):
        left_out.tell(line)


def _table(sets: Mapping[str, pd.DataFrame]) -> pd.DataFrame:
    """Put the sets' photos one below the other; what a set does not have is empty, or -1."""
    whole = pd.concat([part.assign(set=name) for name, part in sets.items()], ignore_index=True)
    columns = {name: kind for name, kind in tables.PHOTOS.columns.items() if name not in ("sha256", "status")}
    texts = [name for name, kind in columns.items() if kind is str]
    numbers = [name for name, kind in columns.items() if kind is int]
    whole = whole.reindex(columns=list(columns))
    return whole.assign(
        **{name: whole[name].fillna("").astype(str) for name in texts},
        **{name: whole[name].fillna(-1).astype("int64") for name in numbers},
    )


def main() -> None:
    """Run from the command line."""
    launch(run)


if __name__ == "__main__":
    main()
