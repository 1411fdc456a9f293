"""Training augmentation: albumentations transforms by name, seeded per photo and epoch."""

from __future__ import annotations

import difflib
import inspect
import warnings
from collections.abc import Sequence
from typing import Any

import albumentations
import numpy as np
import numpy.typing as npt

from facemask import params
from facemask.errors import UserError


class Augmentation:
    """A pipeline whose result depends on the photo, the pipeline and the seed, not on what ran before it.

    Parameters
    ----------
    transforms
        The steps, in order; none leaves photos as they are.

    Raises
    ------
    UserError
        If a transform or an argument does not exist, or a value is refused.
    """

    def __init__(self, transforms: Sequence[params.Transform]) -> None:
        steps = [_build(transform, f"train.augment.{k}") for k, transform in enumerate(transforms)]
        self._compose = albumentations.Compose(steps) if steps else None

    def __call__(self, photo: npt.NDArray[np.uint8], seed: int) -> npt.NDArray[np.uint8]:
        """Augment one photo, (H, W, 3) uint8, keeping its shape."""
        if self._compose is None:
            return photo
        # Seeding by photo makes the result independent of the number of loader workers and of a restart.
        self._compose.set_random_seed(seed)
        result: npt.NDArray[np.uint8] = self._compose(image=photo)["image"]
        if result.shape != photo.shape:
            raise UserError(
                f"train.augment turns {photo.shape[:2]} photos into {result.shape[:2]}; "
                "choose transforms that keep train.image.size"
            )
        return result


def _build(transform: params.Transform, key: str) -> Any:
    kind = getattr(albumentations, transform.name, None)
    if not (inspect.isclass(kind) and issubclass(kind, albumentations.BasicTransform)):
        near = difflib.get_close_matches(transform.name, names(), n=3)
        hint = f"; did you mean {' or '.join(near)}?" if near else ""
        raise UserError(f"{key}.name: albumentations has no transform {transform.name!r}{hint}")
    arguments = {name: tuple(v) if isinstance(v, list) else v for name, v in transform.arguments.items()}
    try:
        with warnings.catch_warnings():
            # albumentations only warns of an unknown argument and then ignores it.
            warnings.simplefilter("error")
            return kind(**arguments)
    except (ValueError, TypeError, UserWarning) as error:
        raise UserError(
            f"{key}: {transform.name} refuses its arguments: {' '.join(str(error).split())[:300]}"
        ) from None


def names() -> list[str]:
    """Names of all transforms."""
    found = [name for name, kind in vars(albumentations).items() if inspect.isclass(kind)]
    return sorted(n for n in found if issubclass(getattr(albumentations, n), albumentations.BasicTransform))
