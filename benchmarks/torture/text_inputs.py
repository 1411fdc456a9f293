"""Damaged tables, JSON files and names, and what must be true of whatever is read out of them."""

from __future__ import annotations

import csv
import io
import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

import numpy as np
import yaml

from benchmarks.speed.outcome import HERE
from benchmarks.torture import mutations
from facemask.ensemble import combiner
from facemask.labels import fixes
from facemask.records import csvfile, names, raw, tables
from facemask.runtime import files
from facemask.serving import runs

Rng = np.random.Generator
Try = Callable[[Rng], None]
PEOPLE: Final = [
    [
        f"{k:06d}",
        ("male", "female")[k % 2],
        "Asian",
        str(19 + 7 * k),
        f"{k:06d}_{('male', 'female')[k % 2]}_Asian_{19 + 7 * k}",
    ]
    for k in range(6)
]
HEADER: Final = ["id", "gender", "race", "age", "path"]


class Altered(AssertionError):  # noqa: N818  # what was found, not what went wrong
    """Something was read that is not what was written."""


def contest(root: Path) -> Path:
    """A folder in the contest's layout whose photos are empty files."""
    for person in PEOPLE:
        (root / "train" / "images" / person[-1]).mkdir(parents=True)
        for kind in raw.KINDS:
            (root / "train" / "images" / person[-1] / f"{kind}.jpg").touch()
    (root / "train" / "train.csv").write_bytes(_table([HEADER, *PEOPLE]))
    return root


def _table(rows: list[list[str]]) -> bytes:
    stream = io.StringIO()
    csv.writer(stream, lineterminator="\n").writerows(rows)
    return stream.getvalue().encode()


def _one_line(rows: list[list[str]], rng: Rng) -> tuple[bytes, int]:
    """A table with damage within one of its lines, and which."""
    lines = _table(rows).splitlines()
    place = int(rng.integers(len(lines)))
    lines[place] = mutations.data(lines[place], rng, edits=int(rng.choice([1, 1, 4])))
    return b"\n".join(lines) + b"\n", place


def people(folder: Path) -> Try:
    """``train.csv``: rows without damage come out as they are, or nothing does."""
    root = contest(folder / "contest")
    whole = raw.scan(root).train

    def attempt(rng: Rng) -> None:
        content, place = _one_line([HEADER, *PEOPLE], rng)
        (root / "train" / "train.csv").write_bytes(content)
        found = raw.scan(root).train
        kept = [person[0] for k, person in enumerate(PEOPLE) if k + 1 != place]
        same = [table[table["person"].isin(kept)].reset_index(drop=True) for table in (found, whole)]
        if not same[0].equals(same[1]):
            raise Altered(content)

    return attempt


def dress(folder: Path) -> Try:
    """Any table as another program would save it: every field comes out as it was."""
    path = folder / "dressed.csv"

    def attempt(rng: Rng) -> None:
        rows = [[_field(rng) for _ in range(3)] for _ in range(int(rng.integers(1, 9)))]
        header = [["id", "note", "이름"], ["id", "note", "path"]][int(rng.integers(2))]
        path.write_bytes(mutations.dressed([header, *rows], rng))
        found = csvfile.text(path, "")
        # Line ends within a field are the reader's own.
        if found[header].to_numpy().tolist() != rows:
            raise Altered(path.read_bytes())

    return attempt


def _field(rng: Rng) -> str:
    letters = list("abcXYZ 012가나힣é-_'\"") if rng.integers(2) else list("abc 019가나,;'")
    return "x" + "".join(rng.choice(letters, int(rng.integers(0, 12))))


