"""Light on the portrait: a key light, a fill, the sky, and the warmth that skin lends to shadows."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from facemask.sample.canvas import HEIGHT, WIDTH, Canvas, Floats

_ROWS = 64  # lit a strip at a time, so that a strip stays in the processor's cache


@dataclass(frozen=True)
class Light:
    """Direction (x, y, z) of the key light, unit length, z towards the camera; the others are linear RGB."""

    direction: tuple[float, float, float]
    key: Floats
    ambient: Floats


def draw(rng: np.random.Generator) -> Light:
    """Draw a light: mostly from above, from either side, warm or cool."""
    side, height = rng.uniform(-0.65, 0.65), rng.uniform(-0.75, -0.12)
    direction = np.asarray((side, height, 1.0)) / np.sqrt(side**2 + height**2 + 1)
    warm = rng.uniform(-1, 1)
    hue = np.asarray((1 + 0.07 * warm, 1.0, 1 - 0.09 * warm), np.float32)
    balance = rng.uniform(0.3, 0.55)
    power = rng.uniform(0.92, 1.18)
    key = (hue * power * (1 - balance)).astype(np.float32)
    ambient = (np.sqrt(hue[::-1]) * power * balance).astype(np.float32)
    return Light(
        (float(direction[0]), float(direction[1]), float(direction[2])), key * np.float32(1.25), ambient
    )


def shade(surface: Canvas, light: Light) -> Floats:
    """Return the lit portrait (h, w, 4): linear colour premultiplied by cover, and cover."""
    out = np.empty((HEIGHT, WIDTH, 4), np.float32)
    for top in range(0, HEIGHT, _ROWS):
        rows = slice(top, top + _ROWS)
        out[rows] = _shade(surface.data[:, rows], surface.glint[rows], light)
    return out


def _shade(data: Floats, glint: Floats, light: Light) -> Floats:
    cover = data[7]
    if not cover.any():
        return np.zeros((*cover.shape, 4), np.float32)
    gx, gy, gloss, skin = data[3:7] / np.maximum(cover, np.float32(1e-3))
    lx, ly, lz = (np.float32(v) for v in light.direction)
    nz = 1 / np.sqrt(1 + gx * gx + gy * gy)
    ny = -gy * nz
    facing = ny * ly + nz * lz - gx * nz * lx
    mirror = np.clip((facing + nz) / np.float32(np.sqrt(2 + 2 * lz)), 0, 1)
    for _ in range(5):
        mirror *= mirror
    sheen = (np.float32(0.55) * gloss * mirror + glint / light.key[1]) * cover
    sky = np.float32(0.82) - np.float32(0.22) * ny + np.float32(0.12) * nz
    planes = []
    for channel, depth in enumerate((0.30, 0.16, 0.12)):
        wrap = np.float32(0.12) + np.float32(depth) * skin
        direct = np.maximum((facing + wrap) / (1 + wrap), 0)
        lit = light.key[channel] * direct + light.ambient[channel] * sky
        planes.append(data[channel] * lit + light.key[channel] * sheen)
    out: Floats = cv2.merge([*planes, cover])
    return out
