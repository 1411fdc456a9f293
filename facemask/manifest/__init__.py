"""Stage ``build_manifest``: who trains, who validates, how often a row is seen, which label the trainer sees.

folds
    who is held out, who validates in which fold
kinship
    people linked across data sets, so that nobody trains the fold that validates on them
balancing
    how often a training photo is seen in an epoch
manifest
    the rows that trainer and predictor read
class_counts
    photos a class before and after balancing, as a picture
"""
