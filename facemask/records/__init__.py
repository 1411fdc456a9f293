"""Rows, without torch.

classes
    the 18 classes and the official age bands
bands
    the trainer's age bands, as the manifest hands them on
raw
    the contest's folder layout
roots
    which folder a photo's key belongs to
unmasked
    labelled unmasked faces, for synthesise
extra
    data sets beside the main one, for training only
fixes
    known wrong labels
csvfile
    CSV files as text, with the line where each row stands
tables
    reading and writing the CSV files between stages, and their schemas
folds
    who is held out, who validates in which fold
kinship
    who of the extra data sets is whom of the main one, and so in whose fold
balancing
    how often a training photo is seen in an epoch
manifest
    the rows that trainer and predictor read
"""
