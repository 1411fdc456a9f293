"""Plant ten wrong labels in the sample, run the pipeline to the audit, and tell at which ranks it puts them.

Run from the project's folder, after ``dvc repro``::

    python -m benchmarks.planted
    python -m benchmarks.planted --seed 2 --work ../planted

Four people get the other gender, four have two files exchanged, two an age of another band. Networks of all folds train
on the wrong labels like on the right ones, as shipped otherwise; a quarter of an hour on two cores.
"""

from __future__ import annotations

import argparse
import os
import random
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, NamedTuple

import pandas as pd
import yaml

from benchmarks.speed.outcome import HERE
from facemask.records import classes
from facemask.settings import presets

SAMPLE: Final = HERE / "data" / "sample"
FIRST: Final = 15
GENDERS, EXCHANGED, AGES = 4, 4, 2
# As far from a band's edge as this, years.
_CLEAR: Final = 5


class Error(NamedTuple):
    """One planted error: whose, and of which attribute."""

    person: str
    attribute: str


def main() -> None:
    """Plant, run, and print the ranks; end with code 1 if fewer than eight are among the first fifteen."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.planted", description=__doc__.splitlines()[0])
    parser.add_argument("--seed", type=int, default=1, help="of who gets which error (1)")
    parser.add_argument("--work", type=Path, help="folder for the copies; kept if named")
    chosen = parser.parse_args()
    if not (SAMPLE / "train").is_dir():
        sys.exit("error: there is no sample; run `dvc repro sample_data`")
    with tempfile.TemporaryDirectory(prefix="facemask-planted-") as folder:
        work = (chosen.work or Path(folder)).resolve()
        clone = work / "facemask"
        if clone.exists():
            sys.exit(f"error: {clone} is there already; remove it or name another folder")
        work.mkdir(parents=True, exist_ok=True)
        subprocess.run(["git", "clone", "--quiet", str(HERE), str(clone)], check=True)
        shutil.copytree(SAMPLE, work / "planted")
        errors = plant(work / "planted" / "train", random.Random(chosen.seed))
        _run(clone)
        found = pd.read_csv(clone / "data" / "audit" / "suspects.csv", dtype=str)
    told = ranks(found, errors)
    for error, rank in told.items():
        print(f"{error.person}  {error.attribute:7} {rank or 'not listed'}")
    early = sum(rank is not None and rank <= FIRST for rank in told.values())
    print(f"{early} of {len(told)} among the first {FIRST} of {len(found)} suspects")
    if early < 8:
        sys.exit("error: fewer than 8")


def plant(train: Path, chance: random.Random) -> list[Error]:
    """Change labels and exchange files in place; nobody whom the list of fixes names gets a second error."""
    table = pd.read_csv(train / "train.csv", dtype={"id": str})
    listed = pd.read_csv(HERE / "data" / "label_fixes.csv", dtype=str)
    free = [who for who in table["id"] if who not in set(listed.loc[listed["dataset"] == "sample", "id"])]
    chance.shuffle(free)
    clear = [who for who in free if _clear(int(table.loc[table["id"] == who, "age"].iloc[0]))]
    ages = clear[:AGES]
    others = iter([who for who in free if who not in ages])
    errors = [Error(who, "age") for who in ages]
    errors += [Error(next(others), "gender") for _ in range(GENDERS)]
    for error in errors:
        at = table.index[table["id"] == error.person][0]
        if error.attribute == "gender":
            table.loc[at, "gender"] = next(one for one in classes.GENDERS if one != table.loc[at, "gender"])
        else:
            table.loc[at, "age"] = 64 if int(table.loc[at, "age"]) < classes.OFFICIAL_AGE_CUT else 22
        before = train / "images" / table.loc[at, "path"]
        row = table.loc[at]
        table.loc[at, "path"] = f"{row['id']}_{row['gender']}_{row['race']}_{row['age']}"
        before.rename(train / "images" / table.loc[at, "path"])
    exchanged = _exchanged(train / "images", table, others)
    errors += [Error(next(exchanged), "mask") for _ in range(EXCHANGED)]
    table.to_csv(train / "train.csv", index=False)
    return errors


def _clear(age: int) -> bool:
    return min(abs(age - classes.OFFICIAL_YOUNG_CUT), abs(age - classes.OFFICIAL_AGE_CUT)) >= _CLEAR


def _exchanged(images: Path, table: pd.DataFrame, people: Iterator[str]) -> Iterator[str]:
    """Exchange the bare face with the wrongly worn mask; yield whose, files of different formats left out."""
    for who in people:
        folder = images / table.loc[table["id"] == who, "path"].iloc[0]
        one, other = next(folder.glob("normal.*")), next(folder.glob("incorrect_mask.*"))
        if one.suffix != other.suffix:
            continue
        first, second = one.read_bytes(), other.read_bytes()
        one.write_bytes(second)
        other.write_bytes(first)
        yield who


def _run(clone: Path) -> None:
    """Train all folds on the planted data set and audit it."""
    whole = yaml.safe_load((clone / "params.yaml").read_text())
    folds = list(range(whole["build_manifest"]["folds"]))
    changes = {"data": {"root": "../planted"}, "train": {"folds": folds}}
    (clone / "params.yaml").write_text(yaml.safe_dump(presets.merge(whole, changes), sort_keys=False))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    command: Sequence[str] = [sys.executable, "-m", "dvc", "repro", "audit"]
    subprocess.run(command, cwd=clone, env=os.environ | {"PATH": path, "HF_HUB_OFFLINE": "1"}, check=True)


def ranks(found: pd.DataFrame, errors: Sequence[Error]) -> dict[Error, int | None]:
    """Rank of the first suspect that shows each error; None for one that no suspect shows."""
    told: dict[Error, int | None] = {}
    for error in errors:
        rows = found[(found["id"] == error.person) & (found["attribute"] == error.attribute)]
        told[error] = int(rows["rank"].astype(int).min()) if len(rows) else None
    return told


if __name__ == "__main__":
    main()
