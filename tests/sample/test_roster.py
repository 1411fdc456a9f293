"""Who is in the sample."""

from __future__ import annotations

import csv
import itertools
from collections import Counter
from pathlib import Path

import numpy as np
import pytest

from facemask.sample import roster


def _cell(person: roster.Person) -> tuple[int, int]:
    return person.gender, 0 if person.age < 30 else 1 if person.age < 60 else 2


@pytest.mark.parametrize("people", [0, 1, 5, 6, 8, 40, 120, 500])
def test_quotas_add_up(people: int) -> None:
    counts = roster.quotas(people)
    assert sum(counts.values()) == people
    assert min(counts.values()) >= (1 if people >= 6 else 0)


@pytest.mark.parametrize(("people", "sixty"), [(120, 9), (40, 3), (1000, 71)])
def test_sixty_year_olds_are_as_frequent_as_in_the_contest(people: int, sixty: int) -> None:
    counts = roster.quotas(people)
    assert counts[0, 2] + counts[1, 2] == sixty


@pytest.mark.parametrize("seed", [0, 1, 7])
def test_people_follow_the_contest(seed: int) -> None:
    people = roster.train(600, seed)
    ages = np.array([person.age for person in people])
    assert ages.min() == 18
    assert ages.max() == 60
    assert abs(np.percentile(ages, [25, 50, 75]) - [20, 36, 55]).max() <= 2
    assert np.mean([person.gender for person in people]) == pytest.approx(0.614, abs=0.01)
    assert np.mean(ages < 30) == pytest.approx(0.474, abs=0.01)


@pytest.mark.parametrize("people", [8, 12, 40, 120])
def test_train_has_every_class_and_the_number_asked_for(people: int) -> None:
    drawn = roster.train(people, 3)
    assert len(drawn) == people == len({person.id for person in drawn})
    assert len({_cell(person) for person in drawn}) == 6


def test_full_size_train_meets_its_quotas_exactly() -> None:
    assert Counter(map(_cell, roster.train(120, 5))) == roster.quotas(120)


def test_evaluation_people_meet_their_quotas() -> None:
    assert Counter(map(_cell, roster.evaluation(40, 5))) == roster.quotas(40)
    assert roster.evaluation(0, 5) == []


def test_planted_errors_depend_on_neither_seed_nor_size() -> None:
    planted = {plant.id for plant in roster.PLANTED}
    first = [person for person in roster.train(8, 0) if person.id in planted]
    assert len(first) == len(roster.PLANTED)
    for people, seed in ((8, 1), (40, 2), (120, 3)):
        assert [person for person in roster.train(people, seed) if person.id in planted] == first


def test_planted_errors_are_what_the_people_differ_in() -> None:
    people = {person.id: person for person in roster.train(30, 0)}
    for plant in roster.PLANTED:
        person = people[plant.id]
        if plant.field == "gender":
            assert (plant.old, plant.new) == (
                roster.GENDERS[person.recorded_gender],
                roster.GENDERS[person.gender],
            )
        elif plant.field == "age":
            assert (int(plant.old), int(plant.new)) == (person.recorded_age, person.age)
        else:
            assert person.swapped
    wrong = {
        p.id for p in people.values() if p.swapped or (p.gender, p.age) != (p.recorded_gender, p.recorded_age)
    }
    assert wrong == {plant.id for plant in roster.PLANTED}


def test_one_id_is_text_and_the_others_have_six_digits() -> None:
    ids = [person.id for person in roster.train(120, 0)]
    odd = [name for name in ids if not (len(name) == 6 and name.isdigit())]
    assert odd == ["000019-1"]
    gaps = {int(after) - int(before) for before, after in itertools.pairwise(ids[8:])}
    assert len(gaps) > 2


def test_another_seed_draws_other_ages() -> None:
    assert [p.age for p in roster.train(60, 0)] != [p.age for p in roster.train(60, 1)]


def test_shipped_fixes_are_the_planted_errors(repository: Path) -> None:
    with (repository / "data" / "label_fixes.csv").open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["dataset"] == "sample"]
    shipped = {roster.Planted(row["id"], row["field"], row["old"], row["new"]) for row in rows}
    assert shipped == set(roster.PLANTED)
