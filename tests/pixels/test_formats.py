"""Only photo formats are opened, each upright and by its real range; what anything else is stands in the reason."""

from __future__ import annotations

import io
import struct
import subprocess
import sys
import zipfile

import numpy as np
import pillow_heif
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image, ImageFile, TiffImagePlugin

from facemask.pixels import codec

RNG = np.random.default_rng(3)
SMOOTH = np.asarray(
    Image.fromarray(RNG.integers(0, 256, (5, 4, 3), dtype=np.uint8)).resize(
        (48, 64), Image.Resampling.BICUBIC
    )
)
# How a file must hold the upright photo so that its orientation tag undoes it.
STORED = {
    1: SMOOTH,
    2: SMOOTH[:, ::-1],
    3: SMOOTH[::-1, ::-1],
    4: SMOOTH[::-1],
    5: SMOOTH.transpose(1, 0, 2),
    6: np.rot90(SMOOTH, 1),
    7: np.rot90(SMOOTH, 2).transpose(1, 0, 2),
    8: np.rot90(SMOOTH, -1),
}


def saved(pixels: np.ndarray, kind: str, **options: object) -> bytes:
    stream = io.BytesIO()
    Image.fromarray(np.ascontiguousarray(pixels)).save(stream, kind, **options)
    return stream.getvalue()


def heic(pixels: np.ndarray, **options: object) -> bytes:
    stream = io.BytesIO()
    pillow_heif.from_pillow(Image.fromarray(np.ascontiguousarray(pixels))).save(stream, quality=95, **options)
    return stream.getvalue()


PHOTOS = {
    "JPEG": saved(SMOOTH, "JPEG", quality=95),
    "PNG": saved(SMOOTH, "PNG"),
    "WEBP": saved(SMOOTH, "WEBP", quality=95),
    "GIF": saved(SMOOTH, "GIF"),
    "BMP": saved(SMOOTH, "BMP"),
    "TIFF": saved(SMOOTH, "TIFF", compression="tiff_lzw"),
    "JPEG2000": saved(SMOOTH, "JPEG2000"),
    "AVIF": saved(SMOOTH, "AVIF", quality=90),
    "MPO": saved(SMOOTH, "MPO", save_all=True, append_images=[Image.fromarray(SMOOTH[::-1])], quality=95),
    "HEIC": heic(SMOOTH),
}


@pytest.mark.parametrize("kind", PHOTOS)
def test_every_photo_format_is_read(kind):
    assert np.abs(codec.decode(PHOTOS[kind]).astype(int) - SMOOTH).mean() < (20 if kind == "GIF" else 5)
    codec.verify(PHOTOS[kind])


@pytest.mark.parametrize("orientation", STORED)
@pytest.mark.parametrize("kind", ["raw", "tiff_lzw", "tiff_adobe_deflate", "JPEG", "WEBP", "AVIF", "PNG"])
def test_an_orientation_is_applied_exactly_once(kind, orientation):
    exif = Image.Exif()
    exif[0x0112] = orientation
    options = {"exif": exif} if kind in ("JPEG", "WEBP", "AVIF", "PNG") else {"compression": kind}
    if "compression" in options:
        options["tiffinfo"] = TiffImagePlugin.ImageFileDirectory_v2()
        options["tiffinfo"][0x0112] = orientation
    data = saved(STORED[orientation], kind if "exif" in options else "TIFF", **options)
    pixels = codec.decode(data)
    assert pixels.shape == SMOOTH.shape
    assert np.abs(pixels.astype(int) - SMOOTH).mean() < 5


def test_a_heic_photo_that_was_turned_is_upright():
    exif = Image.Exif()
    exif[0x0112] = 6
    image = Image.fromarray(np.ascontiguousarray(STORED[6]))
    stream = io.BytesIO()
    pillow_heif.from_pillow(image).save(stream, quality=95, exif=exif.tobytes())
    assert np.abs(codec.decode(stream.getvalue()).astype(int) - SMOOTH).mean() < 5


GREY = np.linspace(0, 1, 64 * 48).reshape(64, 48)


@pytest.mark.parametrize(
    ("samples", "kind"),
    [
        *(
            ((GREY * (2**bits - 1)).astype(np.uint16), kind)
            for bits in (10, 12, 14, 16)
            for kind in ("PNG", "TIFF")
        ),
        ((GREY * 65535).astype(np.int32), "TIFF"),
        ((GREY * 4095).astype(np.int32), "TIFF"),
        ((GREY * (2**31 - 1)).astype(np.int32), "TIFF"),
        (GREY.astype(np.float32), "TIFF"),
        ((GREY * 255).astype(np.float32), "TIFF"),
        ((GREY * 65535).astype(np.float32), "TIFF"),
        ((GREY * 4095).astype(np.float32), "TIFF"),
    ],
    ids=lambda value: value if isinstance(value, str) else f"{value.dtype}-{value.max():g}",
)
def test_grey_of_more_than_8_bits_is_read_by_the_range_it_uses(samples, kind):
    data = saved(samples, kind)
    wanted = GREY * 255
    for pixels in (codec.decode(data)[..., 0], codec.decode(data)[..., 2]):
        assert np.abs(pixels - wanted).max() <= 1


