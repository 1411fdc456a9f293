"""One photo of one person: drawn, lit, turned, placed before a background, taken by an imperfect camera."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np
from numpy.typing import NDArray

from facemask.sample import background, body, canvas, eyes, face, hair, light, mask, mouth
from facemask.sample.canvas import Canvas, Floats
from facemask.sample.identity import Identity
from facemask.sample.mask import MaskLook

WIDTH, HEIGHT = 384, 512


@dataclass(frozen=True)
class Scene:
    """What changes with a photo; angles in radians, ``scale`` in pixels a face unit, ``place`` in pixels."""

    state: str
    look: MaskLook
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
    gamma: float


def draw(rng: np.random.Generator, state: str) -> Scene:
    """Draw a photo's circumstances; nothing in them depends on who is photographed."""

    def bell(deviation: float) -> float:
        return float(deviation * np.clip(rng.standard_normal(), -2, 2))

    scale = float(rng.uniform(74, 96))
    return Scene(
        state=state,
        look=mask.draw(rng),
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
        gamma=float(rng.uniform(0.92, 1.1)),
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
        mask.wear(surface, who, scene.look, scene.state, self.relief, rng)
        front = self.hair.front
        surface.dim(front.area, canvas.blur(np.roll(front.alpha, 6, axis=0), 0.05) * 0.9, 0.42)
        surface.put(front)
        if who.glasses:
            eyes.paint_glasses(surface, who)
        return light.shade(surface, scene.light)


def _pose(scene: Scene, depth: Floats) -> tuple[Floats, Floats]:
    """Return, for each pixel of the photo, the canvas pixel (x, y) it shows; ``depth`` is the canvas's."""
    step = 4
    py, px = np.mgrid[0 : HEIGHT + step : step, 0 : WIDTH + step : step].astype(np.float32)
    cos, sin = np.cos(scene.roll), np.sin(scene.roll)
    dx, dy = (px - scene.place[0]) / scene.scale, (py - scene.place[1]) / scene.scale
    qx, qy = (cos * dx + sin * dy).astype(np.float32), (-sin * dx + cos * dy).astype(np.float32)
    x, y = qx.copy(), qy.copy()
    for _ in range(4):
        mx, my = x * canvas.SCALE + canvas.ORIGIN[0], y * canvas.SCALE + canvas.ORIGIN[1]
        z = cv2.remap(
            depth,
            mx.astype(np.float32),
            my.astype(np.float32),
            cv2.INTER_LINEAR,
            borderMode=cv2.BORDER_REPLICATE,
        )
        x = ((qx - np.float32(np.sin(scene.yaw)) * (z - 0.4)) / np.float32(np.cos(scene.yaw))).astype(
            np.float32
        )
        y = ((qy - np.float32(np.sin(scene.pitch)) * (z - 0.4)) / np.float32(np.cos(scene.pitch))).astype(
            np.float32
        )
    size = (px.shape[1] * step, px.shape[0] * step)
    # cv2.resize aligns pixel centres; taking coarse cells as step pixels wide shifts them by (step - 1) / 2.
    half = (step - 1) / 2
    shift = np.asarray([[1, 0, half], [0, 1, half]], np.float32)
    maps = []
    for axis, origin in ((x, canvas.ORIGIN[0]), (y, canvas.ORIGIN[1])):
        pixels = (axis * canvas.SCALE + origin).astype(np.float32)
        full = cv2.resize(pixels, size, interpolation=cv2.INTER_LINEAR)
        flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
        maps.append(np.asarray(cv2.warpAffine(full, shift, (WIDTH, HEIGHT), flags=flags), np.float32))
    return maps[0], maps[1]


def take(
    sitter: Sitter, scene: Scene, rng: np.random.Generator
) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Return a photo (512, 384, 3) RGB and its true matte (512, 384), 255 where the person is."""
    portrait = sitter.portrait(scene, rng)
    mx, my = _pose(scene, sitter.depth)
    person = cv2.remap(portrait, mx, my, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REPLICATE)
    cover = np.clip(person[..., 3], 0, 1)
    image = background.draw(rng, scene.background, WIDTH, HEIGHT)
    image *= (np.float32(rng.uniform(0.7, 1.05)) * (1 - cover))[..., None]
    image += person[..., :3]
    image *= np.float32(scene.exposure)
    if scene.defocus > 0.25:
        image = np.asarray(cv2.GaussianBlur(image, (0, 0), scene.defocus), np.float32)
    shown = np.asarray(cv2.pow(np.maximum(image, 0), 0.5 * scene.gamma), np.float32)
    shown += rng.standard_normal((HEIGHT, WIDTH, 1), dtype=np.float32) * np.float32(scene.grain)
    shot = cv2.convertScaleAbs(np.clip(shown, 0, 1, out=shown), alpha=255)
    return np.asarray(shot, np.uint8), np.asarray(cv2.convertScaleAbs(cover, alpha=255), np.uint8)
