"""A face mask on the portrait; its look knows nothing of its wearer."""

from __future__ import annotations

import numpy as np

from facemask.masks import looks
from facemask.masks.looks import Look, Wearing
from facemask.masks.raster import ramp, spot
from facemask.sample import canvas, face
from facemask.sample.canvas import Canvas, Floats, Layer, Stencil, linear
from facemask.sample.identity import Identity

STYLES: tuple[looks.Style, ...] = ("surgical", "cloth", "respirator")
WRONG: tuple[Wearing, ...] = ("below_nose", "below_mouth")
_AREA = canvas.box(-1.35, -0.3, 1.35, 2.0)


def wear(
    surface: Canvas, who: Identity, look: Look, wearing: Wearing, resting: Floats, rng: np.random.Generator
) -> None:
    """Put a mask of ``look`` on the face; ``resting`` is the bare head's relief over ``face.AREA``."""
    # One unit of the mask in face units: it reaches from ear to ear and below the chin.
    unit = np.asarray((0.47 * who.width, (who.chin + 0.07) / 3.5))
    seat = looks.seat(wearing, (who.nose_base - 0.1) / unit[1], rng)
    edge, loops = looks.outline(look.style, seat) * unit, [loop * unit for loop in looks.loops(seat)]
    x, y = canvas.grid(_AREA)
    mx, my = x / np.float32(unit[0]), y / np.float32(unit[1])
    cloth, folds = looks.cloth(look, seat, mx, my, rng)
    stencil = Stencil(_AREA, 2)
    alpha, hem = stencil.fill(edge), stencil.strokes([np.vstack([edge, edge[:1]])], 0.045)
    cord = stencil.strokes(loops, 0.026) * ramp(np.abs(mx), looks.EAR - 0.02, looks.EAR - 0.2)

    middle = unit[1] * (seat.top + seat.bottom) / 2
    z = _under(resting, y) + 0.13 * spot(x, y - middle + 0.05, 0.5, 0.42) + 0.3 * folds
    colour = (cloth / 255) ** 2 * (1 - 0.12 * canvas.blur(hem, 0.01)[..., None]) + 0.01
    surface.dim(_AREA, canvas.blur(np.roll(alpha, 5, axis=0), 0.05) * (1 - alpha), 0.5)
    surface.dim(_AREA, canvas.blur(np.roll(cord, 3, axis=0), 0.02), 0.3)
    plain = linear(*looks.COLOURS[look.colour])
    surface.tint(_AREA, 0.95 * cord, 0.8 * plain + (0.15 if look.colour != "black" else 0.02))
    relief = canvas.slopes(canvas.blur(z, 0.012), 1.8)
    surface.put(Layer(_AREA, alpha, np.clip(colour, 0, 1).astype(np.float32), relief, 0.03, 0.25))


def _under(resting: Floats, y: Floats) -> Floats:
    """Return the smoothed height of the face over the mask's area, and of the throat below it."""
    (x0, y0, x1, y1), (fx0, fy0, _, fy1) = _AREA, face.AREA
    below = np.zeros((y1 - fy0, x1 - x0), np.float32)
    below[: fy1 - fy0] = resting[:, x0 - fx0 : x1 - fx0]
    smooth = canvas.blur(below, 0.1)[y0 - fy0 :]
    return smooth * ramp(y, 1.9, 1.2) + np.float32(0.35) * ramp(y, 1.2, 1.9)
