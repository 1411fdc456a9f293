"""Measurements of speed, each a ratio of two sides that take turns on the same photos.

turns
    sides in turn, and the ratio of their medians
outcome
    what a measurement tells
material
    the photos: real faces where they lie beside the project, else drawn people
face_crop, background_removal, one_percent_more
    preparing photos
train_loop, plain_script, infer, features, predict, serve
    networks
noop
    a ``dvc repro`` that has nothing to do
copies, watch, growth, dvc_scale
    thousands of photos out of few, and what stages and DVC take of time and memory for them

Each measurement is one module with ``measure(effort) -> Outcome``; ``benchmarks/bench.py`` lists them and runs
each in a process of its own, ``python -m benchmarks.speed``.
"""
