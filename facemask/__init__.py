"""Mask, gender and age band from a photo: a data and model pipeline in which each room is a stage.

Rooms of one stage
    ``sample`` (sample_data), ``synthesis`` (synthesise), ``labels`` (fix_labels), ``faces`` (face_crop), ``mattes``
    (background_removal), ``manifest`` (build_manifest), ``training`` (train), ``ensemble`` (combine), ``evaluation``
    (evaluate), ``submission`` (infer)
Rooms that several stages share, from the bottom up
    ``runtime``, ``records``, ``pixels``, ``photos``, ``detectors``, ``scoring``, ``network``
``settings``
    what ``params.yaml`` may say; read by all, a code dependency of no stage
``serving``
    the trained model in use: answers to photos of one's own
``commands``
    what a person types: ``python -m facemask``

Answer photos with the model of a project's folder::

    import facemask

    model = facemask.load("path/to/project")
    table = model.predict(["a.jpg", "b.png"])
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from facemask.serving.loading import load as load


def __getattr__(name: str) -> object:
    # By name: `import facemask` stays light, and no stage depends on what stands above it.
    if name == "load":
        from importlib import import_module

        return import_module("facemask.serving.loading").load
    raise AttributeError(f"module 'facemask' has no attribute {name!r}")
