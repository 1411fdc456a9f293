"""Contact sheets are the same every time, and say what they show."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from facemask.photos import contact


def test_sheets_repeat_and_hold_every_tile(tmp_path: Path) -> None:
    picture = np.full((40, 60, 3), 70, dtype=np.uint8)
    tiles = [contact.Tile(picture, ("a name that is far too long for its tile", "found"), contact.GREEN)] * 7
    page = contact.sheet("title", tiles, columns=3, size=(64, 48))
    assert np.array_equal(page, contact.sheet("title", tiles, columns=3, size=(64, 48)))
    framed = (page == contact.GREEN).all(2)
    # Each 48 x 64 tile has a frame of 3 pixels.
    assert framed.sum() == 7 * (54 * 70 - 48 * 64)
    for name in ("a.png", "b.png", "a.jpg", "b.jpg"):
        contact.write(tmp_path / name, page)
    assert (tmp_path / "a.png").read_bytes() == (tmp_path / "b.png").read_bytes()
    assert (tmp_path / "a.jpg").read_bytes() == (tmp_path / "b.jpg").read_bytes()
    with pytest.raises(ValueError, match=r"\.png or \.jpg"):
        contact.write(tmp_path / "a.gif", page)


def test_an_empty_sheet_is_a_sheet() -> None:
    assert contact.sheet("nothing", [], columns=3, size=(64, 48)).shape[2] == 3


def test_spreading_keeps_order_and_ends() -> None:
    assert contact.evenly_spaced(range(100), 4) == [0, 33, 66, 99]
    assert contact.evenly_spaced(range(3), 4) == [0, 1, 2]
    assert contact.evenly_spaced(range(3), 0) == []


def test_the_chequerboard_shows_where_the_matte_is_empty() -> None:
    photo = np.zeros((32, 32, 3), dtype=np.uint8)
    matte = np.zeros((32, 32), dtype=np.uint8)
    matte[:, 16:] = 255
    shown = contact.chequered(photo, matte)
    assert (shown[:, 16:] == 0).all()
    assert set(np.unique(shown[:, :16])) == {190, 235}
    assert contact.beside(photo, matte).shape == (32, 64, 3)
