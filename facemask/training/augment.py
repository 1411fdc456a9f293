"""Training augmentation: albumentations transforms by name, seeded once a batch."""

from __future__ import annotations

import difflib
import inspect
import random
import warnings
from collections.abc import Sequence
from typing import Any, Final

import albumentations
import cv2
import numpy as np

from facemask.runtime.arrays import Pixels
from facemask.runtime.errors import UserError
from facemask.settings import recipes

# Steps that choose among or order other steps, listed under ``transforms``.
COMPOSITIONS: Final = (
    "OneOf",
    "OneOrOther",
    "RandomOrder",
    "SelectiveChannelTransform",
    "Sequential",
    "SomeOf",
)
# What transforms raise where an argument, the photo's size or the absence of another image does not suit them.
_REFUSALS: Final = (
    ArithmeticError,
    AssertionError,
    AttributeError,
    ImportError,
    LookupError,
    OSError,
    RuntimeError,
    TypeError,
    UserWarning,
    ValueError,
    cv2.error,
)
_DRAWS: Final = 8


class Augmentation:
    """A pipeline whose result depends on the batch, the pipeline and the seed, not on what ran before it.

    Parameters
    ----------
    transforms
        The steps, in order; none leaves photos as they are. Steps that are made of others (:data:`COMPOSITIONS`) have
        a list ``transforms`` of such steps.
    size
        Height and width of the photos. The steps are tried on photos of this size.

    Raises
    ------
    UserError
        If a transform or an argument does not exist, or a value is refused; if a step wants more than a photo; if the
        steps together change a photo's size or type.
    """

    def __init__(self, transforms: Sequence[recipes.Transform], size: tuple[int, int]) -> None:
        steps = [_build(transform, f"train.augment.{k}", size) for k, transform in enumerate(transforms)]
        # A photo that comes alone has no other image to agree with.
        self._compose = albumentations.Compose(steps, is_check_shapes=False)
        _try(transforms, size)

    def __call__(self, photos: Pixels, seed: int) -> None:
        """Augment a batch, (N, H, W, 3) uint8, in place."""
        _seed(self._compose, seed)
        for k, photo in enumerate(photos):
            result = self._compose(image=photo)["image"]
            if not _alike(photo, result):
                raise UserError(f"train.augment {_turns(photo, result)}")
            photos[k] = result


def names() -> list[str]:
    """Names of all transforms, compositions included."""
    found = [name for name, kind in vars(albumentations).items() if inspect.isclass(kind)]
    single = [n for n in found if issubclass(getattr(albumentations, n), albumentations.BasicTransform)]
    return sorted([*single, *COMPOSITIONS])


def _seed(step: Any, seed: int) -> None:
    """Start the stream that a step and all its parts draw from.

    Albumentations' own ``set_random_seed`` would start the same stream anew for each part: a flip with p .5 and a blur
    with p .5 would then come together or not at all.
    """
    step.set_random_state(np.random.default_rng(seed), random.Random(seed))


def _build(transform: recipes.Transform, key: str, size: tuple[int, int], *, always: bool = False) -> Any:
    """Make a step; with ``always`` every transform in it acts that may act at all."""
    if transform.name not in names():
        near = difflib.get_close_matches(transform.name, names(), n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UserError(f"{key}.name: albumentations has no transform {transform.name!r}{hint}")
    arguments = {name: _tuples(value) for name, value in transform.arguments.items()}
    if transform.name in COMPOSITIONS:
        arguments["transforms"] = _parts(transform, key, size, always=always)
    kind = getattr(albumentations, transform.name)
    # A step that wants the size of what it makes is told that of the photos.
    if "size" in inspect.signature(kind).parameters:
        arguments.setdefault("size", size)
    # OneOrOther's p is the choice between its two.
    if always and transform.name != "OneOrOther":
        arguments["p"] = float(arguments.get("p", 1) > 0)
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            # albumentations only warns of an unknown argument and then ignores it.
            warnings.filterwarnings("error", message=r"Argument\(s\)")
            step = kind(**arguments)
    except _REFUSALS as error:
        raise UserError(f"{key}: {transform.name} refuses its arguments: {_line(error)}") from None
    if isinstance(step, albumentations.BasicTransform):
        _check_wants(step, f"{key}: {transform.name}")
    return step


def _parts(transform: recipes.Transform, key: str, size: tuple[int, int], *, always: bool) -> list[Any]:
    listed = transform.arguments.get("transforms")
    if not isinstance(listed, list) or not listed:
        raise UserError(f"{key}: {transform.name} needs `transforms`, a list of at least one transform")
    parts = []
    for k, part in enumerate(listed):
        place = f"{key}.transforms.{k}"
        if not isinstance(part, dict) or not isinstance(part.get("name"), str):
            raise UserError(f"{place}: {part!r} is no transform: give its name and arguments")
        parts.append(_build(recipes.Transform(**part), place, size, always=always))
    return parts


def _check_wants(step: albumentations.BasicTransform, where: str) -> None:
    extra = sorted(set(step.targets_as_params) - {"image"})
    if extra:
        raise UserError(f"{where} needs {', '.join(extra)} beside the photo, which training does not have")
    if "image" not in step.targets:
        raise UserError(f"{where} works on {', '.join(sorted(step.targets))}, not on photos")


def _tuples(value: Any) -> Any:
    if isinstance(value, list):
        return tuple(_tuples(part) for part in value)
    return {name: _tuples(part) for name, part in value.items()} if isinstance(value, dict) else value


def _try(transforms: Sequence[recipes.Transform], size: tuple[int, int]) -> None:
    """Run all steps at their likeliest on small photos, so that what fails does so before the training."""
    noise = np.random.default_rng(0).integers(0, 256, (*size, 3), dtype=np.uint8)
    steps = [_build(t, f"train.augment.{k}", size, always=True) for k, t in enumerate(transforms)]
    # Enough draws that each of several alternatives has its turn.
    draws = _DRAWS * max([_choices(transform.arguments) for transform in transforms], default=0)
    for seed in range(draws):
        photo = start = np.zeros_like(noise) if seed % _DRAWS == 1 else noise
        changed = ""
        for k, step in enumerate(steps):
            where = f"train.augment.{k}: {transforms[k].name}"
            before = photo
            photo = _tried(step, photo.copy(), seed, where)
            if not changed and not _alike(before, photo):
                changed = where
        if not _alike(start, photo):
            raise UserError(f"{changed} {_turns(start, photo)}")


def _tried(step: Any, photo: Pixels, seed: int, where: str) -> Pixels:
    _seed(step, seed)
    try:
        with warnings.catch_warnings():
            # Said by transforms that then do nothing.
            warnings.simplefilter("error", UserWarning)
            result: Pixels = step(image=photo)["image"]
    except _REFUSALS as error:
        raise UserError(f"{where} fails on a photo of {photo.shape[:2]} pixels: {_line(error)}") from None
    return result


def _choices(arguments: dict[str, Any]) -> int:
    """Count the transforms in a step."""
    parts = arguments.get("transforms", [])
    return sum(_choices(part) for part in parts if isinstance(part, dict)) if parts else 1


def _alike(one: Pixels, other: Pixels) -> bool:
    return one.shape == other.shape and one.dtype == other.dtype


def _turns(photo: Pixels, result: Pixels) -> str:
    return (
        f"turns photos of shape {tuple(photo.shape)} and type {photo.dtype} into {tuple(result.shape)} and "
        f"{result.dtype}; choose transforms that keep train.image.size and whole-number colours"
    )


def _line(error: BaseException) -> str:
    return " ".join(str(error).split())[:300] or type(error).__name__
