"""Bytes to pixels and back; whatever a photo file holds, pixels are uint8 RGB, upright and contiguous."""

from __future__ import annotations

import contextlib
import importlib.util
import io
import threading
from collections.abc import Callable, Iterator
from typing import Any, Final

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageFile, UnidentifiedImageError

from facemask.pixels import depth, kinds
from facemask.runtime.arrays import Pixels

MOST_PIXELS: Final = 64_000_000
# Bytes that tell what a file is.
BEGINNING: Final = 1024
# Photos above it are decoded one at a time in each process.
LARGE: Final = 16_000_000
# All that is opened (MPO by way of JPEG): some of Pillow's other formats start programs (EPS), or are no photos.
FORMATS: Final = ("JPEG", "PNG", "WEBP", "GIF", "BMP", "TIFF", "JPEG2000", "AVIF")
# Parts of a JPEG's height and width that can be decoded, and how OpenCV is told.
PARTS: Final = {
    1: cv2.IMREAD_COLOR_RGB,
    2: cv2.IMREAD_REDUCED_GRAYSCALE_2 | cv2.IMREAD_COLOR_RGB,
    4: cv2.IMREAD_REDUCED_GRAYSCALE_4 | cv2.IMREAD_COLOR_RGB,
    8: cv2.IMREAD_REDUCED_GRAYSCALE_8 | cv2.IMREAD_COLOR_RGB,
}
_ORIENTATION: Final = 0x0112
# Views of upright pixels in which the file's rows and columns stand.
_STORED: Final[dict[int, Callable[[Pixels], Pixels]]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: np.rot90(upright, 1),
    7: lambda upright: upright[::-1, ::-1].transpose(1, 0, 2),
    8: lambda upright: np.rot90(upright, -1),
}
# Pixels converted at a time, so that a large photo needs little besides its own place.
_STRIPE: Final = 2_000_000
_PHOTOMETRIC: Final = 262
_SAMPLE_FORMAT: Final = 339
_alone: Final = threading.Lock()


class UnreadableImage(ValueError):  # noqa: N818  # a state of the file, like the status it becomes
    """These bytes are not a whole image of a sensible size."""


def decode(data: bytes) -> Pixels:
    """Decode a photo.

    JPEG, MPO, PNG, WebP, GIF, BMP, TIFF, JPEG 2000, AVIF and, where pillow_heif is installed, HEIC; nothing else is
    opened. The orientation that the file states is applied, transparency is laid on white, grey samples of more than
    8 bits are scaled by the range that they use (:func:`facemask.pixels.depth.white`), colours of 16 bits keep their
    upper byte; of an animation the first frame is taken.

    Returns
    -------
    (H, W, 3) uint8, RGB, C-contiguous and writable

    Raises
    ------
    UnreadableImage
        If the bytes are no image, a truncated or damaged one, one above 64 megapixels, or one whose samples do not
        tell their range. The reason says what the bytes are.
    """
    with _told(data), _open(data) as image, _in_turn(image):
        return _upright(image)


def verify(data: bytes) -> None:
    """Raise what :func:`decode` raises, in less time and memory: a JPEG is read whole, at an eighth of its size.

    Raises
    ------
    UnreadableImage
        As :func:`decode`.
    """
    with _told(data), _open(data) as image, _in_turn(image):
        if image.format in ("JPEG", "MPO"):
            # Only the last step, from coefficients to pixels, is smaller: it cannot fail.
            image.draft(None, (1, 1))
            image.load()
        else:
            _upright(image)


def glance(head: bytes) -> str:
    """Reason why :func:`decode` will refuse a file, by its first :data:`BEGINNING` bytes; empty for one that may do."""
    kind = kinds.photo(head)
    return _reason(head, UnidentifiedImageError()) if kind is None or _lacking(kind) else ""


@contextlib.contextmanager
def _told(data: bytes) -> Iterator[None]:
    """Turn whatever decoders raise on damaged files into one error; want of memory is none of the file's."""
    try:
        yield
    except (UnreadableImage, MemoryError):
        raise
    except depth.UnknownRange as error:
        raise UnreadableImage(f"{kinds.photo(data)}: {error}") from None
    except Exception as error:
        raise UnreadableImage(_reason(data, error)) from None


def _reason(data: bytes, error: Exception) -> str:
    kind = kinds.photo(data)
    if kind is None:
        return kinds.other(data)
    if _lacking(kind):
        return "HEIC: `pip install pillow-heif` to read such photos, or convert it to JPEG"
    if kinds.truncated(data):
        return f"truncated {kind}: copy it anew"
    detail = " ".join(str(error).split())
    if isinstance(error, UnidentifiedImageError) or not detail:
        detail = "damaged, or of a kind that is not read"
    return f"{kind}: {detail}"


