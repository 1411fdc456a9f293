"""A trained fold as a folder: ``weights.safetensors`` and ``model.json``, which say all that is needed to predict."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import timm
import torch
from pydantic import ValidationError
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from facemask.network.classifier import Classifier
from facemask.records import bands, classes
from facemask.runtime import files
from facemask.runtime.errors import UserError
from facemask.settings import recipes

REMEDY = "run `dvc repro train`"


@dataclass(frozen=True)
class Checkpoint:
    """A network ready to predict.

    Attributes
    ----------
    model
        In evaluation mode, on the CPU.
    recipe
        What it was trained with; its ``image`` says which pixels it expects.
    prior
        (18,) class frequencies of its training labels, the answer for a photo that cannot be read.
    """

    model: Classifier
    recipe: recipes.Recipe
    prior: npt.NDArray[np.float64]


def save(folder: Path, checkpoint: Checkpoint, facts: dict[str, Any]) -> None:
    """Write both files; ``facts`` (fold, best epoch and the like) are kept in the JSON for people to read."""
    content = {
        **facts,
        "cuts": list(checkpoint.model.cuts),
        "prior": [round(float(p), 9) for p in checkpoint.prior],
        "classes": list(classes.NAMES),
        "versions": {"timm": timm.__version__, "torch": torch.__version__},
        "recipe": checkpoint.recipe.model_dump(mode="json"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    with files.replacing(folder / "weights.safetensors") as temporary:
        save_file(
            {name: tensor.contiguous() for name, tensor in checkpoint.model.state_dict().items()}, temporary
        )
    files.write_json(folder / "model.json", content)


def load(folder: Path) -> Checkpoint:
    """Read a folder written by :func:`save`; no code in it is ever run.

    Raises
    ------
    UserError
        If a file is missing, damaged, or does not fit the network that it names.
    """
    try:
        content = json.loads((folder / "model.json").read_text())
        recipe = recipes.Recipe.model_validate_json(json.dumps(content["recipe"]))
        prior = np.asarray(content["prior"], dtype=np.float64)
        refitted = not isinstance(recipe.refit, recipes.Nothing)
        cuts = bands.Cuts(*content["cuts"])
        model = Classifier(recipe, cuts=cuts, pretrained=False, refitted=refitted)
        model.load_state_dict(load_file(folder / "weights.safetensors"))
    except FileNotFoundError as error:
        raise UserError(
            f"{folder}: no {Path(str(error.filename or 'weights.safetensors')).name}; {REMEDY}"
        ) from None
    except (json.JSONDecodeError, KeyError, ValidationError, SafetensorError, RuntimeError) as error:
        raise UserError(
            f"{folder}: not a fold of this version: {' '.join(str(error).split())[:200]}; {REMEDY}"
        ) from None
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    return Checkpoint(model.eval(), recipe, prior)
