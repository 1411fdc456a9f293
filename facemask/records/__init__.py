"""Rows, without torch.

classes
    the 18 classes and the age bands
raw
    the contest's folder layout
fixes
    known wrong labels
tables
    reading and writing the CSV files between stages, and their schemas
folds
    who is held out, who validates in which fold
balancing
    how often a training photo is seen in an epoch
manifest
    the rows that trainer and predictor read
"""
