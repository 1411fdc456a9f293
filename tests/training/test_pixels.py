"""Decoded stores: every row in its place, mattes beside their photos, gone with the block."""

from __future__ import annotations

import resource
import tempfile
from collections.abc import Iterator, Sequence
from types import SimpleNamespace

import numpy as np
import pytest

from facemask.network.reader import Row
from facemask.runtime.errors import UserError
from facemask.training import pixels
from facemask.training.pixels import decoded

ROWS = [Row("labelled", str(k), True, (0, 0, 1, 1)) for k in range(7)]


class Numbered:
    """Gives photo k the colour k and its matte 100 + k."""

    image = SimpleNamespace(size=(4, 3))

    def stream(self, rows: Sequence[Row], chunk: int) -> Iterator[np.ndarray]:
        for start in range(0, len(rows), chunk):
            numbers = np.array([int(row.photo) for row in rows[start : start + chunk]], np.uint8)
            yield np.broadcast_to(numbers[:, None, None, None], (len(numbers), 4, 3, 3))

    def stream_with_mattes(self, rows: Sequence[Row], chunk: int) -> Iterator[tuple[np.ndarray, np.ndarray]]:
        for photos in self.stream(rows, chunk):
            yield photos, photos[..., 0] + np.uint8(100)


@pytest.fixture(autouse=True)
def _small_chunks(monkeypatch):
    monkeypatch.setattr(pixels, "CHUNK", 3)


@pytest.mark.parametrize("mattes", [False, True])
def test_every_row_is_in_its_place(mattes):
    with decoded(Numbered(), ROWS, label="test", mattes=mattes) as (photos, masks):
        assert photos.shape == (7, 4, 3, 3)
        assert photos.dtype == np.uint8
        assert (photos == np.arange(7)[:, None, None, None]).all()
        if mattes:
            assert masks.shape == (7, 4, 3)
            assert masks.dtype == np.uint8
            assert (masks == 100 + np.arange(7)[:, None, None]).all()
        else:
            assert masks is None


def test_the_stores_are_mapped_and_leave_nothing_to_a_kill(tmp_path, monkeypatch):
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with decoded(Numbered(), ROWS, label="test", mattes=True) as (photos, masks):
        assert isinstance(photos, np.memmap)
        assert isinstance(masks, np.memmap)
        assert list(tmp_path.iterdir()) == []


def test_without_room_it_is_told_before_a_page_is_touched(monkeypatch):
    """A mapped page without room behind it ends a process by a bus error."""
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100, before[1]))
    try:
        with (
            pytest.raises(
                UserError, match=r"no room for the decoded photos, 252 bytes \(.*\): .* free; .*TMPDIR"
            ),
            decoded(Numbered(), ROWS, label="test"),
        ):
            raise AssertionError("not to be reached")
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, before)


@pytest.mark.parametrize("rows", [[], [4], [6, 0, 0, 5, 2]])
def test_rows_are_stacked_below_in_order_and_on_disk(rows):
    generator = np.random.default_rng(1)
    above, below = (generator.integers(0, 256, (n, 4, 3, 3), dtype=np.uint8) for n in (8, 7))
    whole = pixels.stacked(above, below, np.array(rows, np.int64))
    assert np.array_equal(whole, np.concatenate([above, below[rows]]))
    assert isinstance(whole, np.memmap)
