"""Networks.

sides
    a fold's photos out of the manifest
pixels
    decoded photos, once, as bytes
batches, unlabelled
    which rows make a batch, in which order, augmented how; unlabelled ones beside them
mixing
    mixup and cutmix
backbones, facenet, weights, pooling, layers
    photos in, features out; where weights come from; groups of layers
heads, outputs, ages, dropout, angular
    features in, logits and an (N, 18) table out
classifier
    backbones and head
losses, weighting
    what is lowered; class weights and frequencies
optimisers, schedules, clipping, averaging, freezing
    how the weights move
task, curves
    the training loop's steps (Lightning), and what it tells
fit, shares
    train one fold; in several processes
pseudo, refitting
    self-training on unlabelled photos; a logistic regression in place of the head
rates
    learning-rate finder
"""
