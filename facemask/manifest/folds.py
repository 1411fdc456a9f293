"""Who is held out and who validates in which fold: by person, stratified, before anything else happens."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from facemask.records import tables
from facemask.runtime.errors import UserError


def assign(strata: Mapping[str, int], *, folds: int, holdout: float, seed: int) -> dict[str, int]:
    """Deal people into folds 0..``folds`` - 1, or :data:`facemask.records.tables.HOLDOUT`.

    Within each stratum people are shuffled, the first are held out and the rest dealt to the folds in turn;
    the next stratum goes on at the fold where the last one stopped. So folds differ by one person at most,
    overall and in every stratum. The order of ``strata`` does not matter.

    The fraction held out is exact over all people (rounded, at least one). Each stratum gives its share
    rounded down; the seats left over go first to strata of two people or more that would give nobody, then to
    the largest remainders. A stratum's only person is held out only if the others cannot fill the seats.

    Parameters
    ----------
    strata
        Person -> stratum 0.. (gender and official age band). Nothing else may enter: shifted training bands
        must not move a person.
    holdout
        Fraction of people, 0..0.5; 0 holds nobody out.

    Raises
    ------
    UserError
        If fewer people are left than there are folds.
    """
    groups: dict[int, list[str]] = {}
    for person, stratum in sorted(strata.items()):
        groups.setdefault(stratum, []).append(person)
    seats = _seats({stratum: len(group) for stratum, group in groups.items()}, holdout)
    left = len(strata) - sum(seats.values())
    if left < folds:
        people = f"{len(strata)} people, {len(strata) - left} of them held out"
        remedy = "lower build_manifest.folds or build_manifest.holdout, or add people"
        raise UserError(f"build_manifest.folds is {folds}, but there are {people}; {remedy}")
    dealt: dict[str, int] = {}
    turn = 0
    for stratum, group in sorted(groups.items()):
        # One generator a stratum: people added to one do not reshuffle the others.
        order = np.random.default_rng([seed, stratum]).permutation(len(group))
        for place, index in enumerate(order):
            if place < seats[stratum]:
                dealt[group[index]] = tables.HOLDOUT
            else:
                dealt[group[index]] = turn % folds
                turn += 1
    return dealt


def _seats(sizes: Mapping[int, int], holdout: float) -> dict[int, int]:
    """How many people each stratum gives to the hold-out set."""
    if holdout == 0:
        return dict.fromkeys(sizes, 0)
    total = max(1, round(holdout * sum(sizes.values())))
    # A product such as 0.29 * 100 falls just short of its whole number.
    seats = {stratum: int(round(holdout * size, 9)) for stratum, size in sizes.items()}
    remainders = {stratum: holdout * size - seats[stratum] for stratum, size in sizes.items()}
    for _ in range(total - sum(seats.values())):
        # Last resort first: emptied strata lose, then those that already give, then the smaller remainder.
        chosen = max(
            (stratum for stratum in sizes if seats[stratum] < sizes[stratum]),
            key=lambda s: (sizes[s] - seats[s] > 1, seats[s] == 0, remainders[s], -s),
        )
        seats[chosen] += 1
        remainders[chosen] -= 1
    return seats