def tiff(samples: np.ndarray, *, bits: int, sample_format: int = 1, photometric: int = 1) -> bytes:
    """An uncompressed little-endian grey TIFF, as Pillow does not write it."""
    tags = [
        (256, 4, samples.shape[1]),
        (257, 4, samples.shape[0]),
        (258, 3, bits),
        (259, 3, 1),
        (262, 3, photometric),
        (273, 4, 8),
        (277, 3, 1),
        (278, 4, samples.shape[0]),
        (279, 4, samples.nbytes),
        (339, 3, sample_format),
    ]
    start = 8 + samples.nbytes
    entries = b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in tags)
    body = struct.pack("<H", len(tags)) + entries + bytes(4)
    return b"II*\0" + struct.pack("<I", start) + samples.tobytes() + body


def test_32_bits_without_a_sign_are_not_taken_for_negative():
    data = tiff((GREY * (2**32 - 1)).astype("<u4"), bits=32)
    assert np.abs(codec.decode(data)[..., 1] - GREY * 255).max() <= 1


def test_16_bits_whose_white_is_zero_are_turned_round():
    data = tiff(((1 - GREY) * 65535).astype("<u2"), bits=16, photometric=0)
    assert np.abs(codec.decode(data)[..., 1] - GREY * 255).max() <= 1


def test_16_bits_with_a_sign_are_white_at_half_of_what_16_hold():
    data = tiff((GREY * 32767).astype("<i2"), bits=16, sample_format=2)
    assert np.abs(codec.decode(data)[..., 1] - GREY * 255).max() <= 1


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (tiff((GREY * -300).astype("<i2"), bits=16, sample_format=2), "TIFF: negative samples"),
        (saved((GREY * np.nan).astype(np.float32), "TIFF"), "TIFF: some samples are no finite numbers"),
        (saved((GREY * 1.3).astype(np.float32), "TIFF"), "TIFF: samples of 0 to 1.3 tell no range"),
        (saved((GREY * 9).astype(np.uint16), "PNG"), "PNG: samples of 0 to 9 tell no range"),
    ],
    ids=["negative", "not a number", "1.3", "9 of 65535"],
)
def test_samples_that_tell_no_range_are_refused_by_name(data, reason):
    with pytest.raises(codec.UnreadableImage, match=reason):
        codec.decode(data)
    with pytest.raises(codec.UnreadableImage, match=reason):
        codec.verify(data)


def test_colours_of_12_bits_in_16_are_refused_and_whole_ones_are_read():
    cv2 = pytest.importorskip("cv2")

    def png(white: int) -> bytes:
        return cv2.imencode(".png", (SMOOTH[..., ::-1].astype(np.float64) / 255 * white).astype(np.uint16))[
            1
        ].tobytes()

    assert np.abs(codec.decode(png(65535)).astype(int) - SMOOTH).max() <= 1
    with pytest.raises(codec.UnreadableImage, match="PNG: colours of 16 bits that use at most a quarter"):
        codec.decode(png(4095))


def zipped() -> bytes:
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w") as archive:
        archive.writestr("photo.jpg", PHOTOS["JPEG"])
    return stream.getvalue()


