"""What a photo takes in memory while it is decoded, alone and beside others."""

from __future__ import annotations

import subprocess
import sys
import textwrap
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from facemask.pixels import codec

# Peak memory in bytes beyond what the libraries take, of reading the files named by ``health`` or one by ``codec``.
MEASURE = """
import resource, sys
from pathlib import Path
from facemask.labels import health
from facemask.pixels import codec
from facemask.records.roots import Roots

def peak():
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * (1 if sys.platform == "darwin" else 1024)

root, tiny, *names = Path(sys.argv[1]), *sys.argv[2:]
where = Roots(root, root, root)
health.check(where, [f"train/images/{tiny}"])
codec.decode((root / "train/images" / tiny).read_bytes())
before = peak()
if len(names) == 1:
    codec.decode((root / "train/images" / names[0]).read_bytes())
else:
    assert (health.check(where, [f"train/images/{name}" for name in names])["status"] == "ok").all()
print(peak() - before)
"""


@pytest.fixture
def measured(tmp_path):
    """Writes images and measures what reading them takes, in a process of its own, as peaks never go down."""
    folder = tmp_path / "train" / "images"
    folder.mkdir(parents=True)

    def measure(names: list[str], pixels: np.ndarray, **options: object) -> int:
        Image.fromarray(np.ones((8, 8, 3), np.uint8)).save(folder / f"tiny{Path(names[0]).suffix}")
        for name in names:
            Image.fromarray(pixels).save(folder / name, **options)
        command = [
            sys.executable,
            "-c",
            textwrap.dedent(MEASURE),
            tmp_path,
            f"tiny{Path(names[0]).suffix}",
            *names,
        ]
        ran = subprocess.run(command, capture_output=True, text=True, check=True)
        return int(ran.stdout.splitlines()[-1])

    return measure


def ramp(height: int, width: int, white: int, kind: type) -> np.ndarray:
    return np.tile(np.linspace(0, white, width).astype(kind), (height, 1))


@pytest.mark.slow
@pytest.mark.parametrize(
    "kind", ["jpg", *(pytest.param(kind, marks=pytest.mark.slow) for kind in ("png", "tif", "bmp"))]
)
def test_a_photo_takes_at_most_8_bytes_a_pixel(measured, kind):
    grey = ramp(3000, 4000, 65535, np.uint16) if kind in ("png", "tif") else ramp(3000, 4000, 255, np.uint8)
    pixels = grey if grey.dtype == np.uint16 else np.repeat(grey[..., None], 3, axis=2)
    options = {"compress_level": 1} if kind == "png" else {}
    # The file's own bytes are held too, and stripes of 2 million pixels.
    assert measured([f"photo.{kind}"], pixels, **options) < 8 * 12_000_000 + pixels.nbytes + 30_000_000


@pytest.mark.slow
def test_large_photos_are_decoded_one_at_a_time(measured):
    """Without the lock, or at 26 bytes a pixel as before, four at once take more than three times as much."""
    pixels = ramp(4001, 4000, 65535, np.uint16)
    assert pixels.size > codec.LARGE
    names = [f"{number}.png" for number in range(4)]
    assert measured(names, pixels, compress_level=1) < 1.5 * 8 * pixels.size


@pytest.mark.slow
def test_four_of_64_megapixels_and_16_bits_stay_below_700_megabytes(measured):
    names = [f"{number}.png" for number in range(4)]
    assert measured(names, ramp(8000, 8000, 65535, np.uint16), compress_level=1) < 700_000_000
