"""Write the sample as a folder in the contest's layout."""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import cv2
import numpy as np
from numpy.typing import NDArray

from facemask.runtime import executor, files, hardware, progress
from facemask.sample import identity, mask, photo, roster
from facemask.sample.roster import PLANTED, Person
from facemask.settings import params

__all__ = ["PLANTED", "write"]

KINDS = ("mask1", "mask2", "mask3", "mask4", "mask5", "incorrect_mask", "normal")
_CLASS = {"incorrect_mask": 1, "normal": 2}
# What macOS leaves beside a file on a foreign disk: the contest's archive holds such files too.
_APPLE_DOUBLE = b"\x00\x05\x16\x07\x00\x02\x00\x00Mac OS X        " + bytes(96)
_TRAIN, _EVAL = 0, 1


@dataclass(frozen=True)
class Shot:
    """A photo as files: ``kind`` is one of KINDS as drawn, ``suffix`` jpg, jpeg or png."""

    kind: str
    suffix: str
    photo: bytes
    matte: bytes


@dataclass(frozen=True)
class Job:
    """A person to be photographed: the sample's seed, the side (train 0, eval 1), the place on that side."""

    seed: int
    side: int
    index: int
    person: Person

    def generator(self, number: int) -> np.random.Generator:
        """Return the generator of the person (0) or of photo 1..7; it is the same in every process."""
        return np.random.default_rng([self.seed, 10 + self.side, self.index, number])


def _encode(image: NDArray[np.uint8], suffix: str) -> bytes:
    options = [] if suffix == ".png" else [cv2.IMWRITE_JPEG_QUALITY, 92]
    done, data = cv2.imencode(suffix, image, options)
    if not done:
        raise ValueError(f"OpenCV cannot write {suffix}")
    return data.tobytes()


def _suffixes(rng: np.random.Generator) -> list[str]:
    """Return the file endings of a person's photos: nearly all jpg, some people another, some a mixture."""
    main = str(rng.choice(("jpg", "jpeg", "png"), p=(0.955, 0.02, 0.025)))
    return [main if rng.random() > 0.02 else str(rng.choice(("jpg", "jpeg", "png"))) for _ in KINDS]


def circumstances(job: Job, number: int) -> tuple[photo.Scene, np.random.Generator]:
    """Return what photo ``number`` (0..6, as in KINDS) shows, and the generator to draw it with."""
    rng = job.generator(1 + number)
    if KINDS[number] == "normal":
        return photo.draw(rng, None), rng
    wrong = KINDS[number] == "incorrect_mask"
    return photo.draw(rng, mask.WRONG[int(rng.integers(2))] if wrong else "right"), rng


def shoot(job: Job) -> list[Shot]:
    """Return the seven photos of a person in the order of KINDS; they depend on ``job`` alone."""
    cv2.setNumThreads(1)
    rng = job.generator(0)
    sitter = photo.Sitter(identity.draw(rng, job.person.gender, job.person.age), rng)
    suffixes = _suffixes(rng) if job.side == _TRAIN else ["jpg"] * len(KINDS)
    shots = []
    for number, suffix in enumerate(suffixes):
        scene, fresh = circumstances(job, number)
        image, matte = photo.take(sitter, scene, fresh)
        colours = np.ascontiguousarray(image[..., ::-1])
        shots.append(Shot(KINDS[number], suffix, _encode(colours, f".{suffix}"), _encode(matte, ".png")))
    return shots


def shoot_all(jobs: list[Job], workers: int) -> Iterator[list[Shot]]:
    """Yield the photos of each of ``jobs`` in order, drawn by ``workers`` processes."""
    return executor.processes(_shoot_one, [[job] for job in jobs], workers=workers, preload=[__name__])


def _shoot_one(some: Sequence[Job]) -> list[Shot]:
    (job,) = some
    return shoot(job)


def jobs(cfg: params.SampleData) -> list[Job]:
    """Return everybody who is to be photographed, training people first."""
    people = [(_TRAIN, k, p) for k, p in enumerate(roster.train(cfg.train_people, cfg.seed))]
    people += [(_EVAL, k, p) for k, p in enumerate(roster.evaluation(cfg.eval_people, cfg.seed))]
    return [Job(cfg.seed, side, index, person) for side, index, person in people]


def write(cfg: params.SampleData, root: Path) -> None:
    """Draw the sample as the contest would hand it out, with the answers.

    The folder is written whole beside its place and then renamed; an older one is replaced. The content depends on
    ``cfg`` alone.

    Parameters
    ----------
    cfg : params.SampleData
        How many people, and the seed they are drawn with.
    root : Path
        Becomes ``train/train.csv`` and ``train/images``; with evaluation people also ``eval/info.csv``,
        ``eval/images`` and the true ``eval/answers.csv``.
    """
    people = jobs(cfg)
    # Starting a process takes as long as drawing a person.
    drawn = shoot_all(people, workers=min(hardware.cores(), len(people) // 8))
    with files.replacing(root) as data:
        (data / "train" / "images").mkdir(parents=True)
        if cfg.eval_people:
            (data / "eval" / "images").mkdir(parents=True)
        classes: list[tuple[str, int]] = []
        for job, shots in zip(
            people, progress.track(drawn, total=len(people), label="people drawn"), strict=True
        ):
            if job.side == _TRAIN:
                _file(job.person, shots, data / "train" / "images")
            else:
                classes += _hide(job, shots, data / "eval" / "images")
        rows = (
            (p.id, roster.GENDERS[p.recorded_gender], "Asian", p.recorded_age, p.folder)
            for p in (job.person for job in people if job.side == _TRAIN)
        )
        _table(data / "train" / "train.csv", ("id", "gender", "race", "age", "path"), rows)
        if cfg.eval_people:
            order = np.random.default_rng([cfg.seed, 3]).permutation(len(classes))
            shuffled = [sorted(classes)[k] for k in order]
            _table(data / "eval" / "info.csv", ("ImageID", "ans"), ((name, 0) for name, _ in shuffled))
            _table(data / "eval" / "answers.csv", ("ImageID", "ans"), shuffled)


def _file(person: Person, shots: list[Shot], images: Path) -> None:
    folder = images / person.folder
    folder.mkdir()
    exchanged = {"normal": "incorrect_mask", "incorrect_mask": "normal"} if person.swapped else {}
    for shot in shots:
        (folder / f"{exchanged.get(shot.kind, shot.kind)}.{shot.suffix}").write_bytes(shot.photo)
    if person.id == "000004":
        (folder / "._mask1.jpg").write_bytes(_APPLE_DOUBLE)


def _hide(job: Job, shots: list[Shot], images: Path) -> list[tuple[str, int]]:
    """Write a person's evaluation photos under names that tell nothing; return names and classes."""
    rows = []
    band = 0 if job.person.age < 30 else 1 if job.person.age < 60 else 2
    for shot in shots:
        name = (
            hashlib.sha1(b"sample evaluation photo" + shot.photo, usedforsecurity=False).hexdigest() + ".jpg"
        )
        (images / name).write_bytes(shot.photo)
        rows.append((name, _CLASS.get(shot.kind, 0) * 6 + job.person.gender * 3 + band))
    return rows


def _table(path: Path, header: tuple[str, ...], rows: Iterable[tuple[object, ...]]) -> None:
    with path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file, lineterminator="\n").writerows([header, *rows])
