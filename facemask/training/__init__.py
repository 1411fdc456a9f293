"""Stage ``train``: the weights of one fold.

sides
    a fold's photos out of the manifest
pixels
    decoded photos, once, as bytes
augment, backgrounds
    training-time changes of the pixels; replacement of the background
batches, unlabelled
    which rows make a batch, in which order, augmented how; unlabelled ones beside them
mixing
    mixup and cutmix
losses, weighting
    what is lowered; class weights and frequencies
optimisers, schedules, clipping, averaging, freezing
    how the weights move
task, curves, best
    the training loop's steps (Lightning), what it logs, the epoch that is kept
fit, trainer, ranks, resuming, memory
    train one fold; on this machine; in several processes; from where it was killed; in what memory there is
probing, features, validation
    a head fitted on a frozen network's features, which are kept by content; answers to people whom a fold does not know
pseudo, refitting
    self-training on unlabelled photos; a logistic regression in place of the head
rates
    learning-rate finder
loggers
    TensorBoard, Weights & Biases or MLflow beside the curves
"""
