"""One photo of one person: drawn, lit, turned, placed before a background, taken by an imperfect camera."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from facemask.masks import looks, raster
from facemask.masks.looks import Look, Wearing
from facemask.masks.raster import enlarge, normal, pick
from facemask.sample import background, body, canvas, eyes, face, hair, light, mask, mouth
from facemask.sample.canvas import Canvas, Floats
from facemask.sample.identity import Identity

WIDTH, HEIGHT = 384, 512


@dataclass(frozen=True)
class Scene:
    """What changes with a photo; angles in radians, ``scale`` in pixels a face unit, ``place`` in pixels."""

    wearing: Wearing | None
    look: Look
    mood: face.Expression
    light: light.Light
    background: str
    yaw: float
    pitch: float
    roll: float
    scale: float
    place: tuple[float, float]
    defocus: float
    grain: float
    exposure: float
    contrast: float


def draw(rng: np.random.Generator, wearing: Wearing | None) -> Scene:
    """Draw a photo's circumstances, of which none depends on who is photographed; None is without a mask."""

    def bell(deviation: float) -> float:
        return float(deviation * np.clip(rng.standard_normal(), -2, 2))

    scale = float(rng.uniform(74, 96))
    return Scene(
        wearing=wearing,
        look=looks.draw(mask.STYLES, rng, 1)[0],
        mood=face.Expression(
            smile=float(np.clip(0.32 + bell(0.32), -0.2, 1)),
            brows=bell(0.5),
            lids=float(rng.uniform(0.86, 1.06)),
            gaze=(bell(0.014), bell(0.007)),
            lips=float(max(0.0, rng.uniform(-1.6, 0.7))),
        ),
        light=light.draw(rng),
        background=str(rng.choice(background.KINDS)),
        yaw=bell(0.11),
        pitch=bell(0.06),
        roll=bell(0.05),
        scale=scale,
        place=(WIDTH / 2 + bell(14), HEIGHT * 0.44 + bell(16)),
        defocus=float(max(0.0, rng.uniform(-0.4, 0.9))),
        grain=float(rng.uniform(0.004, 0.016)),
        exposure=float(rng.uniform(0.86, 1.14)),
        contrast=float(rng.uniform(-0.1, 0.08)),
    )


class Sitter:
    """A person ready for photos: what all of them share is drawn once; ``rng`` places hairs and flaws."""

    def __init__(self, who: Identity, rng: np.random.Generator) -> None:
        self.who = who
        self.relief = face.relief(who)
        self.depth = np.zeros((canvas.HEIGHT, canvas.WIDTH), np.float32)
        x0, y0, x1, y1 = face.AREA
        self.depth[y0:y1, x0:x1] = self.relief
        self.depth = canvas.blur(self.depth, 0.16)
        self.colour = face.complexion(who, rng)
        self.furrows = int(rng.integers(2**32))
        self.brows = int(rng.integers(2**32))
        self.ears = face.ears(who)
        self.body = body.layers(who, rng)
        self.hair = hair.build(who, rng)

    def portrait(self, scene: Scene, rng: np.random.Generator) -> Floats:
        """Return the lit frontal portrait (canvas h, w, 4), premultiplied linear colour and cover."""
        who, surface = self.who, Canvas()
        if self.hair.behind:
            surface.put(self.hair.behind)
        lines = face.furrows(who, scene.mood.smile, np.random.default_rng(self.furrows))
        head = face.layer(who, self.relief, self.colour, lines, scene.mood)
        surface.put(self.body[0])
        for clothes in self.body[1:]:
            surface.put(clothes)
        body.shadow_under_chin(surface, head.alpha, head.area)
        surface.put(self.ears)
        surface.put(head)
        fresh = np.random.default_rng(self.brows)
        mouth.paint_nose(surface, who)
        mouth.paint_lips(surface, who, scene.mood)
        eyes.paint_eyes(surface, who, scene.mood, fresh)
        eyes.paint_brows(surface, who, scene.mood, fresh)
        if scene.wearing:
            mask.wear(surface, who, scene.look, scene.wearing, self.relief, rng)
        front = self.hair.front
        surface.dim(front.area, canvas.blur(np.roll(front.alpha, 6, axis=0), 0.05) * 0.9, 0.42)
        surface.put(front)
        if who.glasses:
            eyes.paint_glasses(surface, who)
        return light.shade(surface, scene.light)


def _turned(angle: float) -> tuple[float, float]:
    """Return cosine and sine of about ``angle``; their last bits do not depend on the CPU."""
    half = angle / 2
    return (1 - half * half) / (1 + half * half), 2 * half / (1 + half * half)


def _pose(scene: Scene, depth: Floats) -> tuple[Floats, Floats]:
    """Return, for each pixel of the photo, the canvas pixel (x, y) it shows; ``depth`` is the canvas's."""
    # Every fourth pixel is enough; the middles of the cells of four.
    py, px = np.mgrid[1.5:HEIGHT:4, 1.5:WIDTH:4]
    cos, sin = _turned(scene.roll)
    dx, dy = (px - scene.place[0]) / scene.scale, (py - scene.place[1]) / scene.scale
    flat_x, flat_y = cos * dx + sin * dy, cos * dy - sin * dx
    (cos_yaw, yaw), (cos_pitch, pitch) = _turned(scene.yaw), _turned(scene.pitch)
    x, y = flat_x, flat_y
    for _ in range(4):
        near = pick(depth, x * canvas.SCALE + canvas.ORIGIN[0], y * canvas.SCALE + canvas.ORIGIN[1]) - 0.4
        x, y = (flat_x - yaw * near) / cos_yaw, (flat_y - pitch * near) / cos_pitch
    return (
        enlarge(x * canvas.SCALE + canvas.ORIGIN[0], 4),
        enlarge(y * canvas.SCALE + canvas.ORIGIN[1], 4),
    )


def take(
    sitter: Sitter, scene: Scene, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a photo (512, 384, 3) RGB and its true matte (512, 384), 255 where the person is."""
    portrait = sitter.portrait(scene, rng)
    person = pick(portrait, *_pose(scene, sitter.depth))
    cover = np.clip(person[..., 3], 0, 1)
    image = background.draw(rng, scene.background, WIDTH, HEIGHT)
    image *= (np.float32(rng.uniform(0.7, 1.05)) * (1 - cover))[..., None]
    image += person[..., :3]
    image *= np.float32(scene.exposure)
    if scene.defocus > 0.25:
        image = raster.blur(image, scene.defocus)
    shown = np.sqrt(np.maximum(image, 0, out=image), out=image)
    shown += np.float32(scene.contrast) * shown * (1 - shown)
    shown += normal(rng, (HEIGHT, WIDTH, 1)) * np.float32(scene.grain)
    return _bytes(shown), _bytes(cover)


def _bytes(values: Floats) -> NDArray[np.uint8]:
    return (np.clip(values, 0, 1) * np.float32(255) + np.float32(0.5)).astype(np.uint8)
