"""Damaged ``params.yaml``, and words that people type to change it."""

from __future__ import annotations

from pathlib import Path
from typing import Final

import yaml

from benchmarks.speed.outcome import HERE
from benchmarks.torture import mutations
from benchmarks.torture.text_inputs import Altered, Rng, Try
from facemask.commands import assignments
from facemask.runtime.errors import UserError
from facemask.settings import loading, presets, schema

_WORDS: Final = (
    "0",
    "1",
    "3",
    "0.5",
    "true",
    "null",
    "[0,1]",
    "none",
    "1e-4",
    "2021_01",
    "가나",
    "{}",
    "-1",
    "soft",
    ".nan",
)


def params_text(folder: Path) -> Try:
    """Bytes of ``params.yaml``."""
    content, path = (HERE / "params.yaml").read_bytes(), folder / "params.yaml"

    def attempt(rng: Rng) -> None:
        path.write_bytes(mutations.data(content, rng))
        loading.load(path)

    return attempt


def params_values(folder: Path) -> Try:
    """Values, keys and kinds of ``params.yaml`` and of the presets' params."""
    whole = yaml.safe_load((HERE / "params.yaml").read_text())
    found = sorted((HERE / "presets").glob("*.yaml"))
    some = [whole, *(presets.merge(whole, yaml.safe_load(path.read_text())["params"]) for path in found)]

    def attempt(rng: Rng) -> None:
        loading.parse(mutations.value(some[int(rng.integers(len(some)))], rng), "params.yaml")

    return attempt


def typed(folder: Path) -> Try:
    """Words behind ``python -m facemask set``: what is refused changes no byte."""
    path, content = folder / "params.yaml", (HERE / "params.yaml").read_bytes()
    keys = [field.key for field in schema.walk()]

    def attempt(rng: Rng) -> None:
        path.write_bytes(content)
        words = []
        for _ in range(int(rng.integers(1, 3))):
            words += [
                str(rng.choice(keys)),
                str(rng.choice(_WORDS)) if rng.integers(3) else mutations.name(rng),
            ]
        if not rng.integers(3):
            words.append(f"{rng.choice(['p', 'gamma', mutations.name(rng)])}={rng.choice(_WORDS)}")
        try:
            assignments.apply(words, path)
        except UserError:
            if path.read_bytes() != content:
                raise Altered(words) from None
            raise
        loading.load(path)

    return attempt


PARTS: Final = {
    "params.yaml, bytes": (params_text, 600),
    "params.yaml, values": (params_values, 2500),
    "facemask set": (typed, 400),
}
