"""Answers.

checkpoints
    a trained fold as a folder: tensors and a JSON of everything needed to predict
predict
    (N, 18) tables from photos, averaged over views and folds
answering
    this experiment's answers, wherever they are computed
tta
    test-time augmentation: the views of a photo
facts
    what trained folds say about themselves, without torch
combiner
    how several tables become one, as a file
ensembles
    what a combination learns from out-of-fold answers, and what it is worth there
experiments
    answers of past experiments, through DVC
submission
    the contest's answer file, checked
"""
