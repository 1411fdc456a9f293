"""Numbers: how good a table of probabilities is, and pictures of it; without torch.

metrics
    confusion counts, F1, accuracy: the one place every score comes from
intervals
    bootstrap over people
adjustment
    logit adjustment after training, and its best tau
calibration
    reliability and expected calibration error
class_counts
    photos a class before and after balancing, as a picture
rate_curve
    the learning-rate finder's curve, as a picture
predictions
    what was predicted for labelled photos, checked and joined with the truth
results
    all numbers of one split
plots
    the evaluate stage's pictures and plot data
table
    the summary that a run ends with
page
    the frame of ``dvc plots show``, with its scripts inside
"""
