"""Damaged photos, archives and memos."""

from __future__ import annotations

import contextlib
import io
import shutil
from pathlib import Path
from typing import Any, Final

import numpy as np
import pillow_heif
from PIL import Image

from benchmarks.torture import mutations
from benchmarks.torture.text_inputs import Altered, Rng, Try
from facemask.photos import memo
from facemask.pixels import archive, codec
from facemask.sample import contest
from facemask.settings import params

_FORMATS: Final[dict[str, dict[str, Any]]] = {
    "JPEG": {"quality": 88}, "PNG": {}, "WEBP": {}, "GIF": {}, "BMP": {}, "TIFF": {"compression": "tiff_lzw"},
    "JPEG2000": {}, "AVIF": {}, "HEIF": {}, "MPO": {},
}  # fmt: skip


def photos(folder: Path) -> Try:
    """Drawn photos in ten formats: what decodes is (H, W, 3) of 8 bits, and the quick look says the same."""
    pillow_heif.register_heif_opener()
    contest.write(params.SampleData(train_people=8, eval_people=1, seed=11), folder / "drawn")
    drawn = sorted((folder / "drawn").rglob("*.jpg"))[:6]
    seeds = []
    for number, path in enumerate(drawn):
        image = Image.open(path).convert("RGB").resize((96 + 16 * number, 128))
        for kind, options in _FORMATS.items():
            stream = io.BytesIO()
            image.save(stream, kind, **options)
            seeds.append(stream.getvalue())
        deep = Image.fromarray(np.asarray(image.convert("L"), np.uint16) * 16)
        stream = io.BytesIO()
        deep.save(stream, "PNG")
        seeds += [stream.getvalue(), path.read_bytes()]

    def attempt(rng: Rng) -> None:
        data = mutations.data(seeds[int(rng.integers(len(seeds)))], rng)
        pixels = codec.decode(data)
        if pixels.dtype != np.uint8 or pixels.ndim != 3 or pixels.shape[2] != 3:
            raise Altered(pixels.shape)
        codec.verify(data)

    return attempt


def archives(folder: Path) -> Try:
    """Zips between the stages: a value that is read is the one that was written."""
    path, rng = folder / "crops.zip", np.random.default_rng(0)
    entries = {f"train/images/{k}/normal.jpg": rng.bytes(200 + 50 * k) for k in range(6)}
    archive.write(path, entries)
    content = path.read_bytes()

    def attempt(rng: Rng) -> None:
        path.write_bytes(mutations.data(content, rng))
        with archive.Reader(path) as reader:
            for name in reader.names:
                if reader.read(name) not in entries.values():
                    raise Altered(name)

    return attempt


def memos(folder: Path) -> Try:
    """The memo's database: it gives what was kept, or nothing."""
    kept = memo.Memo(folder / "origin")
    entries = {f"{k:064x}": bytes([k]) * (50 * k + 1) for k in range(20)}
    kept.put(entries.items())
    kept.close()

    def attempt(rng: Rng) -> None:
        for old in folder.glob("tried*"):
            shutil.rmtree(old)
        shutil.copytree(folder / "origin", folder / "tried")
        path = folder / "tried" / "cache.db"
        path.write_bytes(mutations.data(path.read_bytes(), rng))
        with (
            contextlib.closing(memo.Memo(folder / "tried")) as found,
            contextlib.redirect_stderr(io.StringIO()),
        ):
            for key, value in entries.items():
                if found.get(key) not in (None, value):
                    raise Altered(key)
            found.put([("new", b"1")])

    return attempt


PARTS: Final = {
    "photos": (photos, 6000),
    "archives": (archives, 1500),
    "memo": (memos, 500),
}
