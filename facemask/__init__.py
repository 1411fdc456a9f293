"""Mask, gender and age band from a photo: a data and model pipeline in which each room is a stage.

Rooms of one stage
    ``sample`` (sample_data), ``synthesis`` (synthesise), ``labels`` (fix_labels), ``faces`` (face_crop), ``mattes``
    (background_removal), ``manifest`` (build_manifest), ``training`` (train), ``ensemble`` (combine), ``evaluation``
    (evaluate), ``submission`` (infer)
Rooms that several stages share, from the bottom up
    ``runtime``, ``records``, ``pixels``, ``photos``, ``detectors``, ``scoring``, ``network``
``settings``
    what ``params.yaml`` may say; read by all, a code dependency of no stage
``commands``
    what a person types: ``python -m facemask``
"""
