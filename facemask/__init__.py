"""Mask, gender and age band from a photo: a data and model pipeline that changes one thing at a time.

params, loading
    the typed mirror of ``params.yaml``, and reading it
launch, errors, files, progress
    how a stage starts, fails, writes and tells how far it is
records
    rows: classes, raw folder layout, label fixes, tables, folds, balancing
images
    pixels: decoding, archives, faces, mattes, composing, augmentation
sample
    the drawn people of the embedded sample
scoring
    numbers: metrics, intervals, calibration, plots
learning
    networks: data sets, backbones, heads, losses, optimisers, fitting
inference
    answers: checkpoints, prediction, test-time augmentation, submissions
"""

from facemask import hardware

# Torch reads it once, when it is loaded.
hardware.set_wait()
