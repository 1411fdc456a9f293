"""Who is in the sample: ages and genders in the contest's proportions, ids, and the planted label errors."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np

# People of the contest by (gender, band): gender 0 male, 1 female; band 0 <30, 1 30-59, 2 >=60.
_CONTEST = {(0, 0): 549, (0, 1): 410, (0, 2): 83, (1, 0): 732, (1, 1): 817, (1, 2): 109}
# Ages at given fractions of a band's people, from the contest's quartiles 20/36/55; all of band 2 are 60.
_AGES = {
    0: ((0.0, 0.53, 1.0), (18.0, 21.0, 30.0)),
    1: ((0.0, 0.06, 0.6, 1.0), (30.0, 36.0, 55.0, 60.0)),
    2: ((0.0, 1.0), (60.0, 60.0)),
}
GENDERS = ("male", "female")


@dataclass(frozen=True)
class Planted:
    """A label error: a person's id, the ``field`` (gender, age or swap), recorded and true value.

    A swap exchanges the files ``old`` and ``new`` (photo kinds) of a person.
    """

    id: str
    field: str
    old: str
    new: str


@dataclass(frozen=True)
class Person:
    """A drawn person: true ``gender`` (0 male, 1 female) and ``age`` in years, and the folder's ``id``.

    ``recorded_gender`` and ``recorded_age`` are what train.csv says; ``swapped`` tells that the files normal
    and incorrect_mask are exchanged.
    """

    id: str
    gender: int
    age: int
    recorded_gender: int
    recorded_age: int
    swapped: bool = False

    @property
    def folder(self) -> str:
        """Return the name of the person's folder, made of what is recorded."""
        return f"{self.id}_{GENDERS[self.recorded_gender]}_Asian_{self.recorded_age}"


PLANTED = (
    Planted("000003", "gender", "male", "female"),
    Planted("000006", "gender", "female", "male"),
    Planted("000009", "age", "52", "25"),
    Planted("000014", "swap", "normal", "incorrect_mask"),
)
# The first training people: id, true gender and age, whatever the seed and however many people there are.
_FIXED = (
    ("000001", 1, 45),
    ("000003", 1, 23),
    ("000004", 0, 19),
    ("000006", 0, 47),
    ("000009", 1, 25),
    ("000014", 0, 38),
    ("000019-1", 1, 60),
    ("000021", 0, 60),
)


def quotas(people: int) -> dict[tuple[int, int], int]:
    """Return how many of ``people`` have each (gender, band): largest remainders, one at least from 6 on."""
    least = 1 if people >= len(_CONTEST) else 0
    total = sum(_CONTEST.values())
    exact = {cell: people * count / total for cell, count in _CONTEST.items()}
    counts = {cell: max(int(share), least) for cell, share in exact.items()}
    while sum(counts.values()) != people:
        step = 1 if sum(counts.values()) < people else -1
        cells = [cell for cell in counts if step > 0 or counts[cell] > least]
        counts[max(cells, key=lambda cell: step * (exact[cell] - counts[cell]))] += step
    return counts


def _ages(band: int, count: int, rng: np.random.Generator) -> list[int]:
    at = (np.arange(count) + rng.uniform(0.2, 0.8, count)) / max(count, 1)
    years = np.floor(np.interp(at, *_AGES[band])).astype(int)
    low, high = ((18, 29), (30, 59), (60, 60))[band]
    return [int(year) for year in rng.permutation(np.clip(years, low, high))]


def _band(age: int) -> int:
    return 0 if age < 30 else 1 if age < 60 else 2


def _drawn(counts: dict[tuple[int, int], int], rng: np.random.Generator) -> list[tuple[int, int]]:
    pairs = [
        (gender, age) for (gender, band), count in sorted(counts.items()) for age in _ages(band, count, rng)
    ]
    return [pairs[k] for k in rng.permutation(len(pairs))]


def train(people: int, seed: int) -> list[Person]:
    """Return the training people in the order of train.csv; ``people`` is at least 8."""
    rng = np.random.default_rng([seed, 1])
    counts = quotas(people)
    persons = []
    faults = {plant.id: plant for plant in PLANTED}
    for name, gender, age in _FIXED:
        counts[gender, _band(age)] -= 1
        person = Person(name, gender, age, gender, age)
        fault = faults.get(name)
        if fault is not None and fault.field == "gender":
            person = replace(person, recorded_gender=GENDERS.index(fault.old))
        elif fault is not None and fault.field == "age":
            person = replace(person, recorded_age=int(fault.old))
        elif fault is not None:
            person = replace(person, swapped=True)
        persons.append(person)
    while min(counts.values()) < 0:
        # A handful of people cannot hold both the fixed ones and exact quotas: the largest group gives way.
        counts[min(counts, key=lambda cell: counts[cell])] += 1
        counts[max(counts, key=lambda cell: counts[cell])] -= 1
    number = 21
    for gender, age in _drawn(counts, rng):
        number += int(rng.choice((1, 2, 3, 4, 11), p=(0.45, 0.25, 0.15, 0.1, 0.05)))
        persons.append(Person(f"{number:06d}", gender, age, gender, age))
    return persons


def evaluation(people: int, seed: int) -> list[Person]:
    """Return the evaluation people; their ids never leave the renderer."""
    rng = np.random.default_rng([seed, 2])
    return [
        Person(f"eval-{k}", gender, age, gender, age)
        for k, (gender, age) in enumerate(_drawn(quotas(people), rng))
    ]
