"""What a person looks like, and what must not depend on it."""

from __future__ import annotations

import numpy as np
import pytest

from facemask.sample import identity


def _people(gender: int, age: int, count: int = 100) -> list[identity.Identity]:
    return [identity.draw(np.random.default_rng([gender, age, k]), gender, age) for k in range(count)]


@pytest.mark.parametrize("trait", ["wrinkles", "bags", "sag", "mottle", "grey"])
@pytest.mark.parametrize("gender", [0, 1])
def test_age_shows_more_with_every_decade(trait: str, gender: int) -> None:
    means = [np.mean([getattr(who, trait) for who in _people(gender, age)]) for age in (20, 35, 50, 60)]
    assert np.all(np.diff(means) > 0.015)


def test_sixty_year_olds_are_grey_and_nobody_else_is() -> None:
    assert min(who.grey for who in _people(1, 60) + _people(0, 60)) > max(
        who.grey for who in _people(1, 59) + _people(0, 59)
    )


@pytest.mark.slow
def test_genders_overlap_but_differ() -> None:
    men, women = _people(0, 30), _people(1, 30)
    for trait in ("jaw", "brow_thickness", "lip_lower"):
        his, hers = ([getattr(who, trait) for who in group] for group in (men, women))
        assert abs(np.mean(his) - np.mean(hers)) > np.std(his) / 2
    assert {who.hair_style for who in _people(0, 20)} & {who.hair_style for who in _people(1, 20)}


@pytest.mark.slow
def test_glasses_are_rare() -> None:
    assert 0 < np.mean([who.glasses for who in _people(0, 40, 500)]) < 0.08


def test_a_person_is_drawn_from_the_generator_alone() -> None:
    first, second = (identity.draw(np.random.default_rng(4), 1, 33) for _ in range(2))
    assert all(
        np.array_equal(getattr(first, name), getattr(second, name)) for name in first.__dataclass_fields__
    )
