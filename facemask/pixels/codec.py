"""Bytes to pixels and back; whatever a photo file holds, pixels are uint8 RGB, upright and contiguous."""

from __future__ import annotations

import io
import struct
import zlib
from typing import Final

import cv2
import numpy as np
from PIL import Image, UnidentifiedImageError

from facemask.runtime.arrays import Pixels

MOST_PIXELS: Final = 64_000_000
# Parts of a JPEG's height and width that can be decoded, and how OpenCV is told.
PARTS: Final = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2 | cv2.IMREAD_COLOR_RGB,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4 | cv2.IMREAD_COLOR_RGB,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_COLOR_RGB,
}
_ORIENTATION: Final = 0x0112
_UPRIGHT: Final = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# What Pillow's readers are known to raise on damaged files.
_DAMAGE: Final = (
    OSError,
    ValueError,
    SyntaxError,
    EOFError,
    IndexError,
    KeyError,
    TypeError,
    OverflowError,
    struct.error,
    zlib.error,
    Image.DecompressionBombError,
    Image.DecompressionBombWarning,
)


class UnreadableImage(ValueError):  # noqa: N818  # a state of the file, like the status it becomes
    """These bytes are not a whole image of a sensible size."""


def decode(data: bytes) -> Pixels:
    """Decode a photo.

    EXIF orientation is applied, transparency is laid on white, 16-bit samples keep their upper byte; of an
    animation the first frame is taken.

    Returns
    -------
    (H, W, 3) uint8, RGB, C-contiguous and writable

    Raises
    ------
    UnreadableImage
        If the bytes are no image, a truncated or damaged one, or one above 64 megapixels.
    """
    try:
        with _open(data) as image:
            upright = _UPRIGHT.get(_orientation(image))
            plain = _rgb(image)
    except _DAMAGE as error:
        raise UnreadableImage(_reason(data, error)) from None
    if upright is not None:
        plain = plain.transpose(upright)
    return np.array(plain, dtype=np.uint8, order="C")


def _open(data: bytes) -> Image.Image:
    image = Image.open(io.BytesIO(data))
    # Checked before any pixel is decoded: a small file can announce a huge image.
    if image.width * image.height > MOST_PIXELS:
        raise UnreadableImage(f"{image.width}x{image.height} pixels, more than {MOST_PIXELS:,}")
    return image


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except _DAMAGE:
        # A damaged EXIF block says nothing about the pixels.
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _rgb(image: Image.Image) -> Image.Image:
    image.load()
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.mode == "I" or image.mode.startswith("I;16"):
        samples = np.asarray(image).astype(np.int64)
        return Image.fromarray((samples >> 8).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.mode == "F":
        return Image.fromarray(np.nan_to_num(np.asarray(image)).clip(0, 255).astype(np.uint8)).convert("RGB")
    if image.has_transparency_data:
        transparent = image.convert("RGBA")
        ground = Image.new("RGBA", transparent.size, "white")
        return Image.alpha_composite(ground, transparent).convert("RGB")
    return image.convert("RGB")


def _reason(data: bytes, error: BaseException) -> str:
    if not data:
        return "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        return "not an image that can be read"
    return " ".join(str(error).split()) or type(error).__name__


def encode_jpeg(pixels: Pixels) -> bytes:
    """Encode (H, W, 3) RGB at quality 95 with full colour resolution; equal pixels give equal bytes."""
    stream = io.BytesIO()
    Image.fromarray(pixels).save(stream, "JPEG", quality=95, subsampling=0)
    return stream.getvalue()


def decode_jpeg(data: bytes, part: int = 1) -> Pixels:
    """Decode what :func:`encode_jpeg` wrote: the pixels that :func:`decode` gives, in half its time.

    Parameters
    ----------
    part
        1, 2, 4 or 8: height and width are divided by it, rounded up, while decoding, which saves the rest of the work.

    Returns
    -------
    (H, W, 3) uint8, RGB

    Raises
    ------
    UnreadableImage
        If the bytes are no image.
    """
    pixels = cv2.imdecode(np.frombuffer(data, np.uint8), PARTS[part]) if data else None
    if pixels is None:
        raise UnreadableImage("not an image that can be read")
    return np.asarray(pixels, dtype=np.uint8)


def encode_matte(matte: Pixels) -> bytes:
    """Encode an (H, W) matte as 8-bit grey PNG; equal mattes give equal bytes."""
    stream = io.BytesIO()
    # Level 1: mattes are smooth, and higher levels cost far more time than the bytes they save.
    Image.fromarray(matte).save(stream, "PNG", compress_level=1)
    return stream.getvalue()


def decode_matte(data: bytes) -> Pixels:
    """Decode what :func:`encode_matte` wrote.

    Returns
    -------
    (H, W) uint8, 255 for person, 0 for background

    Raises
    ------
    UnreadableImage
        If the bytes are not a whole 8-bit grey image.
    """
    try:
        with _open(data) as image:
            image.load()
            if image.mode != "L":
                raise UnreadableImage(f"a matte is 8-bit grey, this image is {image.mode}")
            return np.array(image, dtype=np.uint8, order="C")
    except _DAMAGE as error:
        raise UnreadableImage(_reason(data, error)) from None
