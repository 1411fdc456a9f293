"""Load a trained model without waiting for what it does not need."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from facemask.runtime.imports import lean

if TYPE_CHECKING:
    from facemask.serving.predictor import Predictor


def load(path: str | Path = ".", revision: str = "") -> Predictor:
    """Load the model of a project in which the pipeline has run.

    Parameters
    ----------
    path
        The project's folder.
    revision
        An experiment, branch, tag or commit of it, which is not checked out; by default what lies in the folder.

    Raises
    ------
    UserError
        If a file of the run is missing, damaged or of another version, or the revision means nothing.
    """
    with lean():
        from facemask.serving import predictor
    return predictor.load(path, revision)
