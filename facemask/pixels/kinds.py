"""What the bytes of a file are that should be a photo, and why they cannot be read."""

from __future__ import annotations

from typing import Final

EMPTY: Final = "the file is empty"
# ISO base media: photos of phones, and videos.
_HEIC: Final = frozenset((b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"mif1", b"msf1"))
_AVIF: Final = frozenset((b"avif", b"avis"))
# Offset, first bytes, and what a file is that begins so.
_PHOTOS: Final = (
    (0, b"\xff\xd8", "JPEG"),
    (0, b"\x89PNG\r\n\x1a\n", "PNG"),
    (0, b"\x89PN", "PNG"),
    (0, b"GIF8", "GIF"),
    (8, b"WEBP", "WebP"),
    (0, b"BM", "BMP"),
    (0, b"II*\0", "TIFF"),
    (0, b"MM\0*", "TIFF"),
    (0, b"II+\0", "TIFF"),
    (0, b"MM\0+", "TIFF"),
    (0, b"\0\0\0\x0cjP  ", "JPEG 2000"),
    (0, b"\xff\x4f\xff\x51", "JPEG 2000"),
)
_OTHERS: Final = (
    (0, b"version https://git-lfs.github.com/spec/", "a Git LFS pointer, not the photo: run `git lfs pull`"),
    (0, b"outs:\n- ", "a DVC pointer, not the photo: run `dvc pull`"),
    (0, b"PK\x03\x04", "a zip archive: unpack it"),
    (0, b"PK\x05\x06", "an empty zip archive"),
    (0, b"\x1f\x8b", "a gzip archive: unpack it"),
    (0, b"7z\xbc\xaf\x27\x1c", "a 7z archive: unpack it"),
    (0, b"Rar!", "a RAR archive: unpack it"),
    (257, b"ustar", "a tar archive: unpack it"),
    (0, b"%PDF", "a PDF document"),
    (0, b"%!PS", "PostScript, which is a program and never run: convert it to JPEG"),
    (0, b"\xc5\xd0\xd3\xc6", "PostScript, which is a program and never run: convert it to JPEG"),
    (0, b"8BPS", "a Photoshop document: export it as JPEG"),
    (0, b"\xff\x0a", "JPEG XL: convert it to JPEG"),
    (0, b"\0\0\0\x0cJXL ", "JPEG XL: convert it to JPEG"),
    (0, b"\0\0\1\0", "an icon"),
    (0, b"\xd7\xcd\xc6\x9a", "a Windows metafile: convert it to JPEG"),
    (0, b"\0\5\x16\7", "what macOS leaves beside a file (AppleDouble), not the photo"),
    (0, b"\0\0\1\xba", "a video"),
    (0, b"\x1aE\xdf\xa3", "a video"),
)
# After blanks, in small letters.
_MARKUP: Final = (
    (b"<!doctype html", "an HTML page, perhaps of a failed download: fetch the photo again"),
    (b"<html", "an HTML page, perhaps of a failed download: fetch the photo again"),
    (b"<svg", "an SVG drawing: convert it to JPEG"),
    (b"<?xml", "an XML document, perhaps of a failed download: fetch the photo again"),
    (b"{", "JSON text, perhaps of a failed download: fetch the photo again"),
)
# A file system that lost the end of a file fills it up with zeros; cameras pad less.
_LOST: Final = 64


def is_heic(data: bytes) -> bool:
    """Whether a file begins as an HEIC photo does (ISO base media with one of its brands, and no AVIF)."""
    brands = _brands(data)
    return bool(brands & _HEIC) and not brands & _AVIF


def photo(data: bytes) -> str | None:
    """Name the photo format that a file begins as; None for anything else."""
    brands = _brands(data)
    if brands & _AVIF:
        return "AVIF"
    if brands & _HEIC:
        return "HEIC"
    return next((name for start, sign, name in _PHOTOS if data.startswith(sign, start)), None)


def other(data: bytes) -> str:
    """Say what a file is that is no photo, and what to do, from its first kilobyte."""
    if not data:
        return EMPTY
    for start, sign, name in _OTHERS:
        if data.startswith(sign, start):
            return name
    if _brands(data):
        return "a video (MP4 or MOV), or a format that is not read"
    head = data[:1024].removeprefix(b"\xef\xbb\xbf").lstrip().lower()
    for sign, name in _MARKUP:
        if head.startswith(sign):
            return name
    if not any(data):
        return "nothing but zero bytes: copy the photo anew"
    if head.isascii() and all(byte >= 32 or byte in b"\t\r\n\f" for byte in head):
        return "not an image that can be read: it is text"
    return "not an image that can be read"


def lost_end(data: bytes) -> bool:
    """Whether a JPEG's end was lost and filled up with zeros: decoders show such a photo partly grey."""
    # Where a photo ends in padding, its end marker stands right before it.
    return data.endswith(bytes(_LOST)) and not data.rstrip(b"\0").endswith(b"\xff\xd9")


def truncated(data: bytes) -> bool:
    """Whether a photo's end is missing, for formats that mark it or announce their length; else False."""
    match photo(data):
        case "JPEG":
            return b"\xff\xd9" not in data[-32:]
        case "PNG":
            return b"IEND" not in data[-32:]
        case "GIF":
            return not data.rstrip(b"\0").endswith(b";")
        case "WebP":
            return len(data) < 8 + int.from_bytes(data[4:8], "little")
        case "BMP":
            return len(data) < int.from_bytes(data[2:6], "little")
        case _:
            return False


def _brands(data: bytes) -> frozenset[bytes]:
    """Brands that an ISO base media file names: its own, then those that it is compatible with."""
    if data[4:8] != b"ftyp":
        return frozenset()
    end = min(int.from_bytes(data[:4], "big"), 256)
    return frozenset((data[8:12], *(data[start : start + 4] for start in range(16, end, 4))))
