"""A trained model, tiny, and photos as bytes."""

import io

import pytest
from PIL import Image

import facemask


@pytest.fixture
def model(write_run, tmp_path):
    return facemask.load(write_run(tmp_path / "project"))


@pytest.fixture(scope="session")
def encoded():
    """Bytes of a photo's file."""

    def encode(photo, kind="PNG"):
        stream = io.BytesIO()
        Image.fromarray(photo).save(stream, kind)
        return stream.getvalue()

    return encode
