"""A comparison as Markdown for a pull request, and as one HTML file with the photos that flipped."""

from __future__ import annotations

import base64
import html
import io
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Final

import jinja2
from PIL import Image

from facemask.comparison.changes import Flip
from facemask.comparison.comparison import LABELS, Comparison
from facemask.comparison.paired import Difference
from facemask.comparison.text import verdict
from facemask.pixels import archive, codec, compose

# More photos make the page slow on a phone.
MOST_PHOTOS: Final = 120
HEIGHT: Final = 160
QUALITY: Final = 80
_SPECIAL: Final = re.compile(r"([\\`*_\[\]|~#])")
# Half of this far from 0 the bar of a difference ends.
_WIDEST: Final = 1e-3


def markdown(found: Comparison) -> str:
    """Write a comparison as GitHub's Markdown; it names no photo and no person."""
    environment = _environment(autoescape=False)
    environment.filters["md"] = _escaped
    return environment.get_template("comment.jinja").render(_context(found)).strip() + "\n"


def page(found: Comparison, crops: Path) -> str:
    """Write a comparison as a page that needs no network.

    Parameters
    ----------
    crops
        Archive of the labelled photos' crops; photos that it lacks are shown by name alone.
    """
    flips = found.flips[:MOST_PHOTOS]
    shown = {"pictures": _pictures(flips, crops), "left": len(found.flips) - len(flips)}
    groups = [
        ("Became wrong", [f for f in flips if not f.better]),
        ("Became right", [f for f in flips if f.better]),
    ]
    template = _environment(autoescape=True).get_template("page.jinja")
    return template.render(_context(found) | shown | {"groups": groups})


def _environment(*, autoescape: bool) -> jinja2.Environment:
    return jinja2.Environment(
        loader=jinja2.PackageLoader("facemask.comparison", "."),
        autoescape=autoescape,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )


def _escaped(value: object) -> str:
    """Text that GitHub shows as it is: no markup, no mention, no cell's end."""
    one_line = " ".join(str(value).split())
    return _SPECIAL.sub(r"\\\1", html.escape(one_line, quote=False)).replace("@", "&#64;")


def _context(found: Comparison) -> dict[str, Any]:
    scale = max(
        _WIDEST, *(abs(edge) for one in found.scores.values() for edge in (one.low, one.high, one.value))
    )
    rows = [_row(label, found.scores[key], key, scale) for key, label in LABELS.items()]
    moved = [_row(f"{name} ({one.people} people)", one, "f1", 1.0) for name, one in found.moved.items()]
    worse = sum(not flip.better for flip in found.flips)
    return vars(found) | {
        "after": found.after,
        "sentences": found.sentences,
        "coverage": found.coverage,
        "still": found.still,
        "seeds": len(found.second),
        "rows": rows + moved,
        "moved": moved,
        "each": [
            _row(name, one, "f1", 1.0) | {"people": str(one.people)} for name, one in found.classes.items()
        ],
        "worse": worse,
        "better": len(found.flips) - worse,
    }


def _row(label: str, one: Difference, key: str, scale: float) -> dict[str, str]:
    """One score as text, and its bar in percent of the width, 0 in the middle."""
    found = {
        "label": label,
        "before": f"{one.before:.3f}",
        "after": f"{one.after:.3f}",
        "value": f"{one.value:+.3f}",
    }
    found |= {"low": f"{one.low:+.3f}", "high": f"{one.high:+.3f}", "spread": f"{one.spread:.3f}"}
    low, value, high = (
        50 + 50 * min(1.0, max(-1.0, edge / scale)) for edge in (one.low, one.value, one.high)
    )
    bar = {"left": f"{low:.1f}", "dot": f"{value:.1f}", "wide": f"{high - low:.1f}"}
    return found | bar | {"verdict": verdict(one, key)}


def _pictures(flips: Sequence[Flip], crops: Path) -> Mapping[str, str]:
    """Data URIs by photo."""
    if not crops.is_file():
        return {}
    found = {}
    with archive.Reader(crops) as stored:
        for flip in flips:
            if (name := f"{flip.photo}.jpg") in stored.names:
                pixels = codec.decode_jpeg(stored.read(name))
                wide = max(1, round(HEIGHT * pixels.shape[1] / pixels.shape[0]))
                stream = io.BytesIO()
                small = Image.fromarray(compose.fit(pixels, (HEIGHT, wide)))
                small.save(stream, "JPEG", quality=QUALITY, optimize=True)
                found[flip.photo] = f"data:image/jpeg;base64,{base64.b64encode(stream.getvalue()).decode()}"
    return found
