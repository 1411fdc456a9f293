"""Stage ``combine``: how several answers become one.

facts
    what trained folds say about themselves, without torch
history
    revisions of this repository, read through DVC
experiments
    answers of past experiments
ensembles
    votes, weights and stacking, fitted on out-of-fold answers, and what they are worth there
adjustment
    logit adjustment after training, and its best tau
temperature
    temperature scaling
combiner
    what was fitted, as a file
"""