EPS = b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 48 64\n%%EndComments\nshowpage\n%%EOF\n"
NO_PHOTOS = {
    "empty": (b"", "the file is empty"),
    "LFS": (
        b"version https://git-lfs.github.com/spec/v1\noid sha256:" + b"0" * 64 + b"\nsize 9\n",
        "Git LFS pointer.*`git lfs pull`",
    ),
    "DVC": (b"outs:\n- md5: 0\n", "DVC pointer.*`dvc pull`"),
    "HTML": (b"\n <!DOCTYPE html><html><body>404</body></html>", "HTML page"),
    "XML": (b'<?xml version="1.0"?><Error><Code>AccessDenied</Code></Error>', "XML document"),
    "JSON": (b'{"error": "not found"}', "JSON text"),
    "zip": (zipped(), "zip archive"),
    "PDF": (b"%PDF-1.7\n", "PDF"),
    "EPS": (EPS, "PostScript, which is a program and never run"),
    "EPS preview": (b"\xc5\xd0\xd3\xc6" + bytes(26) + EPS, "PostScript"),
    "video": (b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom" + bytes(99), "video"),
    "AppleDouble": (b"\0\5\x16\7\0\2\0\0Mac OS X", "macOS leaves beside a file"),
    "zeros": (bytes(5000), "nothing but zero bytes"),
    "text": (b"a photo, honestly\n" * 9, "not an image that can be read: it is text"),
    "truncated JPEG": (PHOTOS["JPEG"][:-400], "truncated JPEG"),
    "JPEG header": (PHOTOS["JPEG"][:30], "truncated JPEG"),
    "truncated PNG": (PHOTOS["PNG"][:-400], "truncated PNG"),
    "truncated WebP": (PHOTOS["WEBP"][:-100], "truncated WebP"),
    "truncated GIF": (PHOTOS["GIF"][:-500], "truncated GIF"),
    "truncated BMP": (PHOTOS["BMP"][:-500], "truncated BMP"),
    "truncated HEIC": (PHOTOS["HEIC"][:-300], "HEIC: "),
    "zeros at the end": (PHOTOS["JPEG"][:-400] + bytes(400), "truncated JPEG: its end was lost"),
    "noise": (RNG.bytes(900), "not an image that can be read"),
}


@pytest.mark.parametrize("name", NO_PHOTOS)
def test_the_reason_names_what_the_bytes_are(name):
    data, reason = NO_PHOTOS[name]
    for read in (codec.decode, codec.verify):
        with pytest.raises(codec.UnreadableImage, match=reason) as told:
            read(data)
        assert "\n" not in str(told.value)
        assert len(str(told.value)) < 200


def test_padding_behind_the_end_of_a_jpeg_is_no_damage():
    assert np.array_equal(codec.decode(PHOTOS["JPEG"] + bytes(512)), codec.decode(PHOTOS["JPEG"]))


def test_heic_without_its_library_says_how_to_get_it(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(codec.UnreadableImage, match="HEIC: `pip install pillow-heif`"):
        codec.decode(PHOTOS["HEIC"])


@pytest.mark.parametrize("name", ["photo.jpg", "photo.eps"])
def test_postscript_starts_no_program(name, tmp_path, monkeypatch):
    """Pillow hands an EPS to ``gs``, whatever its file is called."""
    (tmp_path / name).write_bytes(EPS)

    def start(*command: object, **_: object) -> None:
        raise AssertionError(f"{command} was started")

    monkeypatch.setattr(subprocess, "Popen", start)
    monkeypatch.setattr(subprocess, "check_call", start)
    with pytest.raises(codec.UnreadableImage, match="PostScript"):
        codec.decode((tmp_path / name).read_bytes())


@pytest.mark.parametrize("kind", ["PPM", "TGA", "SGI", "PCX", "ICO", "DDS", "SPIDER", "QOI"])
def test_no_other_format_of_pillow_is_opened(kind):
    with pytest.raises(codec.UnreadableImage):
        codec.decode(saved(SMOOTH[..., 0].astype(np.float32) if kind == "SPIDER" else SMOOTH, kind))


def test_what_decoders_raise_is_a_state_of_the_file_but_for_want_of_memory(monkeypatch):
    def fails(error: BaseException) -> None:
        def load(self: object) -> None:
            raise error

        monkeypatch.setattr(ImageFile.ImageFile, "load", load)

    for error in (
        RuntimeError("x"),
        AttributeError("x"),
        ZeroDivisionError("x"),
        AssertionError("x"),
        BufferError(),
    ):
        fails(error)
        with pytest.raises(codec.UnreadableImage):
            codec.decode(PHOTOS["BMP"])
    fails(MemoryError())
    with pytest.raises(MemoryError):
        codec.decode(PHOTOS["BMP"])


def outcome(read, data: bytes) -> str:
    try:
        read(data)
    except codec.UnreadableImage as error:
        return str(error)
    return "ok"


@pytest.mark.slow
@settings(max_examples=400)
@given(
    kind=st.sampled_from(sorted(PHOTOS)),
    edits=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1, max_size=6),
    keep=st.floats(0.02, 1),
)
def test_mutated_photos_are_read_or_told(kind, edits, keep):
    """Nothing else is raised, and the quick look says what decoding says."""
    data = bytearray(PHOTOS[kind][: max(1, int(keep * len(PHOTOS[kind])))])
    for place, value in edits:
        # Headers are short and matter most.
        data[int(place**3 * len(data))] = value
    assert outcome(codec.verify, bytes(data)) == outcome(codec.decode, bytes(data))
