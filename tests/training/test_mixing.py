"""Mixing: targets follow the pixels exactly, and a restart draws the same."""

from __future__ import annotations

import numpy as np
import pytest
import torch

from facemask.settings import recipes
from facemask.training import mixing

N, HEIGHT, WIDTH = 8, 24, 18
BOTH = pytest.mark.parametrize("kind", ["mixup", "cutmix"])


def build(kind: str, *, alpha: float = 1.0, p: float = 1.0, seed: int = 0) -> mixing.Mixing:
    chosen = recipes.Mixup if kind == "mixup" else recipes.CutMix
    return mixing.build(chosen(kind=kind, alpha=alpha, p=p), seed)


def batch() -> tuple[torch.Tensor, dict[str, torch.Tensor]]:
    """Photo k has the colour 20 k all over and the one-hot target k: pixels and targets can be told apart."""
    colours = torch.arange(N, dtype=torch.uint8) * 20
    photos = colours[:, None, None, None].expand(N, HEIGHT, WIDTH, 3).contiguous()
    return photos, {"class": torch.eye(N), "odd": torch.nn.functional.one_hot(torch.arange(N) % 2, 2).float()}


def test_none_leaves_all():
    photos, targets = batch()
    mixed, same = mixing.build(recipes.Nothing(kind="none"), 0)(photos, targets, 0)
    assert mixed is photos
    assert same is targets


@BOTH
def test_p_0_leaves_all(kind):
    photos, targets = batch()
    for step in range(20):
        mixed, same = build(kind, p=0.0)(photos, targets, step)
        assert mixed is photos
        assert same is targets


@BOTH
@pytest.mark.parametrize("alpha", [0.3, 1.0])
def test_targets_are_the_share_of_the_pixels(kind, alpha):
    changed = 0
    for step in range(60):
        photos, targets = batch()
        mixed, soft = build(kind, alpha=alpha)(photos, targets, step)
        assert mixed.shape == photos.shape
        # The mean colour is linear in the shares, for an average and for a paste alike.
        colours = mixed.double().mean((1, 2, 3))
        wanted = soft["class"].double() @ (20.0 * torch.arange(N, dtype=torch.float64))
        torch.testing.assert_close(colours, wanted, atol=1e-4, rtol=0)
        torch.testing.assert_close(soft["odd"][:, 1], soft["class"][:, 1::2].sum(1))
        changed += bool((soft["class"] != targets["class"]).any())
    assert changed > 40


@BOTH
def test_rows_still_sum_to_1_and_are_shares(kind):
    photos, targets = batch()
    for step in range(30):
        for rows in build(kind)(photos, targets, step)[1].values():
            torch.testing.assert_close(rows.sum(1), torch.ones(N))
            assert rows.min() >= 0


@BOTH
def test_zero_rows_count_as_zeros(kind):
    photos, targets = batch()
    targets["class"][::2] = 0
    for step in range(30):
        _, soft = build(kind)(photos, targets, step)
        full = (
            torch.eye(N)
            if (soft["odd"] == targets["odd"]).all()
            else build(kind)(photos, batch()[1], step)[1]["class"]
        )
        torch.testing.assert_close(soft["class"], torch.where(torch.arange(N) % 2 == 0, 0.0, full))


def test_cutmix_pastes_one_rectangle_at_the_same_place():
    photos, targets = batch()
    areas, inside = [], 0
    for step in range(60):
        mixed, soft = build("cutmix")(photos, targets, step)
        assert mixed.dtype == torch.uint8
        changed = (mixed != photos)[..., 0]
        moved = changed.any(2).any(1)
        if not moved.any():
            continue
        masks = changed[moved]
        assert (masks == masks[0]).all()
        rows, columns = masks[0].any(1).nonzero().ravel(), masks[0].any(0).nonzero().ravel()
        assert masks[0].sum() == len(rows) * len(columns)
        if rows[0] > 0 and rows[-1] < HEIGHT - 1 and columns[0] > 0 and columns[-1] < WIDTH - 1:
            # Whole, it has the photo's proportions.
            assert abs(len(rows) / HEIGHT - len(columns) / WIDTH) < 0.06
            inside += 1
        assert len(rows) == rows[-1] - rows[0] + 1
        assert len(columns) == columns[-1] - columns[0] + 1
        areas.append(len(rows) * len(columns) / (HEIGHT * WIDTH))
        torch.testing.assert_close(
            soft["class"].diag()[moved], torch.full((int(moved.sum()),), 1 - areas[-1])
        )
    # Beta(1, 1) is uniform; rectangles over the edge are cut off.
    assert 0.2 < np.mean(areas) < 0.5
    assert len(set(areas)) > 30
    assert inside > 3


def test_mixup_gives_float_pixels_of_one_share():
    photos, targets = batch()
    mixed, soft = build("mixup")(photos, targets, 3)
    assert mixed.dtype == torch.float32
    assert mixed.min() >= 0
    assert mixed.max() <= 255
    own = soft["class"].diag()
    assert len({round(float(v), 6) for v in own if v < 1}) == 1


@pytest.mark.parametrize(("alpha", "low", "high"), [(0.1, 0.5, 1.0), (20.0, 0.0, 0.15)])
def test_alpha_shapes_the_shares(alpha, low, high):
    photos, targets = batch()
    shares = [
        float(build("mixup", alpha=alpha)(photos, targets, s)[1]["class"].max(1).values.min())
        for s in range(80)
    ]
    # Mean of |2 share - 1|: near 1 for a small alpha, near 0 for a large one.
    assert low < np.mean([2 * share - 1 for share in shares if share < 1]) < high


@BOTH
def test_a_restart_draws_the_same(kind):
    photos, targets = batch()
    first = [build(kind, p=0.7)(photos, targets, step) for step in range(12)]
    again = build(kind, p=0.7)
    for step in reversed(range(12)):
        mixed, soft = again(photos, targets, step)
        assert torch.equal(mixed, first[step][0])
        assert torch.equal(soft["class"], first[step][1]["class"])
    assert any(
        not torch.equal(one[0], build(kind, p=0.7, seed=1)(photos, targets, k)[0])
        for k, one in enumerate(first)
    )
    assert len({one[0].numpy().tobytes() for one in first}) > 5


@BOTH
def test_p_is_the_share_of_batches(kind):
    photos, targets = batch()
    one = build(kind, p=0.5)
    assert 70 <= sum(one(photos, targets, step)[1] is not targets for step in range(200)) <= 130


@BOTH
def test_what_came_in_stays(kind):
    photos, targets = batch()
    before, rows = photos.clone(), {name: value.clone() for name, value in targets.items()}
    build(kind)(photos, targets, 1)
    assert torch.equal(photos, before)
    assert all(torch.equal(targets[name], rows[name]) for name in rows)


@BOTH
def test_a_batch_of_one_is_its_own_partner(kind):
    photos, targets = batch()
    mixed, soft = build(kind)(photos[3:4], {"class": targets["class"][3:4]}, 0)
    torch.testing.assert_close(mixed.float(), photos[3:4].float())
    torch.testing.assert_close(soft["class"], targets["class"][3:4])


@BOTH
@pytest.mark.skipif(not torch.cuda.is_available(), reason="no GPU")
def test_a_gpu_draws_the_same(kind):
    photos, targets = batch()
    mixed, soft = build(kind)(photos, targets, 2)
    there, shares = build(kind)(photos.cuda(), {name: rows.cuda() for name, rows in targets.items()}, 2)
    torch.testing.assert_close(there.cpu(), mixed)
    torch.testing.assert_close(shares["class"].cpu(), soft["class"])
