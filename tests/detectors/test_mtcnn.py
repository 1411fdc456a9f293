"""Crops that float32 leaves out change no box: neither in theory, whatever its errors, nor on drawn faces."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facemask.detectors import mtcnn, suppression
from facemask.pixels import codec
from facemask.sample import contest, roster


def crowd(seed: int, count: int = 60) -> tuple[np.ndarray, np.ndarray]:
    """Boxes in heaps, and log-odds many of which nearly tie."""
    rng = np.random.default_rng(seed)
    corner = rng.choice([0.0, 60.0, 90.0], (count, 2)) + rng.normal(0, 8, (count, 2))
    boxes = np.concatenate([corner, corner + rng.uniform(60, 100, (count, 1))], axis=1)
    return boxes, rng.choice([1.0, 4.0, 4.004, 9.0, 12.0], count) + rng.normal(0, 0.002, count)


@pytest.mark.parametrize("seed", range(20))
def test_what_float32_leaves_out_is_suppressed_whatever_its_error(seed: int) -> None:
    boxes, odds = crowd(seed)
    lowest = 2.0
    rng = np.random.default_rng(100 + seed)
    seen = odds + rng.uniform(-0.004, 0.004, len(odds)), boxes + rng.uniform(-0.02, 0.02, boxes.shape)
    likely = seen[0] > lowest - 0.01
    needed = np.flatnonzero(likely)[~suppression.outdone(seen[1][likely], seen[0][likely], lowest)]
    passed = np.flatnonzero(odds > lowest)
    among_all = passed[suppression.best(boxes[passed], odds[passed])]
    of_needed = needed[odds[needed] > lowest]
    assert np.array_equal(of_needed[suppression.best(boxes[of_needed], odds[of_needed])], among_all)
    assert len(needed) < len(passed)


def test_a_box_that_may_itself_be_suppressed_outdoes_none() -> None:
    # Each lies to .8 on the next one; the first suppresses the second, so the third stays.
    boxes = np.array([[x, 0.0, x + 99, 99.0] for x in (0, 20, 40)])
    odds = np.array([9.0, 6.0, 3.0])
    assert suppression.best(boxes, odds).tolist() == [0, 2]
    assert suppression.outdone(boxes, odds, 0.0).tolist() == [False, True, False]


@pytest.mark.parametrize("odds", [[9.0, 9.001], [0.005, -0.006]])
def test_ties_and_doubtful_faces_are_left_to_float64(odds: list[float]) -> None:
    boxes = np.array([[0.0, 0.0, 99.0, 99.0]] * 2)
    assert not suppression.outdone(boxes, np.array(odds), 0.0).any()


def test_of_a_huge_heap_none_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    boxes, odds = crowd(0)
    assert suppression.outdone(boxes, odds, 0.0).any()
    monkeypatch.setattr(suppression, "_HEAP", len(boxes) - 1)
    assert not suppression.outdone(boxes, odds, 0.0).any()


def test_the_only_crop_is_a_row() -> None:
    networks = mtcnn.Networks(56.12, (0.6, 0.7, 0.0))
    crops, boxes = torch.zeros((1, 3, 48, 48), dtype=torch.float64), torch.tensor([[0.0, 0, 99, 99, 1]])
    with torch.inference_mode():
        assert networks._undecided(crops, boxes, torch.zeros(1, dtype=torch.int64)).tolist() == [True]


@pytest.mark.slow
@pytest.mark.parametrize(("threshold", "found"), [(0.0, True), (1.0, False)])
def test_thresholds_at_the_ends_of_their_range(threshold: float, found: bool) -> None:
    shot = contest.shoot(contest.Job(0, 0, 0, roster.train(8, seed=0)[0]))[-1]
    networks = mtcnn.Networks(56.12, (0.6, 0.7, threshold))
    assert bool(len(networks.find([codec.decode(shot.photo)])[0])) is found


@pytest.mark.slow
def test_the_same_boxes_as_in_float64_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    networks = mtcnn.Networks(56.12, (0.6, 0.7, 0.7))
    shots = contest.shoot(contest.Job(0, 0, 0, roster.train(8, seed=0)[0]))
    alone = [codec.decode(shot.photo) for shot in shots]
    photos = [*alone, np.concatenate([alone[0], alone[-1]], axis=1)]
    seen: list[float] = []
    undecided = networks._undecided

    def watched(crops: torch.Tensor, boxes: torch.Tensor, owner: torch.Tensor) -> torch.Tensor:
        needed = undecided(crops, boxes, owner)
        seen.append(needed.double().mean().item())
        return needed

    monkeypatch.setattr(networks, "_undecided", watched)
    mixed = networks.landmarks(photos)
    monkeypatch.setattr(networks, "_undecided", lambda crops, *_: torch.ones(len(crops), dtype=torch.bool))
    exact = networks.landmarks(photos)
    assert [len(rows) for rows in exact][-1] == 2
    for ours, theirs in zip(mixed, exact, strict=True):
        assert np.array_equal(ours, theirs)
    assert seen
    assert max(seen) < 1
