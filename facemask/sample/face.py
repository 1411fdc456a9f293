"""The bare head: its outline, relief and skin, and the lines that age and expression draw on it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facemask.masks.raster import bell, ramp, spot
from facemask.sample import canvas
from facemask.sample.canvas import Curve, Floats, Layer, Stencil
from facemask.sample.identity import Identity

AREA = canvas.box(-1.35, -1.75, 1.35, 1.7)


@dataclass(frozen=True)
class Expression:
    """What a face does in one photo.

    ``smile`` -0.3..1, ``brows`` -1..1 (raised), ``lids`` 0..1.1 (open), ``gaze`` in face units,
    ``lips`` 0..1 (apart).
    """

    smile: float
    brows: float
    lids: float
    gaze: tuple[float, float]
    lips: float


def outline(who: Identity) -> Curve:
    """Return the closed outline of the head (n, 2) in face units, without ears."""
    w, jaw, chin = who.width, who.jaw, who.chin
    cheek, jowl = 0.37 * w + 0.6 * jaw, 0.46 * jaw + 0.5 * who.chin_width + 0.05 * who.sag
    return canvas.both(
        (
            0,
            0.46,
            0.82,
            0.97 * w,
            w,
            0.96 * w,
            cheek,
            jaw * (0.99 + 0.05 * who.sag),
            jowl,
            who.chin_width * 0.78,
            0,
        ),
        (-1.42, -1.35, -1.06, -0.58, -0.08, 0.3, 0.6, 0.86, chin - 0.23, chin - 0.05, chin),
    )


def relief(who: Identity) -> Floats:
    """Return the height (h, w) of the bare resting head over AREA, in face units towards the camera."""
    x, y = canvas.grid(AREA)
    edge = outline(who)
    right = edge[edge[:, 0] >= -1e-9]
    order = np.argsort(right[:, 1])
    # Smoothed, or the narrow chin would drop off like a cliff.
    rows = np.interp(y[:, 0], right[order, 1], right[order, 0])
    half = canvas.blur(np.repeat(rows[:, None], 4, axis=1), 0.13)[:, :1]
    across = np.clip(np.abs(x) / np.maximum(half * 1.06, 0.3), 0, 1)
    along = np.clip(np.abs(y - 0.1) / 1.72, 0, 1)
    dome = 0.92 * np.sqrt(1 - across**2 * np.sqrt(across))
    dome = dome * np.sqrt(np.maximum(1 - along**2 * np.sqrt(along), 0.04))

    base, gap, tip = who.nose_base, who.eye_gap, who.nose_base - 0.1
    ridge = bell((x / (0.09 + 0.05 * ramp(y, 0, tip))) ** 2) * ramp(y, -0.3, tip)
    z = dome + ridge * ramp(y, base + 0.07, base - 0.1) * who.nose_bridge * 1.25
    for height, cx, cy, wide, high in (
        (0.12, 0, tip, 0.13, 0.12),
        (0.085, who.nose_width * 0.68, base - 0.07, 0.085, 0.085),
        (-0.085, gap, -0.02, 0.25, 0.15),  # sockets
        (0.05, gap, 0.0, 0.15, 0.1),  # eyeballs
        (0.025 if who.gender else 0.05, gap, -0.25, 0.3, 0.1),  # brow ridge
        (0.05, 0.62, 0.36, 0.24, 0.2),  # cheekbones
        (-0.04 * (0.4 + who.sag), 0.7, 0.8, 0.2, 0.2),
        (0.05, 0, 0.9, 0.4, 0.2),
        (0.07, 0, who.chin - 0.17, 0.22, 0.14),
        (-0.035, 0, 1.13, 0.26, 0.05),
        (-0.012, 0, base + 0.12, 0.035, 0.08),
        (0.05 * who.sag, 0.66, 1.0, 0.12, 0.16),  # jowls
        (0.035 * who.bags, gap, 0.2, 0.16, 0.055),
    ):
        z += height * spot(np.abs(x) - cx, y - cy, wide, high)
    return canvas.blur(z, 0.018)


def furrows(who: Identity, smile: float, seed: np.random.Generator) -> Floats:
    """Return the depth (h, w) in 0..1 of the lines of age and smile over AREA; ``seed`` places them."""
    stencil = Stencil(AREA, 1)
    gap, base, age, bags, mouth = who.eye_gap, who.nose_base, who.wrinkles, who.bags, who.mouth_width
    lines: list[Curve] = []
    depths: list[float] = []
    for row in range(4):  # forehead
        y = -0.83 + 0.12 * row + seed.uniform(-0.02, 0.02)
        wide, swing = seed.uniform(0.42, 0.6), seed.uniform(-0.03, 0.03)
        heights = (y + 0.05, y - 0.01 + swing, y + 0.02, y - 0.01 - swing, y + 0.05)
        lines.append(canvas.curve((-wide, -wide / 2, 0, wide / 2, wide), heights))
        depths.append((age * 1.15 - 0.1) * seed.uniform(0.75, 1))
    out, cheer = gap + who.eye_size, max(smile, 0)
    bow = 0.05 * cheer
    for side in (-1, 1):
        tilts = np.asarray((-0.16, -0.05, 0.06, 0.17)) + seed.uniform(-0.02, 0.02, 4)
        feet = age * 1.1 - 0.12 + 0.25 * cheer * (0.2 + age)
        for xs, ys, depth in (
            ((0.07, 0.085, 0.07), (-0.32, -0.22, -0.12), age * 0.9 - 0.15),
            ((gap - 0.2, gap - 0.05, gap + 0.14), (0.11, 0.2, 0.19), bags * 0.9),
            ((gap - 0.17, gap - 0.02, gap + 0.2), (0.16, 0.285, 0.26), bags * 1.1 - 0.35),
            (
                (who.nose_width + 0.02, 0.37 + bow, mouth + 0.1 + bow),
                (base - 0.1, base + 0.1, 0.93),
                0.1 + 0.8 * age + 0.4 * cheer,
            ),
            ((mouth + 0.05, mouth + 0.06), (1.0, 1.18), age - 0.35),
            ((0.78, 0.72, 0.66), (0.4, 0.62, 0.8), age * 0.7 - 0.4),
            *(
                (
                    (out + 0.05, out + 0.125 + 0.045 * age, out + 0.2 + 0.09 * age),
                    (0.01 + t * 0.35, 0.02 + t * 0.75, 0.03 + t * 1.3),
                    feet,
                )
                for t in tilts.tolist()
            ),
        ):
            lines.append(canvas.curve(xs, ys) * (side, 1))
            depths.append(depth)
    cover = stencil.strokes(lines, 0.011, np.clip(depths, 0, 1))
    return 0.6 * canvas.blur(cover, 0.012) + 0.9 * canvas.blur(cover, 0.03)


def complexion(who: Identity, rng: np.random.Generator) -> Floats:
    """Return the colour (h, w, 3) of the bare skin over AREA in linear light; ``rng`` places its flaws."""
    x, y = canvas.grid(AREA)
    shape = (x.shape[0], x.shape[1])

    def patch(cx: float, cy: float, sx: float, sy: float) -> Floats:
        return spot(np.abs(x) - cx, y - cy, sx, sy)

    flush = 0.75 * patch(0.6, 0.4, 0.27, 0.22) + 0.5 * patch(0, who.nose_base - 0.1, 0.2, 0.16)
    flush += 0.35 * patch(0, 1.2, 0.2, 0.15)
    dark = 0.8 * (0.15 + who.bags) * patch(who.eye_gap, 0.1, 0.22, 0.1)
    dark += 0.2 * patch(who.eye_gap, -0.1, 0.25, 0.08)
    blotch = canvas.noise(rng, shape, 26, 3) * (0.012 + 0.05 * who.mottle)
    pores = canvas.noise(rng, shape, 2) * (0.008 + 0.028 * who.mottle)
    spots = ramp(canvas.noise(rng, shape, 7), 2.0, 2.9) * max(0.0, who.mottle - 0.35) * 0.55
    tone = np.broadcast_to(who.skin, (*shape, 3)).copy()
    for how, hue in (
        (flush, (0.0, 0.17, 0.17)),
        (dark, (0.28, 0.34, 0.3)),
        (-blotch - pores, (0.8, 1.2, 1.2)),
        (spots, (0.6, 0.8, 0.9)),
    ):
        tone *= 1 - how[..., None] * np.asarray(hue, np.float32)
    if who.stubble or who.moustache:
        mouth = patch(0, 0.93, who.mouth_width, 0.085)
        lower = np.asarray(y + 0.25 * x**2, np.float32)
        jaw = ramp(lower, 0.62, 0.95) * ramp(np.asarray(np.abs(x) * 0.3 + y, np.float32), 0.6, 0.8)
        lip = patch(0, who.nose_base + 0.16, 0.33, 0.08)
        zone = np.clip(jaw + lip, 0, 1) * (1 - np.clip(1.3 * mouth, 0, 1))
        grain = np.clip(0.75 + 0.35 * canvas.noise(rng, shape, 1.6), 0, 1.3)
        shade = np.clip(zone * grain * 0.55 * who.stubble, 0, 0.8)[..., None]
        tone = tone * (1 - shade) + shade * canvas.linear(78, 72, 74)
        if who.moustache:
            goatee = np.clip(1.1 * lip + patch(0, 1.2, 0.2, 0.14), 0, 1) * (1 - np.clip(1.5 * mouth, 0, 1))
            thick = goatee * (0.8 + 0.6 * canvas.noise(rng, shape, 1.5)) * who.moustache
            thick = np.clip(thick, 0, 0.9)[..., None]
            tone = tone * (1 - thick) + thick * who.brow_colour
    return np.clip(tone, 0, 1).astype(np.float32)


def layer(who: Identity, resting: Floats, colour: Floats, lines: Floats, mood: Expression) -> Layer:
    """Return the head without eyes, brows and mouth, its lines carved, wearing ``mood``."""
    x, y = canvas.grid(AREA)
    smile = np.float32(mood.smile)
    z = resting + 0.05 * smile * spot(np.abs(x) - 0.55 - 0.04 * smile, y - 0.45, 0.2, 0.17)
    gx, gy = canvas.slopes(z, 2.5)
    lx, ly = canvas.slopes(-0.03 * lines, 1.6)
    tone = colour * (1 - lines[..., None] * np.asarray((0.26, 0.38, 0.42), np.float32))
    gloss = 0.1 + 0.16 * spot(x, y - 0.2, 0.16, 0.5) + 0.1 * spot(x, y + 0.6, 0.4, 0.25)
    return Layer(
        AREA, Stencil(AREA, 2).fill(outline(who)), tone, (gx + lx, gy + ly), gloss.astype(np.float32), 1.0
    )


def ears(who: Identity) -> Layer:
    """Return both ears, to be laid under the head."""
    x, y = canvas.grid(AREA)
    w = who.width
    right = canvas.closed(
        (0.9 * w, 1.02 * w, 1.12 * w, 1.11 * w, 1.05 * w, 0.99 * w, 0.92 * w),
        (-0.16, -0.2, -0.08, 0.14, 0.36, 0.5, 0.42),
    )
    shape = Stencil(AREA, 2).fill(right, right * (-1, 1))
    inner = spot(np.abs(x) - 1.035 * w, y - 0.06, 0.03, 0.15)
    z = 0.12 * canvas.blur(shape, 0.03) - 0.07 * inner
    tone = who.skin * np.asarray((0.95, 0.8, 0.8), np.float32) * (1 - 0.5 * inner[..., None])
    return Layer(AREA, shape, tone.astype(np.float32), canvas.slopes(z.astype(np.float32), 2.0), 0.1, 1.0)
