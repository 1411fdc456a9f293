"""Answers.

checkpoints
    a trained fold as a folder: tensors and a JSON of everything needed to predict
predict
    (N, 18) tables from photos, averaged over views and folds
tta
    test-time augmentation: the views of a photo
submission
    the contest's answer file, checked
"""
