"""Faces that are alike are one group, and share gender and age but never the mask."""

from __future__ import annotations

import numpy as np
import pytest

from facemask.recognition import groups
from facemask.records import classes


def around(*middles: tuple[float, ...], each: int = 3, seed: int = 0) -> np.ndarray:
    rng = np.random.default_rng(seed)
    rows = np.repeat(np.array(middles), each, axis=0) + rng.normal(
        0, 0.05, (each * len(middles), len(middles[0]))
    )
    return (rows / np.linalg.norm(rows, axis=1, keepdims=True)).astype(np.float32)


def table(count: int, seed: int = 1) -> np.ndarray:
    return np.random.default_rng(seed).dirichlet(np.full(18, 0.3), count)


def test_vectors_that_are_alike_are_joined_whatever_their_order() -> None:
    vectors = around((1, 0, 0), (0, 1, 0), (0, 0, 1))
    assert groups.find(vectors, 0.5).tolist() == [0, 0, 0, 3, 3, 3, 6, 6, 6]
    order = np.random.default_rng(2).permutation(9)
    shuffled = groups.find(vectors[order], 0.5)
    assert [set(order[shuffled == number] // 3) for number in np.unique(shuffled)] != [{0, 1, 2}]
    assert all(len(set(order[shuffled == number] // 3)) == 1 for number in np.unique(shuffled))
    assert all(shuffled[number] == number for number in shuffled)


def test_similarity_1_joins_equal_vectors_alone_and_0_all_that_are_not_opposite() -> None:
    vectors = np.concatenate([around((1, 0.2, 0), (0.2, 1, 0))] * 2)
    assert groups.find(vectors, 1.0).tolist() == [0, 1, 2, 3, 4, 5] * 2
    assert set(groups.find(vectors, 0.0).tolist()) == {0}
    assert groups.find(vectors[:1], 0.5).tolist() == [0]
    assert groups.find(vectors[:0], 0.5).tolist() == []


def test_average_linkage_is_no_chain() -> None:
    """Each vector is near the next; single linkage would join all of them."""
    angles = np.deg2rad(np.arange(0, 180, 20))
    chain = np.stack([np.cos(angles), np.sin(angles)], 1).astype(np.float32)
    assert len(set(groups.find(chain, 0.9).tolist())) > 2


def test_a_group_shares_the_geometric_mean_of_gender_and_age_and_keeps_the_masks() -> None:
    before, group = table(7), np.array([0, 0, 0, 3, 4, 4, 6])
    after = groups.share(before, group)
    np.testing.assert_allclose(after.sum(1), 1)
    old, new = classes.marginals(before), classes.marginals(after)
    np.testing.assert_allclose(new["mask"], old["mask"], atol=1e-6)
    for name in ("gender", "age"):
        for members in (slice(0, 3), slice(4, 6)):
            mean = np.exp(np.log(old[name][members]).mean(0))
            np.testing.assert_allclose(
                new[name][members], [mean / mean.sum()] * len(after[members]), atol=1e-5
            )
    alone = [3, 6]
    assert np.array_equal(after[alone], before[alone])


def test_certainty_of_one_photo_does_not_break_a_group() -> None:
    before = np.stack([np.eye(18)[0], np.eye(18)[5], table(1)[0]])
    after = groups.share(before, np.zeros(3, np.int64))
    assert np.isfinite(after).all()
    np.testing.assert_allclose(classes.marginals(after)["mask"], classes.marginals(before)["mask"], atol=1e-5)


def test_facts_count_groups_and_tell_how_well_they_agree_with_people() -> None:
    group = np.array([0, 0, 2, 3, 3, 3])
    assert groups.facts(group) == {"groups": 2, "photos": 5, "largest": 3}
    assert groups.facts(group, np.array([7, 7, 1, 2, 2, 2]))["adjusted_rand"] == 1
    assert groups.facts(group, np.array([1, 2, 1, 2, 1, 2]))["adjusted_rand"] == pytest.approx(0, abs=0.35)
