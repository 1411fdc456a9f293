"""Too little memory: what to lower is told, or a smaller batch makes the same step."""

from __future__ import annotations

import pytest

from facemask.runtime import launch
from facemask.runtime.errors import UserError
from facemask.settings import loading, recipes
from facemask.training.memory import fitting

pytestmark = pytest.mark.slow

KNOBS = r"lower train\.batch_size and raise .*, lower train\.image\.size, or take a smaller train\.backbone"


def recipe(toy_yaml: dict, **changes: object) -> recipes.Recipe:
    toy_yaml["train"] |= changes
    return launch.view(loading.parse(toy_yaml, "toy"), recipes.Recipe)


def needs(limit: int, tried: list[tuple[int, int]]) -> object:
    """A training that memory suffices for up to a batch size."""

    def train(one: recipes.Recipe) -> int:
        tried.append((one.batch_size, one.accumulate))
        if one.batch_size > limit:
            raise RuntimeError(f"CUDA out of memory. Tried to allocate {one.batch_size} GiB")
        return one.batch_size

    return train


@pytest.mark.parametrize(
    ("limit", "tried"),
    [(32, [(32, 1)]), (31, [(32, 1), (16, 2)]), (5, [(32, 1), (16, 2), (8, 4), (4, 8)])],
)
def test_the_batch_is_halved_and_the_step_stays(toy_yaml, capsys, limit, tried) -> None:
    cfg, seen = recipe(toy_yaml, batch_size=32, accumulate=1, fit_memory=True), []
    found, used = fitting(cfg, needs(limit, seen))
    assert seen == tried
    assert found == used.batch_size <= limit
    assert used.batch_size * used.accumulate == 32
    assert capsys.readouterr().out.count("\n") == len(tried) - 1


def test_without_it_three_knobs_are_named(toy_yaml) -> None:
    cfg = recipe(toy_yaml, batch_size=32, fit_memory=False)
    with pytest.raises(
        UserError,
        match=rf"^out of memory with train\.batch_size 32 \(.*\); {KNOBS}, or set train\.fit_memory",
    ):
        fitting(cfg, needs(31, []))


def test_what_fits_no_batch_is_told(toy_yaml) -> None:
    cfg, seen = recipe(toy_yaml, batch_size=8, fit_memory=True), []
    with pytest.raises(UserError, match=rf"train\.batch_size 2 .*{KNOBS}$"):
        fitting(cfg, needs(0, seen))
    assert [size for size, _ in seen] == [8, 4, 2]


def test_other_errors_are_raised_as_they_are(toy_yaml) -> None:
    def broken(_: recipes.Recipe) -> None:
        raise RuntimeError("a bug")

    with pytest.raises(RuntimeError, match="a bug"):
        fitting(recipe(toy_yaml, fit_memory=True), broken)
