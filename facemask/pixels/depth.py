"""Grey samples of more than 8 bits, brought to 8 by the range that they really use."""

from __future__ import annotations

from typing import Any, Final

import numpy as np
import numpy.typing as npt

from facemask.runtime.arrays import Pixels

# Depths that cameras and scanners have, bits.
DEPTHS: Final = (8, 10, 12, 14, 16, 24, 32)
# The same where one bit is the sign's.
SIGNED: Final = (8, 10, 12, 14, 15, 16, 24, 31, 32)
# Samples that are all below it tell no range: 1.3 may be of 0..1 or of 0..255.
FAINT: Final = 16


class UnknownRange(ValueError):  # noqa: N818  # a state of the file
    """The samples do not tell what white is."""


def white(low: float, high: float, *, whole: bool, signed: bool) -> float:
    """Sample value that is white, told by the lowest and the highest sample.

    Files say how many bits a sample takes, not how many it uses: cameras and scanners put 10, 12 or 14 bits into 16,
    and 16 into 32. So white is the largest value of the smallest depth (see :data:`DEPTHS`) that holds all samples.
    Samples that are no whole numbers are 0..1 where none is above 1. (PNG's ``sBIT`` needs no look: samples that it
    speaks of fill 16 bits already.)

    Raises
    ------
    UnknownRange
        If there are negative samples, samples that are no numbers, or none of at least :data:`FAINT` (but for 0..1).
    """
    if not (np.isfinite(low) and np.isfinite(high)):
        raise UnknownRange("some samples are no finite numbers; save it with 8 bits a sample")
    if low < 0:
        raise UnknownRange(f"negative samples ({low:g}): no photo's range; save it with 8 bits a sample")
    if not whole and 1 / 255 <= high <= 1:
        return 1.0
    if high < FAINT:
        raise UnknownRange(f"samples of 0 to {high:g} tell no range; save it with 8 bits a sample")
    for bits in SIGNED if signed else DEPTHS:
        if high < 2**bits:
            return float(2**bits - 1)
    raise UnknownRange(f"samples of up to {high:g} tell no range; save it with 8 bits a sample")


def to_grey(samples: npt.NDArray[Any], white: float) -> Pixels:
    """Scale samples of 0..``white`` to 0..255; whole numbers keep their upper 8 bits."""
    if white == 1.0:
        return np.asarray(np.rint(samples.clip(0, 1) * 255), dtype=np.uint8)
    shift = int(white).bit_length() - 8
    return np.asarray(samples.astype(np.uint32) >> np.uint32(shift), dtype=np.uint8)


def extremes(samples: npt.NDArray[Any]) -> tuple[float, float]:
    """Lowest and highest sample; not-a-number if there is one."""
    return float(samples.min()), float(samples.max())
