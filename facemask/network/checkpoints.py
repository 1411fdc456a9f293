"""A trained fold as a folder: ``weights.safetensors`` and ``model.json``, which say all that is needed to predict.

``model.json`` carries the SHA-256 of every file beside it and of its own content, so that a bit flipped on a disk or a
remote is told instead of predicted with.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from facemask.network import onnx_file
from facemask.network.classifier import Classifier
from facemask.network.libraries import timm
from facemask.records import bands, classes
from facemask.runtime import files
from facemask.runtime.errors import UserError
from facemask.settings import recipes

WEIGHTS: Final = "weights.safetensors"
MODEL: Final = "model.json"
# Of a backbone from an ONNX file.
LAYERS: Final = "backbone.onnx"
REMEDY: Final = "run `dvc repro train`"
# Of the last digit that model.json keeps of each prior.
_ROUNDED: Final = 1e-6


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
    """Write both files; ``facts`` (fold, best epoch and the like) are kept in the JSON for people to read.

    Tables that lie in ``folder`` already are sealed with them (:func:`facemask.runtime.files.write_sealed`).
    """
    content = {
        **facts,
        "cuts": list(checkpoint.model.cuts),
        "prior": [round(float(p), 9) for p in checkpoint.prior],
        "classes": list(classes.NAMES),
        "versions": {"timm": timm.__version__, "torch": torch.__version__},
        "recipe": checkpoint.recipe.model_dump(mode="json"),
    }
    folder.mkdir(parents=True, exist_ok=True)
    backbone = checkpoint.recipe.backbone
    if isinstance(backbone, recipes.Onnx):
        # The layers are described there alone: without it the folder could not predict on another machine.
        with files.replacing(folder / LAYERS) as temporary:
            temporary.write_bytes(onnx_file.content(backbone))
    with files.replacing(folder / WEIGHTS) as temporary:
        save_file(
            {name: tensor.contiguous() for name, tensor in checkpoint.model.state_dict().items()}, temporary
        )
    files.write_sealed(folder / MODEL, content)


def load(folder: Path) -> Checkpoint:
    """Read a folder written by :func:`save`; no code in it is ever run.

    Raises
    ------
    UserError
        If a file is missing, damaged, or does not fit the network that it names, or a number in it cannot be.
    """
    content = files.sealed(folder / MODEL, WEIGHTS, remedy=REMEDY)
    try:
        recipe = recipes.Recipe.model_validate_json(json.dumps(content["recipe"]))
        if isinstance(recipe.backbone, recipes.Onnx):
            ours = recipe.backbone.model_copy(update={"path": str(folder / LAYERS)})
            recipe = recipe.model_copy(update={"backbone": ours})
        prior = np.asarray(content["prior"], dtype=np.float64)
        if prior.shape != (classes.COUNT,) or (prior < 0).any() or not abs(prior.sum() - 1) < _ROUNDED:
            raise ValueError(f"prior is no distribution over {classes.COUNT} classes")
        if content["classes"] != list(classes.NAMES):
            raise ValueError("other classes")
        cuts = bands.Cuts(*content["cuts"])
        if not (type(cuts.young) is type(cuts.old) is int and 0 < cuts.young < cuts.old):
            raise ValueError(f"age cuts {cuts}")
        refitted = not isinstance(recipe.refit, recipes.Nothing)
        model = Classifier(recipe, cuts=cuts, pretrained=False, refitted=refitted)
        tensors = load_file(folder / WEIGHTS)
        if endless := [name for name, tensor in tensors.items() if not tensor.isfinite().all()]:
            raise ValueError(f"{endless[0]} is not finite")
        model.load_state_dict(tensors)
    except (KeyError, TypeError, ValueError, SafetensorError, RuntimeError) as error:
        raise UserError(
            f"{folder}: not a fold of this version: {' '.join(str(error).split())[:200]}; {REMEDY}"
        ) from None
    if recipe.channels_last:
        model = model.to(memory_format=torch.channels_last)
    return Checkpoint(model.eval(), recipe, prior)
