"""Reading composed photos: crop, matte and background of the same row, in order."""

from __future__ import annotations

import itertools
import shutil
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pandas as pd
import pytest

from facemask.network.reader import PhotoReader, Row, rows
from facemask.pixels import archive, codec
from facemask.pixels.boxes import crop
from facemask.pixels.compose import composite, fit
from facemask.runtime.errors import UserError
from facemask.settings import recipes

CROP = (40, 30)
BOXES = [(5.0, 10.0, 35.0, 50.0), (-6.0, -8.0, 54.0, 72.0), (0.0, 0.0, 60.0, 80.0)]
SIZE = (20, 15)


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """Three crops of flat colours and two whole mattes: a half each, of photos 80 high and 60 wide.

    The first two photos are of one set, the last of another.
    """
    faces, mattes = tmp_path / "faces", tmp_path / "mattes"
    crops = [codec.encode_jpeg(np.full((*CROP, 3), 60 + 60 * k, np.uint8)) for k in range(3)]
    whole = np.zeros((80, 60), np.uint8)
    whole[:, 20:] = 255
    halves = {"p0.png": codec.encode_matte(whole), "p1.png": codec.encode_matte(whole[::-1, ::-1])}
    archive.write(faces / "labelled" / "crops.zip", {"p0.jpg": crops[0], "p1.jpg": crops[1]})
    archive.write(faces / "eval" / "crops.zip", {"p2.jpg": crops[2]})
    archive.write(mattes / "labelled" / "mattes.zip", halves)
    archive.write(mattes / "eval" / "mattes.zip", {})
    return faces, mattes


def image(background: str, size: tuple[int, int] = SIZE) -> recipes.Image:
    return recipes.Image(size=size, background=background, mean=(0, 0, 0), std=(1, 1, 1))


WANTED = [Row("labelled" if k < 2 else "eval", f"p{k}", k < 2, BOXES[k]) for k in range(3)]


def whole_matte(mattes: Path, k: int) -> np.ndarray:
    return codec.decode_matte(archive.Reader(mattes / "labelled" / "mattes.zip").read(f"p{k}.png"))


@pytest.mark.parametrize("background", ["keep", "black"])
def test_mattes_are_cut_with_their_photo_s_box(folders, background):
    reader = PhotoReader(*folders, image(background))
    [(_, mattes)] = list(reader.stream_with_mattes(WANTED, 8))
    assert mattes.shape == (3, *SIZE)
    for k in (0, 1):
        assert np.array_equal(mattes[k], fit(crop(whole_matte(folders[1], k), BOXES[k], CROP), SIZE))
    assert not np.array_equal(mattes[0], mattes[1])


def test_mattes_are_turned_as_their_photo_s_crop_is(folders):
    reader = PhotoReader(*folders, image("black"))
    turned = [row._replace(turn=20.0) for row in WANTED[:2]]
    [(_, mattes)] = list(reader.stream_with_mattes(turned, 8))
    for k in (0, 1):
        whole = whole_matte(folders[1], k)
        # Crops are decoded at half their size, the one wanted.
        assert np.array_equal(mattes[k], crop(whole, BOXES[k], SIZE, 20.0))
        assert not np.array_equal(mattes[k], crop(whole, BOXES[k], SIZE))


def test_a_photo_without_matte_is_all_person(folders):
    [(_, mattes)] = list(PhotoReader(*folders, image("black")).stream_with_mattes(WANTED, 8))
    assert (mattes[2] == 255).all()


@pytest.mark.parametrize("background", ["keep", "black", "white", "blur"])
def test_asking_for_mattes_changes_no_photo(folders, background):
    plain = list(PhotoReader(*folders, image(background)).stream(WANTED, 2))
    reader = PhotoReader(*folders, image(background))
    for photos, (same, mattes) in zip(plain, reader.stream_with_mattes(WANTED, 2), strict=True):
        assert np.array_equal(photos, same)
        assert len(mattes) == len(photos)
    # Nor those that are read afterwards.
    assert np.array_equal(np.concatenate(plain), np.concatenate(list(reader.stream(WANTED, 3))))


def test_photo_and_matte_fit_each_other(folders):
    [(photos, mattes)] = list(PhotoReader(*folders, image("black")).stream_with_mattes(WANTED[:2], 8))
    for k in (0, 1):
        grey = np.full((*SIZE, 3), 60 + 60 * k, np.uint8)
        assert np.array_equal(photos[k], composite(grey, mattes[k], np.zeros(3, np.float32)))


