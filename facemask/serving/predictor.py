"""Answers to photos, as infer gives them: the same faces, crops, views, folds and combination."""

from __future__ import annotations

import functools
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final, Literal, NamedTuple

import numpy as np
import pandas as pd

from facemask.network import reader
from facemask.network.classifier import Classifier
from facemask.network.predict import predict
from facemask.pixels import codec
from facemask.runtime import executor, hardware, threads
from facemask.runtime.arrays import Floats, Pixels, Table
from facemask.runtime.errors import UserError
from facemask.serving import answers, inputs, runs
from facemask.serving.answers import Answer
from facemask.serving.faces import Cutter, Face
from facemask.submission.answering import Answerer

Faces = Literal["one", "all"]
# What a person may hand over: a file, a file's bytes, or RGB pixels (H, W, 3) uint8.
Image = str | Path | bytes | Pixels
# As many as the face finders take at once; more would only hold more photos in memory.
_PHOTOS: Final = 8


class Seen(NamedTuple):
    """One photo and its answers.

    Attributes
    ----------
    answers
        One a face, or the one that says why the photo cannot be read.
    size
        Height and width, pixels; None for an unreadable photo.
    crops
        (N, height, width, 3): what the networks were shown of each face.
    """

    answers: list[Answer]
    size: tuple[int, int] | None
    crops: Pixels


class Predictor:
    """A trained model that answers photos.

    Parameters
    ----------
    run
        What was trained; its files are read here and not needed later.

    Raises
    ------
    UserError
        If a file of the run, or of an experiment that it was combined with, is missing, damaged or of another version.
    """

    def __init__(self, run: runs.Run) -> None:
        # Compiling takes longer than thousands of photos.
        self._networks = Answerer(run.infer.model_copy(update={"compile": False}), run.folds, Path(), Path())
        self.folds = [checkpoint.model for checkpoint in self._networks.trained]
        self.recipe = self._networks.trained[0].recipe
        self.image = self.recipe.image
        self.run = run
        mattes = None if self.image.background == "keep" else run.matting.matting
        self._cutter = Cutter(run.face_crop, mattes)
        self._composer = reader.Composer(self.image)
        self._members = [load(run.project, member.commit) for member in run.combiner.members]

    def predict(self, images: Image | Sequence[Image], *, faces: Faces = "one") -> pd.DataFrame:
        """Answer photos.

        Parameters
        ----------
        images
            One or many: file names, bytes of photo files, or RGB pixels (H, W, 3) uint8.
        faces
            ``one``: each photo's person, chosen as in training; ``all``: every face that is found.

        Returns
        -------
        pandas.DataFrame
            One row a face in the order of the photos, see :func:`facemask.serving.answers.table`; a photo that cannot
            be read keeps its row.

        Raises
        ------
        UserError
            If all faces are asked for and the model has parts that were trained on other crops.
        ValueError
            If pixels are not (H, W, 3) uint8.
        """
        some = [images] if isinstance(images, str | Path | bytes | np.ndarray) else list(images)
        named = [_named(place, image) for place, image in enumerate(some)]
        return answers.table(one for part in self.stream(named, faces=faces) for one in part)

    def stream(
        self, photos: Sequence[inputs.Named | tuple[str, Pixels]], *, faces: Faces = "one"
    ) -> Iterator[list[Answer]]:
        """Yield the answers of some photos after the other, in order; several are worked on at a time."""
        every = faces == "all"
        parts = [photos[start : start + _PHOTOS] for start in range(0, len(photos), _PHOTOS)]
        task = functools.partial(self.look, every=every)
        with threads.one_thread():
            for some in executor.threads(task, parts, workers=hardware.cores()):
                yield [one for seen in some for one in seen.answers]

    def look(self, photos: Sequence[inputs.Named | tuple[str, Pixels]], *, every: bool = False) -> list[Seen]:
        """Answer some photos at once, one :class:`Seen` each; several threads may ask."""
        decoded = [_pixels(source) for _, source in photos]
        opened = [pixels for pixels in decoded if not isinstance(pixels, str)]
        found, table, crops = self.faces(opened, every=every)
        said: list[Seen] = []
        readable = 0
        for (name, _), pixels in zip(photos, decoded, strict=True):
            if isinstance(pixels, str):
                said.append(Seen([Answer(name, reason=pixels)], None, crops[:0]))
                continue
            ours = [row for row, face in enumerate(found) if face.photo == readable]
            answered = [_answer(name, found[row], table[row]) for row in ours]
            said.append(Seen(answered, (pixels.shape[0], pixels.shape[1]), crops[ours]))
            readable += 1
        return said

    def faces(self, photos: Sequence[Pixels], *, every: bool = False) -> tuple[list[Face], Table, Pixels]:
        """Faces of photos (H, W, 3), their probabilities (N, 18), combined, and what the networks were shown."""
        if every and any(member.run.face_crop != self.run.face_crop for member in self._members):
            raise UserError(
                "every face is asked for, but this model is combined with experiments whose face_crop differs, so that "
                "their faces cannot be told to be the same; ask for one face a photo"
            )
        if not photos:
            return [], np.zeros((0, 18)), np.zeros((0, *self.image.size, 3), dtype=np.uint8)
        found = self._cutter(photos, every=every)
        crops = np.stack([self._composer.join(one.crop, one.matte, one.around, one.turn) for one in found])
        tables = [self._networks.composed([crops])]
        tables += [member.faces(photos, every=every)[1] for member in self._members]
        return found, self.run.combiner.apply(np.stack(tables)), crops

    def tables(self, folds: Sequence[Classifier], photos: Pixels) -> Table:
        """Mean probabilities (N, 18) of some of the folds for composed photos (N, height, width, 3)."""
        infer = self.run.infer
        return predict(folds, [photos], infer.views, infer.average, precision=infer.precision)


def load(path: str | Path = ".", revision: str = "") -> Predictor:
    """Load the model of a project in which the pipeline has run.

    Parameters
    ----------
    path
        The project's folder.
    revision
        An experiment, branch, tag or commit of it; by default what lies in the folder.

    Raises
    ------
    UserError
        See :func:`facemask.serving.runs.opened` and :class:`Predictor`.
    """
    with runs.opened(Path(path), revision) as run:
        return Predictor(run)


def _answer(name: str, face: Face, row: Floats) -> Answer:
    return Answer(name, face.number, face.faces, face.status, face.score, face.box, row)


def _named(place: int, image: Image) -> inputs.Named | tuple[str, Pixels]:
    if isinstance(image, str | Path):
        return inputs.Named(str(image), Path(image))
    if isinstance(image, bytes):
        return inputs.Named(f"image {place}", image)
    if not (
        isinstance(image, np.ndarray) and image.dtype == np.uint8 and image.shape[2:] == (3,) and image.size
    ):
        raise ValueError(f"image {place}: a file, bytes or RGB pixels (H, W, 3) uint8 are wanted")
    return f"image {place}", np.ascontiguousarray(image)


def _pixels(source: Path | bytes | Pixels) -> Pixels | str:
    """Pixels of a photo, or why it cannot be read."""
    if isinstance(source, np.ndarray):
        return source
    try:
        return codec.decode(source.read_bytes() if isinstance(source, Path) else source)
    except codec.UnreadableImage as error:
        return str(error)
    except OSError as error:
        return error.strerror or str(error)
