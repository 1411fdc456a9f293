"""What a person types: ``python -m facemask``.

options
    the words that each command takes
assignments
    keys of ``params.yaml`` that are set
check
    everything that ``params.yaml`` names, looked at before anything runs
apply
    experiments taken up, unless a user's own changes would be lost
repair, locks
    what a kill left of DVC's files, mended; whether it was a living process
predict
    answers to photos, as a table
weights
    files of pretrained weights, fetched by name
scores
    the table of scores that a run ends with
submissions
    the log of submissions as a table
compare
    revisions compared, as ``facemask.comparison`` does it
report
    the report page, compared with a baseline, with the run's facts
rate_curve
    the learning-rate finder's curve, as a picture
page
    the frame of ``dvc plots show``, with its scripts inside
coverage
    rows and columns of its input that a network never looks at
search
    better params, searched in experiments
objects
    DVC's cache, hashed again
backbones
    the catalogue of timm's networks
"""
