"""Drawing and preprocessing give the same bytes with any instructions of the CPU and any number of threads."""

from __future__ import annotations

import functools
import hashlib
import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path

import pytest
from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

NUMPY = " ".join(name for name in __cpu_dispatch__ if __cpu_features__[name])
OPENCV = "AVX512_SKX,AVX2,AVX,FP16,SSE4_2,SSE4_1"
TORCH = {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41", "MKL_CBWR": "COMPATIBLE"}
# glibc and OpenBLAS choose their own variants of exp and of the product of matrices.
LIBRARIES = {
    "GLIBC_TUNABLES": "glibc.cpu.hwcaps=-AVX2,-FMA,-AVX2_Usable,-FMA_Usable",
    "OPENBLAS_CORETYPE": "Prescott",
}
ENVIRONMENTS = {
    "numpy": {"NPY_DISABLE_CPU_FEATURES": NUMPY},
    "opencv": {"OPENCV_CPU_DISABLE": OPENCV, "OPENCV_IPP": "disabled"},
    "old_cpu": {
        "NPY_DISABLE_CPU_FEATURES": NUMPY,
        "OPENCV_CPU_DISABLE": OPENCV,
        "OPENCV_IPP": "sse42",
        "JSIMD_FORCENONE": "1",
        **LIBRARIES,
        **TORCH,
    },
    "two_threads": {"OMP_NUM_THREADS": "2", "MKL_NUM_THREADS": "2", "OPENCV_FOR_THREADS_NUM": "2"},
}


def digests() -> dict[str, str]:
    """SHA-256 of what each step makes of a few drawn people; run in a process of its own."""
    from facemask.detectors import mtcnn
    from facemask.mattes import grabcut
    from facemask.pixels import boxes, codec
    from facemask.sample import contest
    from facemask.settings import params

    jobs = contest.jobs(params.SampleData(train_people=12, eval_people=0, seed=3))
    shots = [shot for job in jobs[4:6] for shot in contest.shoot(job)]
    pixels = [codec.decode(shot.photo) for shot in shots[::4]]
    found = mtcnn.Networks(56.12, (0.6, 0.7, 0.7)).landmarks(pixels)
    mattes = [grabcut.matte(photo, iterations=3, height=192) for photo in pixels]
    crops = [
        codec.encode_jpeg(boxes.crop(photo, boxes.written(rows[0, :4]), (256, 192)))
        for photo, rows in zip(pixels, found, strict=True)
        if len(rows)
    ]
    made: dict[str, Iterable[bytes]] = {
        "photos": (shot.photo for shot in shots),
        "true mattes": (shot.matte for shot in shots),
        "decoded": (photo.tobytes() for photo in pixels),
        "faces": (rows.tobytes() for rows in found),
        "crops": crops,
        "mattes": (codec.encode_matte(matte) for matte in mattes),
    }
    return {name: hashlib.sha256(b"".join(parts)).hexdigest() for name, parts in made.items()}


@functools.cache
def under(name: str | None) -> dict[str, str]:
    plain = {
        key: value
        for key, value in os.environ.items()
        if key not in {k for e in ENVIRONMENTS.values() for k in e}
    }
    changed = ENVIRONMENTS[name] if name else {"OMP_NUM_THREADS": "1"}
    code = f"import runpy, json; print(json.dumps(runpy.run_path({str(Path(__file__))!r})['digests']()))"
    done = subprocess.run(
        [sys.executable, "-c", code],
        env=plain | {"OMP_NUM_THREADS": "1", "PYTHONPATH": str(Path(__file__).parents[2])} | changed,
        capture_output=True,
        text=True,
        check=True,
    )
    told: dict[str, str] = json.loads(done.stdout)
    return told


@pytest.mark.slow
@pytest.mark.parametrize("name", ENVIRONMENTS)
def test_same_bytes_with_other_instructions_and_threads(name: str) -> None:
    assert under(name) == under(None)


def test_what_is_switched_off_is_there() -> None:
    """Else the comparison would compare a thing with itself."""
    if not NUMPY:
        pytest.skip("this CPU has no vector instructions beyond NumPy's baseline")
    code = "import numpy; print(numpy.exp(numpy.linspace(-3, 3, 9999, dtype='f4')).tobytes().hex())"
    made = {
        subprocess.run(
            [sys.executable, "-c", code], env=os.environ | extra, capture_output=True, check=True
        ).stdout
        for extra in ({}, ENVIRONMENTS["numpy"])
    }
    assert len(made) == 2
