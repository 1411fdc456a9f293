"""Networks.

pixels
    decoded photos of the manifest, once, as bytes
batches
    which rows make a batch, in which order, augmented how
backbones, heads, losses, optimisers, schedules
    the parts, each made by ``build`` from its section of the params
classifier
    backbone and head: photos in, an (N, 18) probability table out
task
    the training loop's steps (Lightning)
fit
    train one fold
"""
