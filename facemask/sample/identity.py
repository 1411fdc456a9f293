"""Who a drawn person is: the traits that stay the same over a person's photos."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from facemask.sample.canvas import Floats, linear

MALE, FEMALE = 0, 1
SHORT, CROP, FRINGE, RECEDING = "short", "crop", "fringe", "receding"
LONG, BANGS, BOB, TIED, PERM, PIXIE = "long", "bangs", "bob", "tied", "perm", "pixie"
# Weights by gender and by life stage (young, middle, sixty).
_STYLES: dict[tuple[int, int], dict[str, float]] = {
    (MALE, 0): {SHORT: 4, CROP: 2, FRINGE: 5, BOB: 0.4},
    (MALE, 1): {SHORT: 6, CROP: 3, FRINGE: 1, RECEDING: 3, PERM: 0.2},
    (MALE, 2): {SHORT: 4, CROP: 2, RECEDING: 5},
    (FEMALE, 0): {LONG: 6, BANGS: 4, BOB: 3, TIED: 3, PIXIE: 0.5},
    (FEMALE, 1): {LONG: 4, BANGS: 1, BOB: 4, TIED: 3, PERM: 3, PIXIE: 0.6},
    (FEMALE, 2): {BOB: 3, TIED: 2, PERM: 7, PIXIE: 0.4},
}
_HAIR = ((22, 19, 20), (30, 24, 23), (44, 32, 27), (60, 41, 31))
_DYED = ((92, 58, 38), (118, 76, 46), (84, 40, 34), (134, 92, 58))
_CLOTHES = bytes.fromhex(
    "262c3e ecece8 1e1e21 787e84 601824 284e42 beb096 466296 ce9896 e2ce78 786094 543e2e"
)


@dataclass(frozen=True)
class Identity:
    """Traits of one person; lengths in face units, fractions in 0..1, colours in linear light."""

    gender: int
    age: int
    skin: Floats
    width: float
    jaw: float
    chin_width: float
    chin: float
    eye_gap: float
    eye_size: float
    eye_height: float
    eye_tilt: float
    crease: float
    lashes: float
    iris: Floats
    brow_thickness: float
    brow_arch: float
    brow_dark: float
    brow_colour: Floats
    nose_width: float
    nose_base: float
    nose_bridge: float
    mouth_width: float
    lip_upper: float
    lip_lower: float
    lip_colour: Floats
    stubble: float
    moustache: float
    wrinkles: float
    bags: float
    sag: float
    mottle: float
    hair_style: str
    hair_colour: Floats
    grey: float
    hairline: float
    part: float
    volume: float
    hair_length: float
    glasses: bool
    clothes: str
    cloth: Floats
    cloth_second: Floats
    shoulders: float


def draw(rng: np.random.Generator, gender: int, age: int) -> Identity:
    """Draw a person of ``gender`` (0 male, 1 female) and ``age`` in years."""
    female = gender == FEMALE
    looks = age + float(np.clip(rng.normal(0, 1.8), -3.5, 3.5)) * (0.5 if age >= 60 else 1.0)
    stage = 0 if age < 30 else 1 if age < 60 else 2

    def around(mean: float, deviation: float) -> float:
        return float(mean + deviation * np.clip(rng.standard_normal(), -2, 2))

    def unit(value: float) -> float:
        return float(np.clip(value, 0, 1))

    def aged(years: tuple[float, ...], levels: tuple[float, ...], pool: float) -> float:
        level = float(np.interp(looks, years, levels))
        return unit(level * (1 + around(0, pool)))

    weights = _STYLES[gender, stage]
    style = str(rng.choice(list(weights), p=np.array(list(weights.values())) / sum(weights.values())))
    pale = unit(around(0.62 if female else 0.42, 0.24))
    skin = linear(196, 146, 112) * (1 - pale) + linear(240, 206, 182) * pale
    dull = float(np.interp(looks, (25, 60), (0.0, 0.14)))
    skin = (skin * (1 - dull * np.asarray((0.6, 0.9, 1.1)))).astype(np.float32)
    grey = aged((28, 42, 52, 57, 59.4, 60.4, 62), (0.0, 0.05, 0.13, 0.2, 0.28, 0.9, 1.0), 0.2)
    grey = max(grey, 0.72) if age >= 60 else min(grey, 0.32)
    dyed = rng.random() < ((0.45, 0.3, 0.0)[stage] if female else (0.22, 0.12, 0.0)[stage])
    pool = _DYED if dyed and stage == 0 else _HAIR
    hair = linear(*pool[int(rng.integers(len(pool)))])
    if dyed:
        grey *= 0.35
    rouge = unit(around(0.6 if female else 0.1, 0.22))
    lip = skin * np.asarray((0.80, 0.50, 0.50)) * (1 - rouge) + linear(196, 74, 82) * rouge
    bearded = not female and stage > 0 and rng.random() < 0.16
    cloth, other = (
        linear(*_CLOTHES[3 * k : 3 * k + 3]) for k in rng.choice(len(_CLOTHES) // 3, 2, replace=False)
    )
    return Identity(
        gender=gender,
        age=age,
        skin=skin,
        width=around(0.97 if female else 1.0, 0.03),
        jaw=around(0.735 if female else 0.81, 0.035),
        chin_width=around(0.28 if female else 0.36, 0.035),
        chin=around(1.32 if female else 1.40, 0.04),
        eye_gap=around(0.425, 0.014),
        eye_size=around(0.215 if female else 0.2, 0.01),
        eye_height=around(0.098 if female else 0.082, 0.009) * (1 - 0.22 * unit((looks - 35) / 25)),
        eye_tilt=around(0.025, 0.02) - 0.03 * unit((looks - 40) / 20),
        crease=unit(around(0.6 if female else 0.4, 0.3)),
        lashes=unit(around(0.75 if female else 0.2, 0.17)),
        iris=linear(*((46, 28, 20), (66, 42, 28), (36, 24, 20), (84, 54, 32))[int(rng.integers(4))]),
        brow_thickness=around(0.062 if female else 0.098, 0.012),
        brow_arch=around(0.065 if female else 0.028, 0.018),
        brow_dark=unit(around(0.78 if female else 0.92, 0.08)),
        brow_colour=(hair * (1 - 0.6 * grey) + linear(196, 194, 192) * 0.6 * grey * (age >= 60)).astype(
            np.float32
        ),
        nose_width=around(0.205 if female else 0.24, 0.014),
        nose_base=around(0.58 if female else 0.61, 0.02),
        nose_bridge=around(0.15 if female else 0.19, 0.025),
        mouth_width=around(0.31 if female else 0.335, 0.018),
        lip_upper=around(0.082 if female else 0.066, 0.01) * (1 - 0.3 * unit((looks - 35) / 25)),
        lip_lower=around(0.118 if female else 0.098, 0.012) * (1 - 0.2 * unit((looks - 35) / 25)),
        lip_colour=lip.astype(np.float32),
        stubble=0.0 if female else unit(around(0.42 if stage else 0.25, 0.2)),
        moustache=unit(around(0.7, 0.2)) if bearded else 0.0,
        wrinkles=aged((18, 26, 34, 45, 57, 60, 63), (0, 0.04, 0.26, 0.48, 0.64, 0.97, 1.0), 0.14),
        bags=aged((18, 28, 45, 57, 60), (0.02, 0.08, 0.38, 0.6, 1.0), 0.2),
        sag=aged((25, 40, 57, 61), (0, 0.25, 0.6, 1.0), 0.2),
        mottle=aged((20, 40, 57, 61), (0.08, 0.35, 0.65, 1.0), 0.2),
        hair_style=style,
        hair_colour=hair,
        grey=grey,
        hairline=around(-0.96, 0.035) - (0.12 if not female else 0.05) * unit((looks - 35) / 25),
        part=float(rng.choice((-1, 1))) * unit(around(0.28, 0.14)) if rng.random() < 0.7 else 0.0,
        volume=around(1.0, 0.18) * (1 - 0.15 * unit((looks - 40) / 20)),
        hair_length=unit(around(0.5, 0.25)),
        glasses=bool(rng.random() < 0.04),
        clothes=str(rng.choice(("tee", "collar", "vee", "hood", "turtle"), p=(0.35, 0.25, 0.15, 0.15, 0.1))),
        cloth=cloth,
        cloth_second=other,
        shoulders=around(1.86 if female else 2.12, 0.07),
    )
