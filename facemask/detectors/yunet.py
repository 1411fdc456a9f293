"""YuNet through OpenCV, over photos one by one: quicker than MTCNN, and at home with masked faces.

References
----------
Wu, Peng, Yu: YuNet: A Tiny Millisecond-level Face Detector, 2023.
https://doi.org/10.1007/s11633-023-1423-y
"""

from __future__ import annotations

import contextlib
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Final

import cv2
import numpy as np

from facemask.runtime import files
from facemask.runtime.arrays import Floats, Pixels
from facemask.runtime.errors import UserError
from facemask.settings import params

# From YuNet's box to the one MTCNN draws around the same face: the centre moves by these shares of width and height,
# the sides grow by these factors. Medians over the unmasked photos of every other one of 420 people, searched at
# height 256, where both find the face; on the other people's the median IoU with MTCNN's box is .916 (.908 without).
# Around masked faces MTCNN itself draws shorter boxes: .88 for wrongly worn masks, .85 for others (.89, .87 without).
_SHIFT: Final = (-0.004, 0.005)
_GROWTH: Final = (1.025, 1.016)
_OVERLAP: Final = 0.3
_MOST: Final = 5000
# Of a strip of a photo no more is looked at than this many times its height.
_WIDEST: Final = 4.0


def model(cfg: params.YuNet) -> bytes:
    """Read the model's file.

    Raises
    ------
    UserError
        If there is no such file or it is another one.
    """
    fetch = (
        "fetch face_detection_yunet_2023mar.onnx of opencv_zoo (https://github.com/opencv/opencv_zoo, "
        "models/face_detection_yunet) where there is a network, put it under models/pretrained/ and name it there, "
        "or do without yunet"
    )
    return files.checked(Path(cfg.path), cfg.sha256, keys="face_crop.finder: yunet's ", fetch=fetch)


class Detector:
    """OpenCV's detector with one model, kept for the life of a process; runs on one CPU thread.

    Parameters
    ----------
    cfg
        Which model, the lowest score that passes, and the height at which photos are searched.

    Raises
    ------
    UserError
        If the file is missing, another one, or no YuNet.
    """

    def __init__(self, cfg: params.YuNet) -> None:
        self._cfg = cfg
        content = np.frombuffer(model(cfg), dtype=np.uint8)
        nothing = np.zeros(0, dtype=np.uint8)
        with self._told(), _one_quiet_thread():
            self._net = cv2.FaceDetectorYN.create(
                "onnx", content, nothing, (cfg.height, cfg.height), cfg.score, _OVERLAP, _MOST
            )

    def find(self, photos: Sequence[Pixels]) -> list[Floats]:
        """Find all faces.

        Parameters
        ----------
        photos
            (H, W, 3) RGB each, of any sizes.

        Returns
        -------
        list of (N, 5)
            One array a photo: x0, y0, x1, y1 in pixels (may reach outside), drawn as MTCNN draws them, and score
            0..1, best first.

        Raises
        ------
        UserError
            If the model's input or output is not YuNet's.
        """
        return [rows[:, :5] for rows in self.landmarks(photos)]

    def landmarks(self, photos: Sequence[Pixels]) -> list[Floats]:
        """Find all faces, and five points of each: (N, 15) a photo, columns as of MTCNN's networks.

        Raises
        ------
        UserError
            As for :meth:`find`.
        """
        with self._told(), _one_quiet_thread():
            return [self._one(photo) for photo in photos]

    def _one(self, photo: Pixels) -> Floats:
        high, wide = photo.shape[:2]
        scale = self._cfg.height / max(high, wide / _WIDEST)
        size = (max(1, round(wide * scale)), max(1, round(high * scale)))
        how = cv2.INTER_AREA if scale < 1 else cv2.INTER_LINEAR
        small = cv2.cvtColor(cv2.resize(photo, size, interpolation=how), cv2.COLOR_RGB2BGR)
        self._net.setInputSize(size)
        found = self._net.detect(small)[1]
        if found is None:
            return np.zeros((0, 15))
        rows = np.asarray(found, dtype=np.float64)
        # Left, top, width and height, then the points, the eye on the left of the photo first.
        places = rows[:, :14] * (np.array([wide, high] * 7) / (size * 7))
        return drawn_alike(places[:, :4], rows[:, 14], places[:, 4:])

    @contextlib.contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except cv2.error as error:
            reason = " ".join(str(error.err or error).split())[:200]
            raise UserError(
                f"face_crop.finder: yunet's path: OpenCV cannot run {self._cfg.path} as YuNet ({reason}); put "
                "face_detection_yunet_2023mar.onnx of opencv_zoo there and its hash at sha256"
            ) from None


def drawn_alike(boxes: Floats, score: Floats, points: Floats) -> Floats:
    """Turn YuNet's boxes into those that MTCNN draws.

    Parameters
    ----------
    boxes
        (N, 4) left, top, width, height in pixels.
    score
        (N,) 0..1.
    points
        (N, 10) x and y in pixels of five points, in turn.

    Returns
    -------
    (N, 15)
        x0, y0, x1, y1, score and the points; pixels rounded to 0.01 and score to 0.0001, best first.
    """
    sides = boxes[:, 2:]
    centres = boxes[:, :2] + sides / 2 + sides * _SHIFT
    sides = sides * _GROWTH
    # Adding zero turns -0.0 into 0.0.
    corners = np.hstack([centres - sides / 2, centres + sides / 2]).round(2) + 0.0
    tidy = np.column_stack([corners, score.round(4), points.round(2) + 0.0])
    order = sorted(range(len(tidy)), key=lambda row: (-tidy[row, 4], *tidy[row, :4]))
    return tidy[order]


@contextlib.contextmanager
def _one_quiet_thread() -> Iterator[None]:
    # Processes share the cores. OpenCV 5 warns of each model that it cannot choose a device for.
    threads, level = cv2.getNumThreads(), cv2.utils.logging.getLogLevel()
    cv2.setNumThreads(1)
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        yield
    finally:
        cv2.setNumThreads(threads)
        cv2.utils.logging.setLogLevel(level)