def _lacking(kind: str) -> bool:
    return kind == "HEIC" and importlib.util.find_spec("pillow_heif") is None


def _open(data: bytes) -> ImageFile.ImageFile:
    if kinds.lost_end(data) and kinds.photo(data) == "JPEG":
        raise UnreadableImage("truncated JPEG: its end was lost (zero bytes); copy it anew")
    image: ImageFile.ImageFile
    if kinds.is_heic(data):
        # Not registered with Pillow: that would change what others in this process open.
        from pillow_heif import HeifImageFile

        image = HeifImageFile(io.BytesIO(data))  # type: ignore[no-untyped-call]  # has no type hints
    else:
        image = Image.open(io.BytesIO(data), formats=FORMATS)
    # Checked before any pixel is decoded: a small file can announce a huge image.
    if image.width * image.height > MOST_PIXELS:
        raise UnreadableImage(
            f"{image.width}x{image.height} pixels, more than {MOST_PIXELS:,}: make it smaller"
        )
    return image


def _in_turn(image: Image.Image) -> contextlib.AbstractContextManager[Any]:
    """Let a large photo wait for the one that this process decodes, so that memory is that of one."""
    return _alone if image.width * image.height > LARGE else contextlib.nullcontext()


def _upright(image: ImageFile.ImageFile) -> Pixels:
    """Decode and convert, stripe by stripe: besides the image no more than the result is held."""
    sixteen = any(";16" in str(part) for tile in image.tile for part in tile)
    tags = getattr(image, "tag_v2", {})
    inverted, unsigned = tags.get(_PHOTOMETRIC) == 0, tags.get(_SAMPLE_FORMAT, (1,))[0] == 1
    image.load()
    # Asked after loading: a TIFF has been turned by then, and says so; a PNG's may stand behind its pixels.
    orientation = _orientation(image)
    shape = (image.height, image.width) if orientation < 5 else (image.width, image.height)
    upright = np.empty((*shape, 3), dtype=np.uint8)
    stored = _STORED[orientation](upright)
    if image.mode in ("I", "F") or image.mode.startswith("I;16"):
        _grey(image, stored, inverted=inverted, unsigned=unsigned)
        return upright
    for rows, stripe in _stripes(image):
        stored[rows] = np.asarray(_rgb(stripe))
    # Of 16 bits a colour the upper byte is left: too little where the samples use 14 or fewer.
    if sixteen and 0 < upright.max() < 64:
        raise depth.UnknownRange(
            "colours of 16 bits that use at most a quarter of the range; save it with 8 bits a sample"
        )
    return upright


def _grey(image: Image.Image, stored: Pixels, *, inverted: bool, unsigned: bool) -> None:
    """Write a grey image of more than 8 bits into ``stored`` (H, W, 3)."""

    def samples() -> Iterator[tuple[slice, npt.NDArray[Any]]]:
        for rows, stripe in _stripes(image):
            found = np.asarray(stripe)
            # Pillow holds 32 bits with a sign, whatever the file says.
            yield rows, found.view(np.uint32) if unsigned and image.mode == "I" else found

    lows, highs = zip(*(depth.extremes(part) for _, part in samples()), strict=True)
    low, high = float(np.min(lows)), float(np.max(highs))
    white = depth.white(low, high, whole=image.mode != "F", signed=not unsigned)
    for rows, part in samples():
        grey = depth.to_grey(part, white)
        stored[rows] = (255 - grey if inverted else grey)[..., None]


def _stripes(image: Image.Image) -> Iterator[tuple[slice, Image.Image]]:
    """Cut a loaded image into rows of at most :data:`_STRIPE` pixels."""
    step = max(1, _STRIPE // image.width)
    if step >= image.height:
        yield slice(None), image
        return
    for top in range(0, image.height, step):
        bottom = min(top + step, image.height)
        yield slice(top, bottom), image.crop((0, top, image.width, bottom))


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(_ORIENTATION, 1)
    except Exception:
        # A damaged EXIF block says nothing about the pixels.
        return 1
    return value if isinstance(value, int) and 1 <= value <= 8 else 1


def _rgb(image: Image.Image) -> Image.Image:
    if image.mode == "RGB" and "transparency" not in image.info:
        return image
    if image.has_transparency_data:
        transparent = image.convert("RGBA")
        ground = Image.new("RGBA", transparent.size, "white")
        return Image.alpha_composite(ground, transparent).convert("RGB")
    return image.convert("RGB")


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
    with _told(data), _open(data) as image:
        image.load()
        if image.mode != "L":
            raise UnreadableImage(f"a matte is 8-bit grey, this image is {image.mode}")
        return np.array(image, dtype=np.uint8, order="C")
