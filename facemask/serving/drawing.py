"""Box and answer on the photo."""

from __future__ import annotations

import itertools
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Final

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from facemask.pixels import codec
from facemask.runtime import files
from facemask.runtime.arrays import Pixels
from facemask.runtime.errors import UserError
from facemask.serving.answers import Answer
from facemask.serving.inputs import Named

Colour = tuple[int, int, int]
# By mask: worn, wrongly worn, none.
_COLOURS: Final[dict[str, Colour]] = {
    "wear": (46, 160, 67),
    "incorrect": (230, 150, 20),
    "normal": (207, 34, 46),
}
_INK: Final[Colour] = (255, 255, 255)


def annotate(photo: Pixels, answers: Sequence[Answer]) -> Pixels:
    """Draw each face's box and answer on a copy of a photo (H, W, 3)."""
    page = Image.fromarray(photo)
    draw = ImageDraw.Draw(page)
    line = max(1, round(min(photo.shape[:2]) / 150))
    font = ImageFont.load_default(max(10, round(min(photo.shape[:2]) / 24)))
    for one in answers:
        said = one.attributes()
        if not said:
            continue
        colour = _COLOURS[said["mask"][0]]
        x0, y0, x1, y1 = (round(value) for value in one.box)
        draw.rectangle((x0, y0, x1, y1), outline=colour, width=line)
        text = "\n".join(f"{value} {p:.0%}" for value, p in said.values())
        left, top, right, bottom = draw.multiline_textbbox((0, 0), text, font=font)
        # Inside the photo, above the box where there is room.
        x = min(max(0, x0), max(0, photo.shape[1] - round(right - left) - 2 * line))
        y = y0 - round(bottom) - 2 * line
        y = y if y >= 0 else min(max(0, y1), max(0, photo.shape[0] - round(bottom) - 2 * line))
        draw.rectangle((x, y, x + right - left + 2 * line, y + bottom + 2 * line), fill=colour)
        draw.multiline_text((x + line - left, y + line - min(0, top)), text, _INK, font=font)
    return np.asarray(page, dtype=np.uint8)


def saved(answers: Iterable[Answer], photos: Sequence[Named], folder: Path) -> Iterator[Answer]:
    """Yield answers as they come; once a photo's are complete, write it with them into ``folder``.

    Raises
    ------
    UserError
        If nothing can be written there.
    """
    taken: dict[str, int] = {}
    named = iter(photos)
    for _, group in itertools.groupby(answers, key=_of_photo()):
        some = list(group)
        photo = next(named)
        yield from some
        if some[0].probabilities is None:
            continue
        stem = Path(photo.name).stem or "photo"
        taken[stem] = taken.get(stem, 0) + 1
        name = stem if taken[stem] == 1 else f"{stem}-{taken[stem]}"
        try:
            with files.replacing(folder / f"{name}.jpg") as temporary:
                temporary.write_bytes(codec.encode_jpeg(annotate(codec.decode(photo.read()), some)))
        except OSError as error:
            raise UserError(f"{folder}: cannot be written ({error.strerror or error})") from None


class _of_photo:  # noqa: N801  # a key function that counts
    """Number the photos of answers in order: each begins with its face 0."""

    def __init__(self) -> None:
        self._photo = -1

    def __call__(self, answer: Answer) -> int:
        self._photo += answer.number == 0
        return self._photo