def test_order_and_length_do_not_depend_on_the_chunk(folders):
    for chunk in (1, 2, 5):
        pairs = list(PhotoReader(*folders, image("keep")).stream_with_mattes(WANTED[::-1] * 3, chunk))
        assert [len(photos) for photos, _ in pairs[:-1]] == [chunk] * (len(pairs) - 1)
        colours = np.concatenate([photos[:, 0, 0, 0] for photos, _ in pairs])
        assert colours.tolist() == [180, 120, 60] * 3


def test_kept_backgrounds_need_no_mattes(folders):
    (folders[1] / "labelled" / "mattes.zip").unlink()
    reader = PhotoReader(*folders, image("keep"))
    assert len(next(reader.stream(WANTED, 8))) == 3
    with pytest.raises(UserError, match=r"mattes\.zip: no such file"):
        next(reader.stream_with_mattes(WANTED, 8))


def test_only_the_sets_that_are_read_are_opened(folders):
    for folder in folders:
        shutil.rmtree(folder / "eval")
    reader = PhotoReader(*folders, image("black"))
    assert len(next(reader.stream_with_mattes(WANTED[:2], 8))[0]) == 2
    with pytest.raises(UserError, match=r"eval/crops\.zip: no such file"):
        next(reader.stream(WANTED, 8))


def test_a_row_without_its_photo_is_told(folders):
    with pytest.raises(UserError, match=r"eval/crops\.zip: the manifest's p9\.jpg is missing"):
        next(PhotoReader(*folders, image("keep")).stream([Row("eval", "p9", False, BOXES[0])], 8))
    with pytest.raises(UserError, match=r"eval/mattes\.zip: the manifest's p2\.png is missing"):
        next(PhotoReader(*folders, image("keep")).stream_with_mattes([Row("eval", "p2", True, BOXES[0])], 8))


@pytest.mark.parametrize(
    ("size", "part"), [((40, 30), 1), ((21, 15), 1), ((20, 15), 2), ((19, 7), 2), ((9, 7), 4)]
)
def test_no_more_is_decoded_than_is_shown(tmp_path, size, part):
    rng = np.random.default_rng(3)
    photo = fit(rng.integers(80, 176, (3, 3, 3), dtype=np.uint8), CROP)
    data = codec.encode_jpeg(photo)
    archive.write(tmp_path / "extra" / "crops.zip", {"p0.jpg": data, "p1.jpg": data})
    shown = PhotoReader(tmp_path, tmp_path, image("keep", size))
    both = [shown.read(Row("extra", name, False, BOXES[0])) for name in ("p0", "p1")]
    assert np.array_equal(*both), "the first photo is read as all others are"
    assert np.array_equal(both[0], fit(codec.decode_jpeg(data, part), size))
    assert np.abs(both[0].astype(int) - fit(codec.decode(data), size)).mean() < 2


def test_threads_that_come_first_together_read_alike(tmp_path, monkeypatch):
    rng = np.random.default_rng(3)
    data = codec.encode_jpeg(rng.integers(0, 256, (*CROP, 3), dtype=np.uint8))
    archive.write(tmp_path / "extra" / "crops.zip", {"p0.jpg": data, "p1.jpg": data})
    both, turns = threading.Barrier(2, timeout=20), itertools.count()
    real = codec.decode_jpeg

    def slow(blob, part=1):
        if part == 1:
            both.wait()
            # One of the two goes on only when the other is done.
            time.sleep(0.2 * next(turns))
        return real(blob, part)

    monkeypatch.setattr(codec, "decode_jpeg", slow)
    shown = PhotoReader(tmp_path, tmp_path, image("keep"))
    with ThreadPoolExecutor(2) as pool:
        one, other = pool.map(shown.read, [Row("extra", name, False, BOXES[0]) for name in ("p0", "p1")])
    assert np.array_equal(one, other)


def test_rows_come_from_the_manifest():
    table = pd.DataFrame(
        {
            "photo": ["a", "b"],
            "set": ["extra", "eval"],
            "matte": ["ok", "none"],
            "cx0": [1, 2],
            "cy0": [3, 4],
            "cx1": [5, 6],
            "cy1": [7, 8],
            "turn": [np.nan, 3.5],
        }
    )
    upright, turned = rows(table)
    assert upright[:4] == ("extra", "a", True, (1, 3, 5, 7)) and np.isnan(upright.turn)
    assert turned == Row("eval", "b", False, (2, 4, 6, 8), 3.5)
