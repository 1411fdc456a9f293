"""Whatever a file holds, pixels are uint8 RGB and upright; damage is told."""

from __future__ import annotations

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
from PIL import Image

from facemask.pixels import codec

WHITE = (255, 255, 255)


def gradient(height: int = 40, width: int = 30) -> np.ndarray:
    y, x = np.mgrid[0:height, 0:width]
    return np.stack([y * 255 // (height - 1), x * 255 // (width - 1), np.full_like(x, 90)], axis=2).astype(
        np.uint8
    )


def saved(image: Image.Image, kind: str = "PNG", **options: object) -> bytes:
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def noisy_jpeg() -> bytes:
    rng = np.random.default_rng(0)
    return saved(Image.fromarray(rng.integers(0, 256, (64, 48, 3), dtype=np.uint8)), "JPEG", quality=95)


@pytest.mark.parametrize("mode", ["RGB", "L", "1", "P", "CMYK", "YCbCr", "RGBA", "LA", "I", "I;16", "F"])
def test_every_mode_becomes_contiguous_rgb(mode: str) -> None:
    image = Image.fromarray(gradient())
    if mode == "I;16":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.uint16) * 257)
    elif mode == "I":
        image = Image.fromarray(np.asarray(image.convert("L")).astype(np.int32) * 257)
    else:
        image = image.convert(mode)
    pixels = codec.decode(saved(image, "TIFF"))
    assert pixels.shape == (40, 30, 3)
    assert pixels.dtype == np.uint8
    assert pixels.flags.c_contiguous
    assert pixels.flags.writeable
    luminance = np.asarray(Image.fromarray(gradient()).convert("L"), dtype=float)
    if mode != "1":
        assert (
            np.abs(
                pixels.mean(2) - (luminance if mode in {"L", "LA", "I", "I;16", "F"} else gradient().mean(2))
            ).mean()
            < 12
        )


def test_cmyk_jpeg_keeps_its_colours() -> None:
    red = Image.new("RGB", (32, 32), (220, 30, 30)).convert("CMYK")
    pixels = codec.decode(saved(red, "JPEG", quality=95))
    assert np.abs(pixels.astype(int) - (220, 30, 30)).max() < 12


def test_transparency_is_laid_on_white() -> None:
    rgba = np.zeros((4, 4, 4), dtype=np.uint8)
    rgba[:2] = (200, 0, 0, 255)
    rgba[3] = (0, 0, 0, 128)
    pixels = codec.decode(saved(Image.fromarray(rgba)))
    assert (pixels[0] == (200, 0, 0)).all()
    assert (pixels[2] == WHITE).all()
    assert (np.abs(pixels[3].astype(int) - 127) <= 1).all()
    palette = Image.fromarray(rgba[..., :3]).convert("P", palette=Image.Palette.ADAPTIVE, colors=2)
    assert (codec.decode(saved(palette, transparency=int(np.asarray(palette)[3, 0])))[3] == WHITE).all()


@pytest.mark.parametrize("orientation", range(1, 9))
def test_exif_orientation_is_applied(orientation: int) -> None:
    upright = gradient()
    undo = {
        1: upright,
        2: upright[:, ::-1],
        3: upright[::-1, ::-1],
        4: upright[::-1],
        5: upright.transpose(1, 0, 2),
        6: np.rot90(upright, 1),
        7: np.rot90(upright, 2).transpose(1, 0, 2),
        8: np.rot90(upright, -1),
    }[orientation]
    exif = Image.Exif()
    exif[0x0112] = orientation
    data = saved(Image.fromarray(np.ascontiguousarray(undo)), exif=exif)
    assert np.array_equal(codec.decode(data), upright)


@pytest.mark.parametrize("share", [0.0, 0.02, 0.5, 0.97])
@pytest.mark.parametrize("kind", ["JPEG", "PNG"])
def test_truncated_files_are_refused(share: float, kind: str) -> None:
    data = noisy_jpeg() if kind == "JPEG" else saved(Image.open(io.BytesIO(noisy_jpeg())))
    with pytest.raises(codec.UnreadableImage):
        codec.decode(data[: int(share * len(data))])


def test_damage_is_a_value_error_with_a_reason() -> None:
    for data, reason in (
        (b"", "empty"),
        (b"not a photo at all", "not an image that can be read: it is text"),
    ):
        with pytest.raises(ValueError, match=reason):
            codec.decode(data)


@pytest.mark.parametrize("side", [9_000, 12_000, 60_000])
def test_an_announced_giant_is_refused_before_it_is_decoded(side: int) -> None:
    def part(name: bytes, body: bytes) -> bytes:
        return struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body))

    header = struct.pack(">IIBBBBB", side, side, 8, 2, 0, 0, 0)
    bomb = (
        b"\x89PNG\r\n\x1a\n"
        + part(b"IHDR", header)
        + part(b"IDAT", zlib.compress(bytes(1000)))
        + part(b"IEND", b"")
    )
    with pytest.raises(codec.UnreadableImage):
        codec.decode(bomb)


def test_jpeg_is_close_and_repeatable() -> None:
    pixels = gradient(96, 72)
    data = codec.encode_jpeg(pixels)
    assert data == codec.encode_jpeg(pixels.copy())
    assert np.abs(codec.decode(data).astype(int) - pixels).max() < 8


def test_mattes_come_back_exactly() -> None:
    matte = np.random.default_rng(0).integers(0, 256, (50, 40), dtype=np.uint8)
    data = codec.encode_matte(matte)
    assert data == codec.encode_matte(matte)
    assert np.array_equal(codec.decode_matte(data), matte)
    with pytest.raises(codec.UnreadableImage, match="grey"):
        codec.decode_matte(saved(Image.fromarray(gradient())))
    with pytest.raises(codec.UnreadableImage):
        codec.decode_matte(data[: len(data) // 2])


@pytest.mark.parametrize("part", codec.PARTS)
def test_our_own_jpeg_is_decoded_whole_or_in_part(part):
    rng = np.random.default_rng(5)
    photo = cv2.resize(
        rng.integers(0, 256, (9, 7, 3), dtype=np.uint8), (83, 61), interpolation=cv2.INTER_LINEAR
    )
    data = codec.encode_jpeg(photo)
    found = codec.decode_jpeg(data, part)
    assert found.shape == (-(-61 // part), -(-83 // part), 3)
    assert found.dtype == np.uint8
    whole = codec.decode(data)
    if part == 1:
        assert np.array_equal(found, whole)
    # Whole blocks only: at the rim, less is averaged.
    height, width = 61 // part, 83 // part
    blocks = whole[: height * part, : width * part].reshape(height, part, width, part, 3).mean((1, 3))
    assert np.abs(found[:height, :width] - blocks).mean() < 1.5


@pytest.mark.parametrize("data", [b"", b"no image", codec.encode_jpeg(np.zeros((32, 32, 3), np.uint8))[:80]])
def test_what_is_no_jpeg_is_told(data):
    with pytest.raises(codec.UnreadableImage):
        codec.decode_jpeg(data)