def label_fixes(folder: Path) -> Try:
    """``label_fixes.csv``, read from rows without damage as they are."""
    text = (HERE / "data" / "label_fixes.csv").read_text(encoding="utf-8")
    rows = list(csv.reader(io.StringIO(text)))[:12]
    path = folder / "label_fixes.csv"
    path.write_bytes(_table(rows))
    whole = [(fix.dataset, fix.id, fix.field, fix.old, fix.new, fix.status) for fix in fixes.load(path)]

    def attempt(rng: Rng) -> None:
        content, place = _one_line(rows, rng)
        path.write_bytes(content)
        found = {(fix.dataset, fix.id, fix.field, fix.old, fix.new, fix.status) for fix in fixes.load(path)}
        if not found.issuperset(fix for k, fix in enumerate(whole) if k + 1 != place):
            raise Altered(content)

    return attempt


def stage_tables(folder: Path) -> Try:
    """Tables between the stages, each by its schema."""
    cases = []
    for kind in (tables.PHOTOS, tables.BOXES, tables.MANIFEST, tables.EVAL_PROBABILITIES, tables.SUBMISSION):
        rows = [
            [
                f"{name}{k}" if of is str else str(k) if of is int else f"0.{k}5"
                for name, of in kind.columns.items()
            ]
            for k in range(5)
        ]
        path = folder / kind.name
        path.write_bytes(_table([list(kind.columns), *rows]))
        cases.append((kind, path, rows, tables.read(path, kind)))

    def attempt(rng: Rng) -> None:
        kind, path, rows, whole = cases[int(rng.integers(len(cases)))]
        content, place = _one_line([list(kind.columns), *rows], rng)
        path.write_bytes(content)
        found = tables.read(path, kind)
        if (
            place
            and not found.drop(index=place - 1, errors="ignore").equals(whole.drop(index=place - 1))
            and len(found) == 5
        ):
            raise Altered(content)

    return attempt


def photo_names(folder: Path) -> Try:
    """Names of photos and folders: every photo is listed or noted, or the folder is refused."""
    root = contest(folder / "contest")
    place = root / "eval" / "images"

    def attempt(rng: Rng) -> None:
        shutil.rmtree(root / "eval", ignore_errors=True)
        place.mkdir(parents=True)
        given = set()
        for _ in range(int(rng.integers(1, 5))):
            name = f"{mutations.name(rng)}.jpg"
            try:
                (place / name).touch()
                given.add(name)
            except (OSError, ValueError):
                continue
        rows = [[name] for name in sorted(given) if rng.random() < 0.8]
        if any(not names.plain(row[0]) for row in rows):
            rows = []
        (root / "eval" / "info.csv").write_bytes(_table([["ImageID"], *rows]))
        found = raw.scan(root)
        if len(found.eval) != len(rows) or set(found.eval["image_id"]) != {row[0] for row in rows}:
            raise Altered(rows)
        if len(found.eval) + found.notes["photo"].str.startswith("eval/").sum() != len(given):
            raise Altered(given)

    return attempt


def json_files(folder: Path) -> Try:
    """``combiner.json``, and a lock file as ``predict`` reads it."""
    plain = combiner.Combiner((), combiner.Fitted(combiner.Mean((1.0,)), 0.0, (1 / 18,) * 18, None), False)
    path = folder / "data" / "combine" / "combiner.json"
    files.write_json(path, plain.to_json())
    entries = yaml.safe_load((HERE / "dvc.lock").read_text())
    lock = yaml.safe_dump(entries).encode()
    (folder / "dvc.lock").write_bytes(lock)
    content: Any = json.loads(path.read_text())

    def attempt(rng: Rng) -> None:
        match int(rng.integers(3)):
            case 0:
                path.write_bytes(mutations.data(json.dumps(content).encode(), rng))
                combiner.read(path)
            case 1:
                path.write_text(json.dumps(mutations.value(content, rng)))
                combiner.read(path)
            case _:
                files.write_json(path, content)
                (folder / "dvc.lock").write_bytes(mutations.data(lock, rng))
                runs.read(folder, folder, "")

    return attempt


PARTS: Final = {
    "train.csv": (people, 2500),
    "tables of other programs": (dress, 2000),
    "label_fixes.csv": (label_fixes, 1500),
    "tables between stages": (stage_tables, 1500),
    "names of photos": (photo_names, 1500),
    "combiner.json and dvc.lock": (json_files, 700),
}
